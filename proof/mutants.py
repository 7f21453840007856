"""The core changed in one place at a time, in a copy: some test must notice each change (mutmut)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from proof import ROOT
from proof.table import Row

TO_REACH = 95
AREAS = {
    "addresses": ("addresses",),
    "plan": ("plan", "diff", "steps", "layout", "planfile"),
    "guards": ("guards",),
    "ownership": ("ownership",),
    "journal": ("journal",),
}
NOTICED = {"killed", "timeout", "segfault"}
"""What mutmut calls a mutant that made a test fail, or that never came back or crashed under test."""

COPIED = ("ipsync", "tests", "pyproject.toml")
_LINE = re.compile(r"^\s*(ipsync\.(\w+)[.\w]*\.\S*__mutmut_\d+): (.+?)\s*$", re.MULTILINE)


def rows() -> list[Row]:
    """Run every mutant that pyproject.toml selects; a row an area, and the names of those that nobody noticed."""
    if not find_spec("mutmut"):
        return [Row("mutants", 0, "mutmut is not installed: `make prove` installs it", f"≥ {TO_REACH} % killed", False)]
    with tempfile.TemporaryDirectory(prefix="ipsync-proof-") as name:
        found = _LINE.findall(_run(Path(name)))
    judged = [_row(area, Counter(told for _, room, told in found if room in rooms)) for area, rooms in AREAS.items()]
    alive = [f"{mutant} ({told})" for mutant, _, told in found if told not in NOTICED]
    return [*judged, Row("  nobody noticed", len(alive), ", ".join(alive) or "none")]


def _row(area: str, counts: Counter[str]) -> Row:
    total, dead = counts.total(), sum(counts[told] for told in NOTICED)
    share = 100 * dead / total if total else 0.0
    reached = f"{dead:,} of {total:,} killed: {share:.1f} %"
    return Row(f"mutants: {area}", total, reached, f"≥ {TO_REACH} %", share >= TO_REACH)


def _run(folder: Path) -> str:
    """Run mutmut in a copy, so that its own folder never stands in the tree; return each mutant with its fate."""
    for part in COPIED:
        place = ROOT / part
        copy = shutil.copytree if place.is_dir() else shutil.copy
        copy(place, folder / part)
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
