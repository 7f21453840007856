"""What QA.tech takes and what it answers, as its reference describes it (March 2026): a judge of requests and of our fake.

Requests are judged more strictly than the reference demands: an unknown field is refused, since the real API would
let a slip of ours pass in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

Check = Callable[[object, str], Iterator[str]]
ANY = r"(?s:.*)"
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def short(prefix: str) -> Check:
    """A short id of one kind: the prefix alone, or with the project's name behind a dash."""
    return text(rf"{prefix}(-.+_.+|_.+)")


def text(form: str = ANY, *, most: int | None = None) -> Check:
    """A text of this form."""

    def check(value: object, where: str) -> Iterator[str]:
        if not isinstance(value, str):
            yield f"{where} must be a string"
        elif not re.fullmatch(form, value):
            yield f"{where} must match {form}"
        elif most is not None and not 1 <= len(value) <= most:
            yield f"{where} must have 1 to {most} characters"

    return check


def one_of(*values: str) -> Check:
    """One of these words."""

    def check(value: object, where: str) -> Iterator[str]:
        if value not in values:
            yield f"{where} must be one of {', '.join(values)}"

    return check


def of_type(kind: type) -> Check:
    """A flag or a number; a flag is no number."""

    def check(value: object, where: str) -> Iterator[str]:
        if type(value) is not kind:
            yield f"{where} must be of type {kind.__name__}"

    return check


def or_null(inner: Check) -> Check:
    """Something, or null."""
    return lambda value, where: iter(()) if value is None else inner(value, where)


def list_of(inner: Check) -> Check:
    """A list of them."""

    def check(value: object, where: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{where} must be an array"
            return
        for number, item in enumerate(value):
            yield from inner(item, f"{where}[{number}]")

    return check


def either(*forms: Check) -> Check:
    """What fits one of the forms."""

    def check(value: object, where: str) -> Iterator[str]:
        found = [list(form(value, where)) for form in forms]
        if all(found):
            yield f"{where} fits none of its forms: {'; '.join(faults[0] for faults in found)}"

    return check


def fields(needed: dict[str, Check] | None = None, allowed: dict[str, Check] | None = None) -> Check:
    """An object with these fields and no others."""
    musts = needed or {}
    known = {**musts, **(allowed or {})}

    def check(value: object, where: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{where} must be an object"
            return
        yield from (f"{where}.{key} is required" for key in musts if key not in value)
        for key, item in value.items():
            yield from known[key](item, f"{where}.{key}") if key in known else (f"{where} has no field {key}",)

    return check


# ── what is asked ────────────────────────────────────────────────────────────

_ENVIRONMENT = either(fields({"shortId": short("env")}), fields({"url": text()}, {"name": text()}))
_APPLICATION = fields(
    {"applicationShortId": short("app")}, {"environment": _ENVIRONMENT, "devicePresetShortId": short("preset")}
)
_NOTIFICATION = fields({"type": one_of("slack"), "channel": text()}, {"notifyOn": one_of("failure", "always")})
_PUSH: dict[str, Check] = dict.fromkeys(("actor", "branch", "commitHash", "commitMessage", "repository"), text())
REQUESTS: dict[str, Check] = {
    "run.start": fields(
        allowed={
            **_PUSH,
            "trigger": one_of("API", "GITHUB"),
            "testPlanShortId": short("pln"),
            "applications": list_of(_APPLICATION),
            "notifications": list_of(_NOTIFICATION),
        }
    ),
    "run.rerun": fields(allowed={"failedOnly": of_type(bool), "projectTestCaseIds": list_of(text(UUID))}),
    "test-cases.create": fields(
        {"name": text(most=80), "goal": text(), "applicationShortId": short("app")},
        {
            "expectedResult": text(),
            "configShortIds": list_of(short("cfg")),
            "scenarioShortId": short("scenario"),
            "resumeFromDependencyProjectTestCaseId": text(UUID),
            "waitForDependenciesProjectTestCaseIds": list_of(text(UUID)),
        },
    ),
}

# ── what is answered ─────────────────────────────────────────────────────────

_RUN: dict[str, Check] = {"id": text(), "shortId": text(), "url": text(), "testCount": of_type(int)}
_PLAN = fields({"name": text(), "shortId": short("pln")})
_OPTIONAL = ("result", "resultTitle", "evaluationThought", "promptGoal", "promptExamples")
_CASE = fields(
    {**dict.fromkeys(("id", "shortId", "name", "status"), text()), **dict.fromkeys(_OPTIONAL, or_null(text()))}
)
_STATE: dict[str, Check] = {"id": text(), "shortId": text(), "status": text(), "result": or_null(text())}
ANSWERS: dict[str, Check] = {
    "outbound-ips": fields({"ipAddresses": list_of(text())}),
    "run.start": fields({"success": of_type(bool), "run": fields({**_RUN, "testPlan": _PLAN})}),
    "run.get": fields({**_STATE, "runTestCases": list_of(_CASE)}),
    "run.rerun": fields({"success": of_type(bool), "run": fields(_RUN)}),
    "test-cases.create": fields(
        {"success": of_type(bool), "testCase": fields({"id": text(), "name": text(), "url": text()})}
    ),
}


def faults(check: Check, value: Any, what: str) -> list[str]:
    """Return how a JSON value breaks a description; none when it fits."""
    return list(check(value, what))
