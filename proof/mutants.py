"""The core changed in one place at a time, in a copy: some test must notice each change (mutmut)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from proof import ROOT
from proof.table import Row

TO_REACH = 95
AREAS = {
    "addresses": ("core.addresses",),
    "plan": tuple(f"core.{m}" for m in ("plan", "planner", "diff", "operations", "placement", "planfile", "shown")),
    "guards": ("core.guards", "core.judgement", "core.blockers"),
    "writes": ("engine",),
    "marks": ("core.marks", "targets"),
    "audit": ("audit",),
}
NOTICED = {"killed", "segfault", "hung"}
"""A mutant that made a test fail, or that crashed or never came back under test."""
UNCLEAR = "timeout"
"""mutmut says so of a mutant that hung, but also where its own run failed: the tests are then run again without it."""
PATIENCE = 120.0
"""Seconds for such a run; the tests of one function take a few."""

COPIED = ("ipsync", "tests", "pyproject.toml")
_LINE = re.compile(r"^\s*(ipsync\.([\w.]+)\.[^\s.]*__mutmut_\d+): (.+?)\s*$", re.MULTILINE)


def rows() -> list[Row]:
    """Run every mutant that pyproject.toml selects; a row an area, and the names of those that nobody noticed."""
    if not find_spec("mutmut"):
        return [Row("mutants", 0, "mutmut is not installed: `make prove` installs it", f"≥ {TO_REACH} % killed", False)]
    with tempfile.TemporaryDirectory(prefix="ipsync-proof-") as name:
        folder = Path(name)
        told = _LINE.findall(_run(folder))
        found = [(mutant, room, _again(folder, mutant) if fate == UNCLEAR else fate) for mutant, room, fate in told]
    judged = [
        _row(area, Counter(told for _, at, told in found if _is_in(at, modules))) for area, modules in AREAS.items()
    ]
    alive = [f"{mutant} ({told})" for mutant, _, told in found if told not in NOTICED]
    return [*judged, Row("  nobody noticed", len(alive), ", ".join(alive) or "none")]


def _is_in(module: str, names: Iterable[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def _row(area: str, counts: Counter[str]) -> Row:
    total, dead = counts.total(), sum(counts[told] for told in NOTICED)
    share = 100 * dead / total if total else 0.0
    reached = f"{dead:,} of {total:,} killed: {share:.1f} %"
    return Row(f"mutants: {area}", total, reached, f"≥ {TO_REACH} %", share >= TO_REACH)


def _again(folder: Path, mutant: str) -> str:
    """Run the tests of one mutant's function with it in place, and return its fate."""
    known = json.loads((folder / "mutants" / "mutmut-stats.json").read_text())["tests_by_mangled_function_name"]
    tests = known.get(mutant.partition("__mutmut_")[0], [])
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--rootdir=.", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "MUTANT_UNDER_TEST": mutant}
    try:
        done = subprocess.run(
            command, cwd=folder / "mutants", env=environment, capture_output=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return "hung"
    return "killed" if done.returncode else "survived"  # also where the tests can't even be collected with it


def _run(folder: Path) -> str:
    """Run mutmut in a copy, so that its own folder never stands in the tree; return each mutant with its fate."""
    for name in COPIED:
        place = ROOT / name
        copy = shutil.copytree if place.is_dir() else shutil.copy
        copy(place, folder / name)
    mutmut = [sys.executable, "-m", "mutmut"]
    ran = subprocess.run(
        [*mutmut, "run", "--max-children", str(os.cpu_count() or 2)],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    told = subprocess.run(
        [*mutmut, "results", "--all", "true"], cwd=folder, check=False, capture_output=True, text=True
    )
    if not _LINE.search(told.stdout):
        raise RuntimeError(f"mutmut told nothing (exit {ran.returncode}): {(ran.stdout + ran.stderr)[-2000:]}")
    return told.stdout
