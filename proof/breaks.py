"""Each promise broken on purpose, in a copy: the state machine must notice, or its silence proves nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from proof import ROOT
from proof.table import Row

EXAMPLES, LENGTH, ROUNDS = 250, 30, 4
RUN = f"""
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from machine import Promises
how = settings(max_examples={EXAMPLES}, stateful_step_count={LENGTH}, deadline=None, database=None,
               suppress_health_check=list(HealthCheck), phases=[Phase.generate])
for number in range({ROUNDS}):
    run_state_machine_as_test(seed(number)(Promises), settings=how)
"""
SOME = 3
"""A quick run takes one break in so many."""
BROKEN = 1
"""Python's exit code for an uncaught exception."""


@dataclass(frozen=True, slots=True)
class Break:
    """A promise, and the change to one file that breaks it."""

    what: str
    path: str
    old: str
    new: str


BREAKS = (
    Break("what others made is ours too", "diff.py", "        known = owned.get(entry)\n", '        mark = mark or Mark(owner, ("web",), "")\n        known = owned.get(entry)\n'),
    Break("a broken feed holds nothing back", "diff.py", "if _may_be_wanted(item, state, policy):", "if False:"),
    Break("no grace", "diff.py", "+ policy.grace\n", "\n"),
    Break("a shorter grace", "diff.py", "+ policy.grace\n", "+ policy.grace * 0.8\n"),
    Break("a mark from a wrong clock is set anew", "diff.py", "CLOCK_SKEW = timedelta(hours=48)", "CLOCK_SKEW = timedelta(hours=1)"),
    Break("a target may be emptied", "guards.py", "if move.after or not move.before:", "if True:"),
    Break("any number may be removed", "guards.py", "if len(gone) > most:", "if False:"),
    Break("any number may be added", "guards.py", "if not held or len(new) <= most:", "if True:"),
    Break("private addresses are let in", "guards.py", "    if not offenders:\n", "    if True:\n"),
    Break("a failed feed is an empty list", "engine/observe.py", "feed.url, None, str(error)", 'feed.url, Snapshot(feed.name, feed.url, (), "", run.clock())'),
    Break("what can't be read is empty", "engine/observe.py", "str(error)) for t in targets]\n    except Exception", "str(error)) for t in ()]\n    except Exception"),
    Break("a lost reply means failed", "engine/write.py", "        result, now = _read_back(run, target, work, step)\n", '        result, now = "failed", None\n'),
    Break("nothing is settled after a kill", "engine/settle.py", "    for intent in run.open_intents:\n", "    for intent in ():\n"),
    Break("one intent, two writes", "engine/write.py", "        receipt = writer.execute(step)\n", "        writer.execute(step)\n        receipt = writer.execute(step)\n"),
    Break("removed before added", "plan.py", "remove_first=first", "remove_first=True"),
)  # fmt: skip


def rows(*, quick: bool) -> list[Row]:
    """Break each promise (quick: some) in turn and see whether the machine notices."""
    with tempfile.TemporaryDirectory(prefix="ipsync-proof-") as name:
        told = {b.what: _told(b, Path(name)) for b in BREAKS[:: SOME if quick else 1]}
    silent = [f"{what}: {text}" for what, text in told.items() if text]
    reached = f"{len(told) - len(silent)} of {len(told)} noticed"
    return [
        Row("promises broken on purpose", len(told), reached, "all noticed", not silent),
        *(Row("  BROKEN", 1, text) for text in silent),
    ]


def _told(broken: Break, folder: Path) -> str:
    """Return nothing if it was noticed, else what happened instead."""
    copy = folder / "ipsync"
    shutil.copytree(ROOT / "ipsync", copy, dirs_exist_ok=True)
    path = copy / broken.path
    text = path.read_text()
    if broken.old not in text:
        return f"{broken.path} has changed: there is no {broken.old!r} to break"
    path.write_text(text.replace(broken.old, broken.new))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "tests"), str(ROOT)])}
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    noticed = done.returncode == BROKEN and "state = Promises()" in done.stderr  # a story, not a slip in the break
    return "" if noticed else f"not noticed (exit {done.returncode}) {done.stderr[-300:]}"
