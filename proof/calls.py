"""Every call to both strict clouds, met by every fault: once at its first use, once later, and without end.

The operations are those that unharmed runs were seen to make, so a new call is part of the matrix by itself. Each
trial has a group and a project of its own. A run that meets a fault may say an error; it may not say that all is
well when it isn't, that nothing was touched when something was, or leave what two more runs don't make good.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

from ipsync.demo.stage import Stage, stage
from ipsync.sandbox.faults import KINDS, Calls, Faults, Kind
from ipsync.targets.aws import client as aws_client
from ipsync.targets.gcp import calls as gcp_calls
from ipsync.targets.gcp import client as gcp_client
from proof.table import Row
from proof.trial import BEGINNINGS, CROWDED, FURTHER, Trial, settled

Cloud = Literal["aws", "gcp"]
PROCESSES = 6
"""Most of the time is waiting."""
ENDLESS = 200
SOME = 89
"""A quick run takes one combination in so many."""
WELL = {0, 2}
NEVER = "the fault never came"
ATTEMPTS = 3
ALL = (*BEGINNINGS, CROWDED)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a hang lasts, and after how long ipsync gives up on an answer; None: as in production. Seconds."""

    hang: float = 30.0
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Combination:
    """One fault: what it meets, after how many calls that go well, and how often."""

    beginning: int
    cloud: Cloud
    operation: str
    kind: Kind
    after: int
    times: int

    def __str__(self) -> str:
        often = "always" if self.times > 1 else f"at call {self.after + 1}"
        return f"{ALL[self.beginning].name}: {self.cloud} {self.operation} {self.kind}, {often}"


@dataclass(frozen=True, slots=True)
class Ended:
    """How one trial went: the exit code under the fault, and what was wrong."""

    combination: Combination
    code: int
    faults: list[str]


# ── one process with clouds of its own ───────────────────────────────────────

_stack = ExitStack()
_stage: list[tuple[Stage, Path, Patience]] = []
_numbers = iter(range(1, 1_000_000))


def _start(patience: Patience) -> None:
    folder = Path(_stack.enter_context(tempfile.TemporaryDirectory(prefix="ipsync-proof-")))
    clouds = _stack.enter_context(stage(folder))
    clouds.aws.faults.seconds = clouds.gcp.faults.seconds = patience.hang
    _stage.append((clouds, folder, patience))


@contextmanager
def _impatient(timeout: float | None) -> Iterator[None]:
    """Give up on answers after so many seconds; the runs before and after have all the time a slow machine takes."""
    if timeout is None:
        yield
        return
    usual = (aws_client.CONFIG, gcp_client.TIMEOUT, gcp_calls.DEADLINE)
    brief = aws_client.Config(read_timeout=timeout, retries={"total_max_attempts": 2, "mode": "standard"})
    aws_client.CONFIG, gcp_client.TIMEOUT, gcp_calls.DEADLINE = aws_client.CONFIG.merge(brief), timeout, 3 * timeout
    try:
        yield
    finally:
        aws_client.CONFIG, gcp_client.TIMEOUT, gcp_calls.DEADLINE = usual


def _trial(beginning: int) -> Trial:
    clouds, folder, _ = _stage[0]
    return Trial(clouds, folder, next(_numbers), ALL[beginning])


def _seen(beginning: int) -> list[tuple[Cloud, str, int]]:
    """Return which calls an unharmed run makes, and how often."""
    clouds, _, _ = _stage[0]
    trial = _trial(beginning)
    made: dict[Cloud, Calls] = {"aws": clouds.aws.calls_made, "gcp": clouds.gcp.calls_made}
    for calls in made.values():
        calls.clear()
    trial.sync()
    counts = {cloud: Counter(c.operation for c in calls.made) for cloud, calls in made.items()}
    return [(cloud, operation, n) for cloud, found in counts.items() for operation, n in found.items()]


def _meet(combination: Combination) -> Ended:
    """Play a combination; anew where another call was given up before the one that it is about: that shows nothing."""
    ended = _met(combination)
    for _ in range(ATTEMPTS - 1):
        if NEVER in ended.faults:
            ended = _met(combination)
    return ended


def _met(combination: Combination) -> Ended:
    clouds, _, patience = _stage[0]
    trial = _trial(combination.beginning)
    faults: Faults = {"aws": clouds.aws.faults, "gcp": clouds.gcp.faults}[combination.cloud]
    faults.plan(combination.operation, *[combination.kind] * combination.times, after=combination.after)
    with _impatient(patience.timeout):
        code = trial.sync()
    for cloud in (clouds.aws, clouds.gcp):
        cloud.calls_made.wait()
    met = not faults.waiting(combination.operation) or combination.times > 1
    faults.clear()
    found = [] if met else [NEVER]
    found += trial.faults(quiet=code in WELL)
    found += ["it said that nothing was touched"] if code == 1 and trial.held() != trial.before else []
    return Ended(combination, code, found + settled(trial))


# ── the matrix ───────────────────────────────────────────────────────────────


def rows(*, quick: bool) -> list[Row]:
    """Meet every combination; quick: some of them, with less patience."""
    patience = Patience(2.5, 2.0) if quick else Patience()
    processes = 2 if quick else PROCESSES
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(patience,)) as pool:
        seen = list(pool.map(_seen, range(len(ALL))))
        combinations = list(_combinations(seen))[:: SOME if quick else 1]
        ended = list(pool.map(_meet, combinations))
    return _table(ended)


def _combinations(seen: list[list[tuple[Cloud, str, int]]]) -> Iterator[Combination]:
    for beginning, calls in enumerate(seen):
        for cloud, operation, often in calls:
            for kind in KINDS:
                yield Combination(beginning, cloud, operation, kind, 0, 1)
                yield Combination(beginning, cloud, operation, kind, 0, ENDLESS)
                if often > 1:
                    yield Combination(beginning, cloud, operation, kind, often - 1, 1)


def _table(ended: list[Ended]) -> list[Row]:
    bad = [e for e in ended if e.faults]
    well = sum(e.code in WELL for e in ended)
    told = len(ended) - well
    operations = sorted({f"{e.combination.cloud} {e.combination.operation}" for e in ended})
    reached = f"{well} done all the same, {told} told an error and {'made' if not bad else 'not all made'} good in ≤ {FURTHER}"
    return [
        Row(
            f"{len(operations)} cloud calls × {len(KINDS)} faults", len(ended), reached, "all converge in ≤ 2", not bad
        ),
        Row("  the calls", len(operations), ", ".join(operations)),
        *(Row("  BROKEN", 1, f"{e.combination}, exit {e.code}: {'; '.join(e.faults)}") for e in bad[:20]),
    ]
