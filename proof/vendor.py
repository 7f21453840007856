"""The vendor's API met by every fault, and processes that are killed while they wait for its proof.

Every endpoint × every fault, first through the client, then through a sync in waves, with the canary's door open and shut:
nothing of the later wave is written unless a run really passed, nothing that starts something is sent twice, and once
the fault is gone two more runs make all good. The processes are real, over the embedded clouds.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import get_args
from unittest.mock import patch

from waves import CANARY, MAIN, SMOKE, A, Waves, stage

from ipsync import app, audit
from ipsync.core.errors import IpsyncError
from ipsync.core.report import Report, exit_code
from ipsync.demo import stage as demo
from ipsync.demo.waves import Shop
from ipsync.sandbox.faults import KINDS, Kind, Shape
from ipsync.sandbox.qatech.project import Habit
from ipsync.sandbox.qatech.vendor import OPERATIONS, TOKEN, Vendor
from ipsync.verification import waiting
from ipsync.verification.base import Verifier
from ipsync.verification.errors import AnswerLost
from ipsync.verification.qatech import asking
from ipsync.verification.qatech.bodies import RerunRequest, RunRequest, TestCaseRequest
from ipsync.verification.qatech.client import Client
from ipsync.verification.qatech.verifier import QatechVerifier
from proof.table import Row

FAULTS: tuple[Kind, ...] = (*KINDS, "denied", "quota", *get_args(Shape))
HABITS: tuple[Habit, ...] = get_args(Habit)
ENDLESS, HANG, PATIENCE = 50, 1.5, 1.0
"""How often an endless fault comes; how long a hang lasts, and after how long an answer is given up. Seconds."""
SOME, FURTHER, SOON = 17, 2, 60.0
ADDRESS = "8.8.8.8"
NEVER = "the fault never came"
LOST = {"500", "malformed", "reset-after", "hang", *get_args(Shape)}
"""After these nobody knows whether a request that starts something was carried out."""


@dataclass(frozen=True, slots=True)
class Combination:
    """One fault of one operation, how often it comes, and whether the canary's door is open."""

    operation: str
    kind: str
    times: int
    is_open: bool = True

    def __str__(self) -> str:
        often = "always" if self.times > 1 else "once"
        return f"{self.operation} {self.kind}, {often}, door {'open' if self.is_open else 'shut'}"


def rows(*, quick: bool) -> list[Row]:
    """Meet every combination; quick: some of them, and few kills."""
    step = SOME if quick else 1
    return [
        _row("QA.tech's endpoints × faults, the client", called, list(_calls())[::step]),
        _row("QA.tech's faults × a sync in waves", synced, list(_syncs())[::step]),
        *_processes(kills=1 if quick else 24, pairs=1 if quick else 6),
    ]


def _row(what: str, meet: Callable[[Combination], list[str]], combinations: Sequence[Combination]) -> Row:
    with _impatient():
        bad = [f"{each}: {'; '.join(found)}" for each in combinations if (found := _met(meet, each))]
    reached = f"{len(combinations) - len(bad)} told as what they are" + (f"; {bad[0]}" if bad else "")
    return Row(what, len(combinations), reached, "all; no false passed, no start sent twice", not bad)


def _met(meet: Callable[[Combination], list[str]], combination: Combination) -> list[str]:
    """Meet a combination; anew where a slow machine let another exchange end first: that shows nothing."""
    found = meet(combination)
    return meet(combination) if NEVER in found else found


@contextmanager
def _impatient() -> Iterator[None]:
    with patch.multiple(waiting, FIRST=0.001, GROWTH=1.0), patch.object(asking, "PAUSE", 0.001):
        yield


def _calls() -> Iterator[Combination]:
    yield from (Combination(o, kind, times) for o in OPERATIONS for kind in FAULTS for times in (1, ENDLESS))


def _syncs() -> Iterator[Combination]:
    for is_open in (True, False):
        for operation in ("run.start", "run.get") if is_open else ("run.start", "run.get", "run.rerun"):
            for kind in FAULTS:
                yield from (Combination(operation, kind, times, is_open) for times in (1, ENDLESS))
        yield from (Combination("habit", habit, ENDLESS, is_open) for habit in HABITS)


@contextmanager
def _vendor() -> Iterator[Vendor]:
    with Vendor([ADDRESS]) as made:
        made.faults.seconds, made.retry_after = HANG, 0
        yield made
        made.faults.clear()


# ── the client ───────────────────────────────────────────────────────────────


def called(combination: Combination) -> list[str]:
    """Ask one thing under a fault; return what is wrong with what came of it."""
    with _vendor() as vendor:
        client = Client(url=vendor.url, token=TOKEN, timeout=PATIENCE)
        run = client.start(RunRequest(test_plan="pln_smoke")).short_id
        asks: dict[str, Callable[[], object]] = {
            "outbound-ips": client.outbound_ips,
            "run.start": lambda: client.start(RunRequest()),
            "run.get": lambda: client.run(run, test_cases="failed"),
            "run.rerun": lambda: client.rerun(run, RerunRequest()),
            "test-cases.create": lambda: client.create_test_case(
                TestCaseRequest(name="x", goal="x", application="app_shop")
            ),
        }
        vendor.calls.clear()
        _plan(vendor, combination)
        error = _error(asks[combination.operation])
        return list(_wrong(combination, error, len(vendor.calls.made)))


def _plan(vendor: Vendor, combination: Combination) -> None:
    vendor.faults.plan(combination.operation, *[combination.kind] * combination.times)  # type: ignore[list-item]


def _error(ask: Callable[[], object]) -> IpsyncError | None:
    try:
        ask()
    except IpsyncError as error:
        return error
    return None


def _wrong(combination: Combination, error: IpsyncError | None, sent: int) -> Iterator[str]:
    if combination.operation in {"outbound-ips", "run.get"}:
        if error is None and combination.times > 1:
            yield "an answer came of nothing"
        return
    if sent != 1:
        yield f"sent {sent} times"
    if error is None:
        yield "taken for done"
    elif isinstance(error, AnswerLost) != (combination.kind in {*LOST, "reset-before"}):
        yield f"told as {type(error).__name__}"
    if TOKEN in str(error):
        yield "the token is shown"


# ── a sync in waves ──────────────────────────────────────────────────────────


def synced(combination: Combination) -> list[str]:
    """Sync under a fault, then without it; return what is wrong."""
    here = stage(A, checks=[replace(SMOKE, timeout=0.3 if combination.times > 1 else 20.0, rerun_failed=1)])
    with _vendor() as vendor:
        vendor.is_open = lambda _address: combination.is_open and bool(here.held(CANARY))
        if combination.operation == "habit":
            vendor.project.habits.add(combination.kind)  # type: ignore[arg-type]
        else:
            _plan(vendor, combination)
        here.vendor = _Real(vendor)  # type: ignore[assignment]
        report = here.sync()
        found = list(_false(combination, here, vendor, report))
        never = vendor.faults.waiting(combination.operation) == combination.times
        found += [NEVER] if never else []
        vendor.faults.clear()
        vendor.project.habits.clear()
        vendor.is_open = lambda _address: bool(here.held(CANARY))
        codes = [exit_code(here.sync(), detailed=False) for _ in range(FURTHER)]
        found += [] if codes[-1] == 0 and here.held(MAIN) == [A] else [f"two more runs end with {codes}"]
        return found + vendor.violations


@dataclass(slots=True)
class _Real:
    """Whom the stage asks: the vendor over HTTP."""

    vendor: Vendor

    def asked(self, _change: object) -> Verifier:
        client = Client(url=self.vendor.url, token=TOKEN, timeout=PATIENCE, stop=Event())
        return QatechVerifier(client, RunRequest(test_plan="pln_smoke"))


def _false(combination: Combination, here: Waves, vendor: Vendor, report: Report) -> Iterator[str]:
    sent = [call.operation for call in vendor.calls.made]
    passed = here.held(MAIN) == [A]
    if passed != (exit_code(report, detailed=False) == 0):
        yield "the exit code says something else"
    if passed and not any(run.failures == {} for run in vendor.project.runs.values()):
        yield "a false passed: no run of the vendor's passed"
    if sent.count("run.start") > 1 or sent.count("run.rerun") > 1:
        yield "something was started twice"
    if not passed and not report.waves[1].detail:
        yield "nobody says why it waits"
    passing = combination.operation == "run.get" and combination.times == 1 and combination.kind in KINDS
    harmless = passing or combination.kind in {"out-of-order", "changes-result"}
    if combination.is_open and harmless and not passed:
        yield "it held without a reason"


# ── processes ────────────────────────────────────────────────────────────────


class Scene:
    """The embedded clouds, the vendor, and a shop in two waves; each trial lists one address more."""

    def __init__(self, clouds: demo.Stage, first: Path) -> None:
        self.vendor = clouds.vendor
        self.shop = Shop(clouds.aws, clouds.feed, clouds.vendor, demo.REGION)
        self.config = self.shop.config(first)
        self.path = first.with_name("waves.yaml")
        self.listed = [f"8.8.{n}.1" for n in range(4)]
        self.shop.listed(self.listed)
        app.sync_once(self.config)

    def newcomer(self) -> str:
        """List one more address, and let the vendor's runs take until they are told to end."""
        address = f"8.9.{len(self.listed)}.1"
        self.listed = [*self.listed, address]
        self.shop.listed(self.listed)
        self.vendor.calls.clear()
        self.vendor.project.polls = 10**9
        return address

    def started(self) -> subprocess.Popen[bytes]:
        """Start a plain `ipsync sync`."""
        command = [sys.executable, "-m", "ipsync", "sync", "-c", str(self.path)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def seen(self, operation: str) -> int:
        """Tell how often the vendor was asked for something."""
        return sum(call.operation == operation for call in self.vendor.calls.made)

    def holds(self, group: str, address: str) -> bool:
        """Tell whether a group lets an address in."""
        return address in str(self.shop.rules(group))


def killed(scene: Scene, polls: int, number: int) -> list[str]:
    """End a process while it waits, by SIGKILL or SIGTERM; the next pass asks for the same run by its id."""
    newcomer = scene.newcomer()
    process = scene.started()
    found = [] if _until(lambda: scene.seen("run.get") >= polls) else ["it never waited"]
    began = time.monotonic()
    process.send_signal(number)
    process.wait(SOON)
    late = time.monotonic() - began > SOON / 2
    found += ["it took long to end"] if late else []
    found += ["main was written without a proof"] if scene.holds(scene.shop.rest, newcomer) else []
    scene.vendor.project.polls = 0
    code = exit_code(app.sync_once(scene.config), detailed=False)
    found += [] if code == 0 and scene.holds(scene.shop.rest, newcomer) else [f"the next pass ended with {code}"]
    found += [] if scene.seen("run.start") == 1 else [f"{scene.seen('run.start')} runs were started for one proof"]
    return found + ([] if audit.verify(Path(scene.config.audit_path)).ok else ["the log doesn't verify"])


def paired(scene: Scene) -> list[str]:
    """Two plain syncs at once: one run, both well, nothing written twice."""
    newcomer = scene.newcomer()
    first = scene.started()
    found = [] if _until(lambda: scene.seen("run.get") > 0) else ["the first never waited"]
    planned = _plans(scene)
    second = scene.started()
    # The second one joins in where the first one gave the right to write away: the log shows its plan.
    found += [] if _until(lambda: _plans(scene) > planned) else ["the second never planned"]
    scene.vendor.project.polls = 0
    codes = [each.wait(SOON) for each in (first, second)]
    found += [] if codes == [0, 0] else [f"they ended with {codes}"]
    found += [] if scene.seen("run.start") == 1 else [f"{scene.seen('run.start')} runs were started for one proof"]
    found += [] if scene.holds(scene.shop.rest, newcomer) else ["main was not written"]
    return found + ([] if audit.verify(Path(scene.config.audit_path)).ok else ["the log doesn't verify"])


def _plans(scene: Scene) -> int:
    return sum(record["event"] == "plan" for record in audit.show(Path(scene.config.audit_path)))


def _until(happened: Callable[[], bool]) -> bool:
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        if happened():
            return True
        time.sleep(0.01)
    return False


def _processes(*, kills: int, pairs: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="ipsync-proof-") as name, demo.stage(Path(name)) as clouds:
        scene = Scene(clouds, clouds.config_path)
        signals = (signal.SIGKILL, signal.SIGTERM)
        ended = [killed(scene, 1 + nth // 2 % 3, signals[nth % 2]) for nth in range(kills)]
        yield _judged("killed while it waits for the vendor", ended, "all; the run is picked up by its id")
        yield _judged("two syncs that verify at once", [paired(scene) for _ in range(pairs)], "all; one run for both")


def _judged(what: str, found: Sequence[list[str]], to_reach: str) -> Row:
    bad = [fault for each in found for fault in each]
    well = sum(not each for each in found)
    return Row(what, len(found), f"{well} of {len(found)} go on{f'; {bad[0]}' if bad else ''}", to_reach, not bad)
