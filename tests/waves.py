"""A config in waves over a cloud in memory, a log that hands on how they stand, and a verifier that tests script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from factory import NOW, Log, Stage, aws_target, config

from ipsync import engine
from ipsync.core.events import Intent, Record
from ipsync.core.marks import format_time
from ipsync.core.report import exit_code
from ipsync.core.rollout import Check, VendorRun, Wave
from ipsync.core.standing import standing, taken
from ipsync.verification.base import Result
from ipsync.verification.errors import VerificationError

CANARY, MAIN = "aws/1/eu-north-1/sg-1", "aws/1/eu-north-1/sg-2"
SMOKE = Check("smoke", VendorRun(), timeout=5.0, rerun_failed=0)
WAVES = (Wave("canary", ("smoke",)), Wave("main"))
A, B, C = "8.8.8.8/32", "9.9.9.9/32", "1.1.1.1/32"


def target(name: str, group: str, wave: str = ""):
    return replace(aws_target(name, where={"groups": (group,)}), wave=wave)


def statuses(report) -> dict[str, str]:
    """Return how each target ended."""
    return {e.target: e.status.value for e in report.plan.target_changes}


def waves(report) -> dict[str, str]:
    """Return how each wave ended."""
    return {w.name: w.state.value for w in report.waves}


def code(report) -> int:
    """Return what the command exits with."""
    return exit_code(report, detailed=False)


class Killed(BaseException):
    """The process is gone."""


@dataclass(slots=True)
class Vendor:
    """Runs of tests: each passes or fails as `open` says when it ends, or as `ends` says in turn."""

    open: Callable[[], bool] = lambda: True
    ends: list[Result | Exception] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    polled: list[str] = field(default_factory=list)
    on_start: Callable[[], None] = lambda: None
    on_poll: Callable[[], None] = lambda: None
    wave: str = ""
    """The wave that it was last asked for."""

    def asked(self, change: Callable[[], Mapping[str, object]]) -> Vendor:
        self.wave = str(change()["wave"])
        return self

    def start(self) -> Result:
        self.on_start()
        self.started.append(f"run{len(self.started) + 1}")
        return Result("running", self.started[-1], f"https://qa/{self.started[-1]}")

    def poll(self, run_id: str, *, within: float = 0) -> Result:
        del within
        self.polled.append(run_id)
        self.on_poll()
        if self.ends:
            end = self.ends.pop(0)
            if isinstance(end, Exception):
                raise end
            return replace(end, run_id=run_id)
        return Result("passed", run_id) if self.open() else Result("failed", run_id, failed=("The start page",))

    def rerun_failed(self, run_id: str) -> Result:
        if run_id not in self.started:
            raise VerificationError("no such run")
        return self.start()


@dataclass(slots=True)
class Dated(Log):
    """A log whose records have what the real one's have besides."""

    clock: Callable[[], object] = lambda: NOW

    def record(self, event: Record):
        done = Log.record(self, event)
        self.records[-1] |= {"owner": "acme", "at": format_time(self.clock())}
        return done


@dataclass(slots=True)
class Mine:
    """A log that several runs share, as one of them sees it."""

    log: Dated
    run: str

    def record(self, event: Record):
        done = self.log.record(event)
        self.log.records[-1]["run"] = self.run
        return done


@dataclass(slots=True)
class Waves(Stage):
    """A stage in waves."""

    vendor: Vendor = field(default_factory=Vendor)
    stop: object = None
    runs: int = 0

    def __post_init__(self) -> None:
        self.cloud.groups = {CANARY: {}, MAIN: {}}
        self.log = Dated(clock=lambda: self.now)

    def run(self, *only: str) -> engine.Run:
        self.runs += 1
        log = Mine(self.log, f"r{self.runs}")
        made = replace(Stage.run(self, *only), id=log.run, recorder=log, turn=engine.Turn(lambda: self.heard(log.run)))
        stop = {"stop": self.stop} if self.stop else {}
        return replace(made.refreshed(), verifier=lambda _check, change: self.vendor.asked(change), **stop)

    def heard(self, run: str) -> engine.Heard:
        words = {}
        for record in self.log.records:
            if word := taken(record):
                words[word[0]] = word[1]
        known = standing(words.values(), owner="acme", config="", checks=self.config.checks)
        others = sum(Intent.names(r) and r["run"] != run for r in self.log.records)
        return engine.Heard(known, self.log.pending(), others)


def stage(*listed: str, waves: Iterable[Wave] = WAVES, checks: Iterable[Check] = (SMOKE,), targets=None) -> Waves:
    targets = targets or (target("web", "sg-1", "canary"), target("app", "sg-2", "main"))
    made = replace(config(*targets), waves=tuple(waves), checks=tuple(checks))
    return Waves(made, lists={"qatech": listed})
