"""Each promise broken on purpose, in a copy: the state machine must notice, or its silence proves nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
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
SOME = 43
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
    other: str = ""
    instead: str = ""
    """Where two lines keep one promise, the second one, and what stands in its place."""


BREAKS = (
    # ── an entry's fate ──
    Break("what others made is ours too", "core/diff.py", "        known = owned.get(entry)\n", '        mark = mark or Mark(owner, ("web",), "")\n        known = owned.get(entry)\n'),
    Break("a broken feed holds nothing back", "core/leaving.py", "if _may_be_wanted(item, state, policy):", "if False:"),
    Break("what belongs to nobody is ours to remove", "core/leaving.py", "    if nobodys:\n", "    if False:\n"),
    Break("the operator's word waits too", "core/leaving.py", "if named and _taken_out(item, state, named, policy.feeds):", "if False:"),
    Break("a renamed feed was taken out", "core/leaving.py", "origins <= configured - {f for t in named for f in t.feeds}", "not origins & {f for t in named for f in t.feeds}"),
    Break("no grace", "core/leaving.py", "+ policy.grace\n", "\n"),
    Break("a shorter grace", "core/leaving.py", "+ policy.grace\n", "+ policy.grace * 0.8\n"),
    Break("a mark from a wrong clock is set anew", "core/leaving.py", "CLOCK_SKEW = timedelta(hours=48)", "CLOCK_SKEW = timedelta(hours=1)"),
    Break("icmp goes with every family", "core/desired.py", "[s for s in target.services if suits(s.protocol, network.version)]", "list(target.services)"),
    # ── marks ──
    Break("a frozen entry is given to its sibling", "core/marking.py", "if policy.frozen and policy.frozen & policy.sharing & set(mark.targets):", "if False:"),
    Break("a frozen target's name is taken out of the list", "core/marking.py", "targets=tuple(sorted({t.name for t in sharing} | frozen))", "targets=tuple(sorted({t.name for t in sharing}))"),
    Break("a list's mark says what its ranges said", "core/diff.py", "list_mark(item.mark, by, policy) if state.traits.whole_lists else kept_mark(item.mark, by, policy)", "kept_mark(item.mark, by, policy)"),
    # ── who may be touched ──
    Break("what isn't selected is planned too", "core/at_rest.py", "if n not in self.chosen or self.blockers[n])", "if self.blockers.get(n))"),
    Break("a match that can't be read is none", "core/unknown.py", "if t.scope in observed.unread or _among(t, blind)]", "if t.scope in observed.unread]"),
    Break("a scope that isn't read names nothing", "engine/read.py", "if t.scope not in read)", "if False)"),
    Break("one resource through two scopes is two", "engine/read.py", "    return list(found.values())\n", "    return list(states)\n"),
    Break("another config's list is our overflow", "core/other_configs.py", "    if not strays:\n", "    if True:\n"),
    Break("a frozen sibling's settings are changed", "core/planner.py", "keep_settings=len(healthy) < len(targets),", "keep_settings=False,"),
    Break("a failed feed is an empty list", "engine/read.py", "feed.url, None, str(error)", 'feed.url, Snapshot(feed.name, feed.url, (), "", run.clock())'),
    Break("what can't be read is empty", "engine/read.py", "why, all_of=True) for t in targets]", "why, all_of=True) for t in ()]"),
    # ── guards ──
    Break("a target may be emptied", "core/judgement.py", "return bool(self.change.remove) and not (self.change.keep or self.change.remark or self.change.add)", "return False", "if freed.remove and not (freed.keep or freed.remark or freed.add):", "if False:"),
    Break("any number may be removed", "core/guards.py", "return next((reason for reason in found if reason), None)", "return None"),
    Break("any number may be taken out", "core/guards.py", "    if len(gone) <= most:\n", "    if True:\n"),
    Break("wide networks may be lost", "core/guards.py", "    if not lost:\n        return None\n", "    return None\n"),
    Break("what isn't due yet doesn't count", "core/judgement.py", "if m.entry not in change.taken_out] + leaving", "if m.entry not in change.taken_out]"),
    Break("what came yesterday counts as held", "core/judgement.py", "return frozenset(m.entry.network for m in held) - old", "return frozenset()"),
    Break("any number may be added", "core/guards.py", 'more than {most}") if new > most else None', 'more than {most}") if False else None'),
    Break("an address may become a network", "core/guards.py", "    if more <= most:\n", "    if True:\n"),
    Break("a feed may cover everything", "core/guards.py", "    if covered <= most:\n", "    if True:\n"),
    Break("private addresses are let in", "core/guards.py", "    if not offenders:\n", "    if True:\n"),
    Break("a frozen sibling's limits don't hold", "core/planner.py", "judged = judge(state, change, targets, now", "judged = judge(state, change, healthy, now"),
    Break("what doesn't fit is sent", "core/guards.py", "if more and peak > room.limit:", "if False:"),
    Break("more rules are made than the project may hold", "core/planner.py", "(full := self._full(resource_change)):", "(full := []):"),
    Break("a removal that waits keeps others out", "core/plan.py", "        if self.stops:\n", "        if self.stops or self.held:\n"),
    Break("an approval lets everything go", "core/plan.py", "return known if self.id in given else known & given", "return known if given else known & given"),
    # ── order ──
    Break("removed before added", "core/plan.py", "removals_first=over,", "removals_first={4: 999, 6: 999},"),
    Break("a list is narrowed before the others are widened", "core/operations.py", "for item in (*widened, *changed, *sorted(narrowed", "for item in (*narrowed, *widened, *changed, *sorted(()"),
    Break("what is denied is passed over", "engine/apply.py", 'elif told.outcome != "applied":', 'elif told.outcome not in {"applied", "denied"}:'),
    # ── the report and the log ──
    Break("a deleted rule isn't said", "core/shown.py", 'if s.managed and s.kind == "delete")', "if False)"),
    Break("settings aren't shown", "core/shown.py", "for s in listed for item in operation_settings(s)", "for s in () for item in step_settings(s)"),
    Break("a lost reply means failed", "engine/apply.py", "        result, now = read_back(run, target, resource_change, operation)\n", '        result, now = "failed", None\n'),
    Break("nothing is settled after a kill", "engine/recover.py", "    for intent in run.open_intents:\n", "    for intent in ():\n"),
    Break("one intent, two writes", "engine/apply.py", "        receipt = writer.execute(operation)\n", "        writer.execute(operation)\n        receipt = writer.execute(operation)\n"),
)  # fmt: skip


def rows(*, quick: bool) -> list[Row]:
    """Break each promise (quick: some) in turn and see whether the machine notices."""
    chosen = BREAKS[:: SOME if quick else 1]
    with tempfile.TemporaryDirectory(prefix="ipsync-proof-") as name, ThreadPoolExecutor(os.cpu_count()) as pool:
        folders = [Path(name) / str(number) for number in range(len(chosen))]
        told = dict(zip([b.what for b in chosen], pool.map(_told, chosen, folders), strict=True))
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
    for old, new in ((broken.old, broken.new), (broken.other, broken.instead)):
        if old not in text:
            return f"{broken.path} has changed: there is no {old!r} to break"
        text = text.replace(old, new) if old else text
    path.write_text(text)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "tests"), str(ROOT)])}
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    noticed = done.returncode == BROKEN and "state = Promises()" in done.stderr  # a story, not a slip in the break
    return "" if noticed else f"not noticed (exit {done.returncode}) {done.stderr[-300:]}"
