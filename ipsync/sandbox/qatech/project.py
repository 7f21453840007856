"""A project at the local QA.tech: what can be named in a request, its test cases, and its runs from start to end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal
from uuid import UUID

Body = dict[str, Any]
Habit = Literal["never-ends", "out-of-order", "changes-result", "other-run"]
"""How a vendor may disappoint whoever asks for a run: it never ends, answers overtake each other, a result that was
told becomes another one, or the answer is about another run.
"""
Door = Callable[[str], bool]
SITE = "https://app.qa.tech/p/demo"
_STATES = ("INITIATED", "RUNNING")


class Refused(Exception):
    """The vendor says no, with a status and its words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Run:
    """A run: its test cases by id, and, once they were tried, why each that failed did."""

    id: str
    short_id: str
    cases: dict[str, str]
    asked: int = 0
    ended: str = ""
    """CANCELLED or ERROR, where it ended like that."""
    failures: dict[str, str] | None = None

    @property
    def url(self) -> str:
        """Return the page that people look at."""
        return f"{SITE}/results/{self.short_id}"

    @property
    def result(self) -> str:
        """Return the result, once it was tried."""
        if not self.cases:
            return "SKIPPED"
        return "FAILED" if self.failures else "PASSED"


@dataclass(slots=True)
class Project:
    """A project of a shop with a staging environment. Its default test plan holds every test case."""

    polls: int = 2
    """How often a run is looked at until it has ended."""
    habits: set[Habit] = field(default_factory=set)
    plans: dict[str, list[str]] = field(default_factory=lambda: {"pln_empty": []})
    known: set[str] = field(
        default_factory=lambda: {
            "app_shop", "app_admin", "env_staging", "env_canary", "cfg_login", "cfg_card", "preset_phone", "scenario_doors",
        }
    )  # fmt: skip
    cases: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    _ids: count[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        smoke = self.add_case("The start page is reached")
        self.add_case("A visitor logs in")
        self.plans["pln_smoke"] = [smoke]

    def add_case(self, name: str) -> str:
        """Make a test case and return its id."""
        made = str(UUID(int=next(self._ids)))
        self.cases[made] = name
        return made

    # ── requests ─────────────────────────────────────────────────────────

    def start(self, body: Body) -> Body:
        """Start a run of a test plan, or of every test case."""
        plan = body.get("testPlanShortId", "pln_default")
        cases = list(self.cases) if plan == "pln_default" else self.plans.get(plan)
        if cases is None:
            raise Refused(404, f"Test plan {plan} not found")
        for application in body.get("applications", ()):
            environment = application.get("environment", {}).get("shortId")
            self._need(application["applicationShortId"], environment, application.get("devicePresetShortId"))
        name = plan.rpartition("_")[2].capitalize()
        return {"success": True, "run": {**self._begin(cases), "testPlan": {"name": name, "shortId": plan}}}

    def rerun(self, short_id: str, body: Body) -> Body:
        """Start a run of what another one held, or of a part of it."""
        run, named = self._run(short_id), body.get("projectTestCaseIds")
        if named is not None and body.get("failedOnly"):
            raise Refused(400, "Provide either failedOnly or projectTestCaseIds, not both")
        cases = list((run.failures or {}) if body.get("failedOnly") else run.cases if named is None else named)
        if not cases or not set(cases) <= run.cases.keys():
            raise Refused(400, "No tests to rerun")
        return {"success": True, "run": self._begin(cases)}

    def create(self, body: Body) -> Body:
        """Make a test case."""
        self._need(body["applicationShortId"], body.get("scenarioShortId"), *body.get("configShortIds", ()))
        resumed = body.get("resumeFromDependencyProjectTestCaseId")
        for other in (*body.get("waitForDependenciesProjectTestCaseIds", ()), *([resumed] if resumed else ())):
            if other not in self.cases:
                raise Refused(404, f"Test case {other} not found")
        made = self.add_case(body["name"])
        url = f"{SITE}/test-cases/{made}/edit"
        return {"success": True, "testCase": {"id": made, "name": body["name"], "url": url}}

    def get(self, short_id: str, wanted: str | None, *, addresses: Sequence[str], is_open: Door) -> Body:
        """Tell how a run is doing; each look brings it nearer to its end."""
        run = self._run(short_id)
        status = self._status(run)
        if status == "COMPLETED" and run.failures is None:
            run.failures = _tried(run.cases, addresses, is_open)
        told = "other00" if "other-run" in self.habits else run.short_id
        result = self._result(run) if status == "COMPLETED" else None
        return {
            "id": run.id, "shortId": told, "status": status, "result": result,
            "runTestCases": list(_shown(run, wanted, ended=status == "COMPLETED")),
        }  # fmt: skip

    def cancel(self, short_id: str, *, status: Literal["CANCELLED", "ERROR"] = "CANCELLED") -> None:
        """End a run as somebody does it by hand, or as a fault at the vendor does it."""
        self._run(short_id).ended = status

    # ── runs ─────────────────────────────────────────────────────────────

    def _begin(self, cases: Iterable[str]) -> Body:
        number = next(self._ids)
        run = Run(str(UUID(int=number)), f"run{number:03d}", {case: self.cases[case] for case in cases})
        self.runs[run.short_id] = run
        return {"id": run.id, "shortId": run.short_id, "url": run.url, "testCount": len(run.cases)}

    def _status(self, run: Run) -> str:
        run.asked += 1
        if run.ended:
            return run.ended
        if "never-ends" in self.habits:
            return _STATES[run.asked > 1]
        if "out-of-order" in self.habits:  # an early answer comes late, before the end and after it
            return ("RUNNING", "INITIATED", "COMPLETED", "RUNNING")[(run.asked - 1) % 4]
        return _STATES[run.asked > 1] if run.asked <= self.polls else "COMPLETED"

    def _result(self, run: Run) -> str:
        changed = "changes-result" in self.habits and run.asked > self.polls + 1
        return {"PASSED": "FAILED", "FAILED": "PASSED"}.get(run.result, run.result) if changed else run.result

    def _run(self, short_id: str) -> Run:
        if short_id not in self.runs:
            raise Refused(404, f"Run {short_id} not found")
        return self.runs[short_id]

    def _need(self, *ids: str | None) -> None:
        for one in ids:
            if one is not None and one not in self.known:
                raise Refused(404, f"{one} not found")


def _tried(cases: Iterable[str], addresses: Sequence[str], is_open: Door) -> dict[str, str]:
    """Let every test go out from every address, as runners do over time; return why each that failed did."""
    if not addresses:
        return dict.fromkeys(cases, "There is no runner")
    shut = [address for address in addresses if not is_open(address)]
    return dict.fromkeys(cases, f"The site does not answer {', '.join(shut)}") if shut else {}


def _shown(run: Run, wanted: str | None, *, ended: bool) -> Iterable[Body]:
    failures = run.failures or {}
    for case, name in run.cases.items() if wanted else ():
        failed = ended and case in failures
        if wanted == "failed" and not failed:
            continue
        yield {
            "id": case, "shortId": f"rtc_{run.short_id}", "name": name,
            "status": "COMPLETED" if ended else "RUNNING",
            "result": ("FAILED" if failed else "PASSED") if ended else None,
            "resultTitle": failures[case] if failed else None,
            "evaluationThought": None, "promptGoal": None, "promptExamples": None,
        }  # fmt: skip
