"""What QA.tech can be asked for: the whole of each request body that its description allows, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ipsync.verification.errors import WrongValue
from ipsync.verification.qatech.access import web_address
from ipsync.verification.qatech.ids import short_id, uuid

Body = dict[str, Any]
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where an application is tested: an environment that QA.tech knows, or one made for this run by its URL."""

    short_id: str | None = None
    url: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if (self.short_id is None) == (self.url is None):
            raise WrongValue("an environment is named by its id or by its URL: by one of them")
        if self.short_id is not None:
            short_id("env", self.short_id)
            if self.name is not None:
                raise WrongValue("an environment named by its id has its name already; leave the name out")
        else:
            web_address(self.url or "", name="an environment's URL")
        _texts(name=self.name)

    def body(self) -> Body:
        """Return it as JSON."""
        return _given(shortId=self.short_id, url=self.url, name=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One application of the run, with what is other than its default."""

    short_id: str
    environment: Environment | None = None
    device_preset: str | None = None

    def __post_init__(self) -> None:
        short_id("app", self.short_id)
        if self.device_preset is not None:
            short_id("preset", self.device_preset)

    def body(self) -> Body:
        """Return it as JSON."""
        environment = self.environment.body() if self.environment else None
        return _given(applicationShortId=self.short_id, environment=environment, devicePresetShortId=self.device_preset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Whom QA.tech tells about the run's end; Slack is the one way that it knows."""

    channel: str
    notify_on: Literal["failure", "always"] | None = None

    def __post_init__(self) -> None:
        _texts(channel=self.channel)

    def body(self) -> Body:
        """Return it as JSON."""
        return _given(type="slack", channel=self.channel, notifyOn=self.notify_on)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run; of the project's default test plan where none is named. From `actor` on it is what QA.tech shows of a push."""

    test_plan: str | None = None
    applications: tuple[Application, ...] = ()
    notifications: tuple[Notification, ...] = ()
    trigger: Literal["API", "GITHUB"] | None = None
    actor: str | None = None
    branch: str | None = None
    commit_hash: str | None = None
    commit_message: str | None = None
    repository: str | None = None

    def __post_init__(self) -> None:
        if self.test_plan is not None:
            short_id("pln", self.test_plan)
        _texts(actor=self.actor, branch=self.branch, repository=self.repository)
        _texts(commit_hash=self.commit_hash, commit_message=self.commit_message)

    def body(self) -> Body:
        """Return it as JSON."""
        return _given(
            trigger=self.trigger,
            actor=self.actor,
            branch=self.branch,
            commitHash=self.commit_hash,
            commitMessage=self.commit_message,
            repository=self.repository,
            testPlanShortId=self.test_plan,
            applications=[one.body() for one in self.applications] or None,
            notifications=[one.body() for one in self.notifications] or None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunRequest:
    """A run again: all of it, what failed in it, or some of its test cases, named by UUID."""

    failed_only: bool = False
    test_cases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.failed_only and self.test_cases:
            raise WrongValue("a run is repeated for what failed or for the test cases that are named, not for both")
        for one in self.test_cases:
            uuid(one)

    def body(self) -> Body:
        """Return it as JSON."""
        return _given(failedOnly=self.failed_only or None, projectTestCaseIds=list(self.test_cases) or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCaseRequest:
    """A test case to be made: a user's way through an application, in plain words."""

    name: str
    goal: str
    application: str
    expected_result: str | None = None
    configs: tuple[str, ...] = ()
    scenario: str | None = None
    wait_for: tuple[str, ...] = ()
    resume_from: str | None = None

    def __post_init__(self) -> None:
        _texts(name=self.name, goal=self.goal, expected_result=self.expected_result)
        if len(self.name) > LONGEST_NAME:
            raise WrongValue(f"the name has {len(self.name)} characters; QA.tech takes 1 to {LONGEST_NAME}")
        short_id("app", self.application)
        for config in self.configs:
            short_id("cfg", config)
        if self.scenario is not None:
            short_id("scenario", self.scenario)
        for one in (*self.wait_for, *([] if self.resume_from is None else [self.resume_from])):
            uuid(one)

    def body(self) -> Body:
        """Return it as JSON."""
        return _given(
            name=self.name,
            goal=self.goal,
            applicationShortId=self.application,
            expectedResult=self.expected_result,
            configShortIds=list(self.configs) or None,
            scenarioShortId=self.scenario,
            waitForDependenciesProjectTestCaseIds=list(self.wait_for) or None,
            resumeFromDependencyProjectTestCaseId=self.resume_from,
        )


# ── checks ───────────────────────────────────────────────────────────────────


def _given(**fields: object) -> Body:
    """Leave out what wasn't asked for: the API's defaults are its own."""
    return {key: value for key, value in fields.items() if value is not None}


def _texts(**fields: str | None) -> None:
    """Check that what is given holds something, and can be sent: arguments of a shell may be no text at all."""
    for key, value in fields.items():
        words = key.replace("_", " ")
        if value is not None and not value.strip():
            raise WrongValue(f"the {words} is empty")
        if value is not None and any("\ud800" <= char <= "\udfff" for char in value):
            raise WrongValue(f"the {words} is no text: it holds bytes that are not UTF-8")
