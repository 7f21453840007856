"""Hypothesis' state machine over ipsync, far longer than in the tests, with another seed in each process."""

from __future__ import annotations

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from proof.table import Row

PROCESSES = max(2, os.cpu_count() or 2)
TO_REACH = 200_000
EXAMPLES, LENGTH = 100, 50
MOST_SHOWN = 40_000


def rows(steps: int) -> list[Row]:
    """Run at least this many steps; judged against the promised number where that many were asked for."""
    share = -(-steps // PROCESSES)
    os.environ["PYTHONHASHSEED"] = (
        "0"  # of the processes to come: sets in another order are another story for the same seed
    )
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        managed_lists = list(pool.map(_run, [share] * PROCESSES, range(1, PROCESSES + 1)))
    counts = sum((Counter(c) for c, _, _ in managed_lists), Counter[str]())
    faults = [fault for *_, fault in managed_lists if fault]
    total, writes = counts.total(), sum(judged for _, judged, _ in managed_lists)
    kinds = ", ".join(f"{name} {number:,}" for name, number in counts.most_common())
    reached = f"{total:,} steps, {writes:,} writes judged, {len(faults)} words of the referee"
    ok = not faults and total >= min(steps, TO_REACH)
    return [
        Row("stateful machine", total, reached, f"≥ {min(steps, TO_REACH):,} steps, 0 words", ok),
        Row("  of them", total, kinds),
        *(Row("  BROKEN", 1, fault) for fault in faults),
    ]


def _run(steps: int, seed: int) -> tuple[dict[str, int], int, str]:
    """Run the machine until it has made so many steps; return the counts, the writes judged, and the first fault's story."""
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis import seed as seeded
    from hypothesis.stateful import run_state_machine_as_test
    from machine import STEPS, WRITES, Promises

    how = settings(
        max_examples=EXAMPLES,
        stateful_step_count=LENGTH,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        phases=[Phase.generate],  # to make a story short takes minutes; whoever mends the fault has them
    )
    round_ = 0
    while STEPS.total() < steps:
        round_ += 1
        try:
            run_state_machine_as_test(seeded(seed * 1_000_000 + round_)(Promises), settings=how)
        except Exception as error:  # noqa: BLE001 - Hypothesis tells several faults as a group
            story = f"seed {seed * 1_000_000 + round_}: {_story(error)}"
            print(
                f"after {STEPS.total():,} steps: {story}", file=sys.stderr, flush=True
            )  # the others may go on for long
            return dict(STEPS), WRITES.total(), story
    return dict(STEPS), WRITES.total(), ""


def _story(error: BaseException) -> str:
    """Return what was done, and what the referee said of it."""
    return "\n".join([str(error), *getattr(error, "__notes__", [])])[:MOST_SHOWN]
