"""Real processes, real SIGKILL, real HTTP: killed at every point, then again while recovering, over both embedded clouds.

Each trial has a group and a project of its own. The victims are forked from a process that has imported
everything, which makes hundreds of them affordable; some more are plain `ipsync sync` commands killed at
random moments. Whatever changed in a cloud must be named by an intent in the log, however the process ended.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from ipsync.demo.stage import Stage, stage
from proof import victim
from proof.table import Row
from proof.trial import BEGINNINGS, FURTHER, Trial, forked, settled

SEED = 20260131
TO_REACH = 1000
PARTS = max(2, os.cpu_count() or 2)


# ── the runs ─────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Share:
    """What one of several processes does of it all: each `parts`th run, from `part` on."""

    part: int
    parts: int
    runs: int
    random_runs: int


def kills(share: Share, clouds: Stage, folder: Path) -> Iterator[list[str]]:
    """Yield the faults of each trial: two kills at points that together visit every point of every beginning."""
    number = 0
    chance = random.Random(SEED + share.part)
    for beginning in BEGINNINGS:
        number += 1
        _, points = forked(victim.sync, Trial(clouds, folder, number, beginning)) or (0, 0)
        each = share.runs // len(BEGINNINGS)
        for nth in range(share.part, each, share.parts):
            number += 1
            trial = Trial(clouds, folder, number, beginning)
            first = 1 + nth * max(points, each) // each % points
            forked(victim.sync, trial, first)
            found = trial.faults(quiet=False)
            forked(victim.sync, trial, chance.randint(1, points))
            found += trial.faults(quiet=False)
            yield [f"{beginning.name}, killed at {first} of {points}: {f}" for f in found + settled(trial)]


def commands(share: Share, clouds: Stage, folder: Path) -> Iterator[list[str]]:
    """Yield the faults of each plain `ipsync sync` that is killed at a random moment."""
    chance = random.Random(SEED - 1 - share.part)
    for nth in range(share.part, share.random_runs, share.parts):
        trial = Trial(clouds, folder, 10_000 + nth, BEGINNINGS[nth % 2])
        command = [sys.executable, "-m", "ipsync", "sync", "-c", str(trial.path)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.3 + 2.5 * chance.random())
        process.kill()
        process.wait()
        yield [f"a command killed at random: {f}" for f in trial.faults(quiet=False) + settled(trial)]


def run(share: Share) -> tuple[list[list[str]], list[list[str]]]:
    """Do one share over clouds of its own; return the faults of its trials, at points and at random moments."""
    with tempfile.TemporaryDirectory(prefix="ipsync-proof-") as name, stage(Path(name)) as clouds:
        return list(kills(share, clouds, Path(name))), list(commands(share, clouds, Path(name)))


def rows(runs: int, random_runs: int, *, parts: int = 1) -> list[Row]:
    """Kill so many processes at points, and so many at random moments."""
    shares = [Share(part, parts, runs, random_runs) for part in range(parts)]
    with ProcessPoolExecutor(parts, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(run, shares)) if parts > 1 else [run(shares[0])]
    at_points, at_random = ([faults for one in done for faults in one[kind]] for kind in (0, 1))
    bad = [fault for found in (*at_points, *at_random) for fault in found]
    return [
        _row("kill × kill, real processes", at_points),
        _row("kill at a random moment, `ipsync sync`", at_random),
        *(Row("  BROKEN", 1, text) for text in bad[:5]),
    ]


def _row(what: str, found: list[list[str]]) -> Row:
    bad = sum(bool(f) for f in found)
    reached = f"{len(found) - bad:,} of {len(found):,} converge, in ≤ {FURTHER} further runs"
    return Row(what, len(found), reached, "all, in ≤ 2", not bad)
