"""A full disk, a read-only one, a clock that jumps, a signal in the middle, eight at once: over both embedded clouds."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from ipsync.core.contents import Contents, contents
from ipsync.demo.stage import Stage, stage
from ipsync.sandbox.faults import Calls, Faults
from proof import victim
from proof.table import Row
from proof.trial import BEGINNINGS, OLD, Beginning, Trial, ended, forked, settled, started

EIGHT = 8
SOON = 30.0
"""Seconds from SIGTERM to the end at the latest: then Kubernetes kills."""
CHANGED = BEGINNINGS[1]
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
WRITES = (
    ("aws", "AuthorizeSecurityGroupIngress"),
    ("aws", "CreateTags"),
    ("gcp", "firewalls.patch"),
    ("gcp", "globalOperations.wait"),
    ("aws", "DescribeSecurityGroupRules"),
    ("gcp", "firewalls.list"),
)
"""Calls that the run with the changed list makes; a signal comes while a cloud keeps it waiting for one."""


class Room:
    """The embedded clouds and a folder, with a new trial whenever one is asked for."""

    def __init__(self, clouds: Stage, folder: Path) -> None:
        self.clouds, self.folder, self._numbers = clouds, folder, count(1)

    def trial(self, beginning: Beginning) -> Trial:
        """Return a trial of its own."""
        return Trial(self.clouds, self.folder, next(self._numbers), beginning)


def rows(*, quick: bool) -> list[Row]:
    """Try everything; quick: little of each, and no cloud hangs for long."""
    with tempfile.TemporaryDirectory(prefix="ipsync-proof-") as name, stage(Path(name)) as clouds:
        room, chosen = Room(clouds, Path(name)), (CHANGED,) if quick else BEGINNINGS
        full = full_disks(room, chosen, 2 if quick else 40)
        return [
            *_judged("disk full, at any byte", full, "no write after a failed record"),
            *_judged("read-only disk", read_only_disks(room, chosen), "no write"),
            *_judged("clock ± 24 h", clock_steps(room), "never early, never twice"),
            *signals(room, quick=quick),
            *eight(room, chosen, 1 if quick else 5),
        ]


def _judged(what: str, found: Iterator[list[str]], to_reach: str) -> list[Row]:
    trials = list(found)
    bad = [fault for faults in trials for fault in faults]
    reached = f"{sum(not f for f in trials)} of {len(trials)} so, and made good in ≤ 2 further runs"
    return [Row(what, len(trials), reached, to_reach, not bad), *(Row("  BROKEN", 1, text) for text in bad[:5])]


# ── the disk ─────────────────────────────────────────────────────────────────


def full_disks(room: Room, beginnings: Sequence[Beginning], runs: int) -> Iterator[list[str]]:
    """Yield the faults of each run whose log can't grow beyond a byte that the whole run would have written."""
    for beginning in beginnings:
        whole = room.trial(beginning)
        before = _size(whole.log)
        whole.sync()
        written = _size(whole.log) - before
        for nth in range(runs):
            trial = room.trial(beginning)
            at = _size(trial.log) + written * nth // runs
            code, error = forked(victim.sync_with_room, trial, at) or (None, "")
            found = trial.faults(quiet=False)
            found += [] if code in {1, 4} and error else [f"it ended with {code} and {error!r}"]
            found += ["it said that nothing was touched"] if code == 1 and trial.held() != trial.before else []
            yield [f"{beginning.name}, full at byte {at}: {f}" for f in found + settled(trial)]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def read_only_disks(room: Room, beginnings: Sequence[Beginning]) -> Iterator[list[str]]:
    """Yield the faults of a sync whose log lies on a read-only mount; needs user namespaces, or not to be root."""
    for beginning in beginnings:
        trial = room.trial(beginning)
        folder = room.folder / f"read-only-{trial.project}"
        folder.mkdir()
        if trial.log.exists():
            shutil.copy(trial.log, folder / trial.log.name)
        path = room.folder / f"read-only-{trial.project}.yaml"
        path.write_text(trial.path.read_text().replace(str(trial.log), str(folder / trial.log.name)))
        done = subprocess.run(_read_only(folder, _command("sync", path)), capture_output=True, text=True, check=False)
        found = [] if (done.returncode, done.stderr[:10]) == (1, "audit log:") else [f"it said {done.stderr!r}"]
        found += ["it wrote"] if trial.held() != trial.before else []
        yield [f"{beginning.name}, on a read-only disk: {f}" for f in found + settled(trial)]


def _read_only(folder: Path, command: Sequence[str]) -> list[str]:
    inside = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode == 0:
        return [*inside, "sh", "-c", READ_ONLY, str(folder), *command]
    folder.chmod(0o500)
    return list(command)


def _command(verb: str, path: Path) -> list[str]:
    return [sys.executable, "-m", "ipsync", verb, "-c", str(path)]


# ── the clock ────────────────────────────────────────────────────────────────


def clock_steps(room: Room) -> Iterator[list[str]]:
    """Yield what is wrong when the clock jumps while an address is leaving.

    Hours are real ones; each step is (hour, how far the clock is off then). An address marked by a clock that was a
    day off may leave a day early or late, and no clock can tell; what counts is that it leaves once, in these bounds.
    """
    stories = {
        "forward after it was marked": ([(0, 0), (1, 24), (47, 24)], [(73, 0)]),
        "back after it was marked": ([(0, 0), (1, -24), (71, 0), (90, -24)], [(97, -24)]),
        "marked by a clock a day ahead": ([(0, 24), (1, 0), (47, 0), (95, 0)], [(97, 0)]),
        "marked by a clock a day behind": ([(0, -24), (1, 0), (47, 0)], [(73, 0)]),
    }
    for name, (stays, leaves) in stories.items():
        trial = room.trial(CHANGED)
        found = []
        for hour, off in stays:
            writes = _writes(room)
            found += [] if trial.sync(hours=hour + off) == 0 else [f"hour {hour}: it failed"]
            found += trial.faults(quiet=True)
            found += [f"hour {hour}: it wrote again"] if hour and _writes(room) != writes else []
        for hour, off in leaves:
            trial.sync(hours=hour + off)
            gone = {f"{place} {OLD[0]}/32" for place in (trial.group, trial.project)}
            found += [f"hour {hour}: {place} is still there" for place in sorted(gone & trial.held())]
        yield [f"{name}: {fault}" for fault in found]


def _writes(room: Room) -> int:
    return room.clouds.aws.calls_made.writes + room.clouds.gcp.calls_made.writes


# ── a signal ─────────────────────────────────────────────────────────────────


def signals(room: Room, *, quick: bool) -> list[Row]:
    """Send SIGTERM while a cloud keeps a run waiting, and at any moment."""
    waiting = [_signalled(room, cloud, operation) for cloud, operation in (() if quick else WRITES)]
    anywhere = [_terminated(room, 0.4 + 0.1 * nth) for nth in range(2 if quick else 20)]
    trials = [*waiting, *anywhere]
    bad = [fault for _, faults in trials for fault in faults]
    slowest = max(seconds for seconds, _ in trials)
    reached = f"ended in ≤ {slowest:.0f} s, {sum(not f for _, f in trials)} of {len(trials)} made good"
    return [
        Row("SIGTERM, also while a cloud hangs", len(trials), reached, f"≤ {SOON:g} s", not bad and slowest <= SOON),
        *(Row("  BROKEN", 1, text) for text in bad[:5]),
    ]


def _signalled(room: Room, cloud: str, operation: str) -> tuple[float, list[str]]:
    trial = room.trial(CHANGED)
    faults, calls = _hands(room, cloud)
    calls.clear()
    faults.plan(operation, *["hang"] * 50)
    process = subprocess.Popen(_command("sync", trial.path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + SOON
    while time.monotonic() < until and not any(c.operation == operation for c in list(calls.made)):
        time.sleep(0.05)
    seconds = _seconds_to_end(process)
    faults.clear()
    found = trial.faults(quiet=False) + settled(trial)
    return seconds, [f"SIGTERM while {operation} hangs: {f}" for f in found]


def _hands(room: Room, cloud: str) -> tuple[Faults, Calls]:
    aws, gcp = room.clouds.aws, room.clouds.gcp
    return (aws.faults, aws.calls_made) if cloud == "aws" else (gcp.faults, gcp.calls_made)


def _terminated(room: Room, seconds: float) -> tuple[float, list[str]]:
    trial = room.trial(CHANGED)
    process = subprocess.Popen(_command("sync", trial.path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    taken = _seconds_to_end(process)
    found = trial.faults(quiet=False) + settled(trial)
    return taken, [f"SIGTERM after {seconds:.1f} s: {f}" for f in found]


def _seconds_to_end(process: subprocess.Popen[bytes]) -> float:
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=120)
    return time.monotonic() - started


# ── eight at once ────────────────────────────────────────────────────────────


def eight(room: Room, beginnings: Sequence[Beginning], rounds: int) -> list[Row]:
    """Run eight syncs at once, on one log as on one machine, and with a log each as on eight."""
    one = [_together(room, beginning, logs=1) for _ in range(rounds) for beginning in beginnings]
    each = [_together(room, beginning, logs=EIGHT) for _ in range(rounds) for beginning in beginnings]
    return [*_counted("8 at once, one machine", one), *_counted("8 at once, eight machines", each)]


def _counted(what: str, rounds: list[tuple[int, int, list[str]]]) -> list[Row]:
    doors, marks = sum(n for n, _, _ in rounds), sum(n for _, n, _ in rounds)
    bad = [fault for _, _, faults in rounds for fault in faults]
    reached = f"{doors} double writes, {sum(not f for _, _, f in rounds)} of {len(rounds)} rounds end as they must"
    return [
        Row(what, len(rounds) * EIGHT, reached, "no double write", not doors and not bad),
        *([Row("  marks and lists written twice alike, no door moved", marks, str(marks))] if marks else []),
        *(Row("  BROKEN", 1, text) for text in bad[:5]),
    ]


def _together(room: Room, beginning: Beginning, *, logs: int) -> tuple[int, int, list[str]]:
    trial = room.trial(beginning)
    paths = [_with_a_log_of_its_own(trial, nth) if logs > 1 else trial.path for nth in range(EIGHT)]
    running = [started(victim.sync_with_room, path, beginning.hours, resource.RLIM_INFINITY) for path in paths]
    answers = [ended(child) for child in running]
    written = Counter(change for log in trial.logs for change in _applied(log))
    doors = sum(n - 1 for change, n in written.items() if _opens_or_closes(change))
    marks = sum(n - 1 for n in written.values()) - doors
    found = [] if all(answers) else ["one of them died"]
    return doors, marks, [f"{beginning.name}: {f}" for f in found + settled(trial)]


def _with_a_log_of_its_own(trial: Trial, nth: int) -> Path:
    path = trial.path.with_name(f"{trial.path.stem}-{nth}.yaml")
    trial.logs.append(path.with_suffix(".jsonl"))
    path.write_text(trial.path.read_text().replace(str(trial.log), str(trial.logs[-1])))
    return path


Change = tuple[str, Contents, Contents]


def _applied(log: Path) -> list[Change]:
    records = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = {r["intent"] for r in records if r["event"] == "outcome" and r["result"] == "applied"}
    intents = [r for r in records if r["event"] == "intent" and r["seq"] in done]
    return [(r["resource"], contents(r, "before"), contents(r, "after")) for r in intents]


def _opens_or_closes(change: Change) -> bool:
    """Tell a door's change from what changes nothing the second time.

    EC2 takes the same tag twice, and Compute Engine the same PATCH: neither can be asked to write only what is unchanged.
    """
    resource, before, after = change
    if resource.startswith("gcp/") and before.entries and after.entries:
        return False
    return _but_for_leaving(before) != _but_for_leaving(after)


def _but_for_leaving(held: Contents) -> set[object]:
    return {*held.settings, *(replace(entry, leaving_since=None) for entry in held.entries)}
