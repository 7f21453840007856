"""QA.tech's five endpoints, one method each. Each ends in time, and says what it knows and what it doesn't."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import Any, Literal
from urllib.parse import quote

from ipsync.verification.qatech import access, answers
from ipsync.verification.qatech.asking import Question, ask
from ipsync.verification.qatech.bodies import RerunRequest, RunRequest, TestCaseRequest
from ipsync.verification.qatech.ids import run_id

TestCases = Literal["failed", "all"]
_ONCE = "It is not sent again, since that could do it twice"
_RUN = {
    "doubt": "whether a run was started is not known",
    "look": f"{_ONCE}: look at the project's newest runs at QA.tech before you start another",
}
_CASE = {
    "doubt": "whether the test case was created is not known",
    "look": f"{_ONCE}: look for its name among the project's test cases at QA.tech first",
}
"""What is said where the answer to a request that changes something isn't there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The API for one project, whose token it holds. `timeout` is in seconds, for a whole exchange.

    `stop` ends any exchange at once. The names are of what holds the token and the URL, for errors.
    """

    url: str = access.BASE
    token: str | None = field(default=None, repr=False)
    token_name: str = "QATECH_API_TOKEN"  # noqa: S105 - the name of a variable
    url_name: str = "QATECH_API_URL"
    timeout: float = 30.0
    stop: Event = field(default_factory=Event, repr=False, compare=False)

    def outbound_ips(self) -> answers.OutboundIps:
        """Return the addresses that the runners connect from; the one question that needs no token, and sends none."""
        question = self._question("/outbound-ips", failing="the addresses can't be read", token=None)
        return ask(question, lambda found: answers.read(answers.OutboundIps, found))

    def start(self, wanted: RunRequest) -> answers.PlannedRun:
        """Start a run."""
        question = self._post("/run", wanted.body(), failing="no run was started", **_RUN)
        return ask(question, lambda found: answers.read_done(answers.PlannedRun, "run", found))

    def run(self, short_id: str, *, test_cases: TestCases | None = None) -> answers.RunState:
        """Return how a run is doing, with what failed in it, or with all its test cases."""
        path = f"{_run_path(short_id)}{f'?testCases={test_cases}' if test_cases else ''}"
        return ask(
            self._authorized(path, failing=f"run {short_id} can't be read"),
            lambda found: _of(short_id, answers.read(answers.RunState, _whole(found, test_cases))),
        )

    def rerun(self, short_id: str, wanted: RerunRequest) -> answers.Run:
        """Run it again, or a part of it: that is a run of its own, with a new id."""
        question = self._post(_run_path(short_id), wanted.body(), failing="no run was started", **_RUN)
        return ask(question, lambda found: answers.read_done(answers.Run, "run", found))

    def create_test_case(self, wanted: TestCaseRequest) -> answers.TestCase:
        """Make a test case."""
        question = self._post("/test-cases", wanted.body(), failing="no test case was created", **_CASE)
        return ask(question, lambda found: answers.read_done(answers.TestCase, "testCase", found))

    # ── questions ────────────────────────────────────────────────────────

    def _authorized(self, path: str, **rest: Any) -> Question:
        return self._question(path, token=access.token(self.token, name=self.token_name), **rest)

    def _post(self, path: str, body: dict[str, Any], **rest: Any) -> Question:
        return self._authorized(path, method="POST", body=body, **rest)

    def _question(self, path: str, **rest: Any) -> Question:
        url = f"{access.base_url(self.url, name=self.url_name)}{path}"
        return Question(
            url=url, timeout=self.timeout, stop=self.stop, token_name=self.token_name, url_name=self.url_name, **rest
        )


def _run_path(short_id: str) -> str:
    return f"/run/{quote(run_id(short_id), safe='')}"


def _whole(found: object, test_cases: TestCases | None) -> object:
    """Complete an answer whose test cases weren't asked for: QA.tech's pages allow that they are left out then."""
    return {"runTestCases": [], **found} if isinstance(found, dict) and not test_cases else found


def _of(short_id: str, state: answers.RunState) -> answers.RunState:
    """Refuse the answer to somebody else's question: the result of another run proves nothing."""
    if state.short_id != short_id:
        raise answers.Unreadable(f"it is about run {state.short_id}")
    return state
