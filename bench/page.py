"""Writes what a run measured into docs/benchmarks.md: the table, when and where it was made, and the plot beside it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench import plot, scale
from bench.table import Row, markdown

BEGIN, END = "<!-- measured: written by `make bench` -->", "<!-- /measured -->"
PLOT = "growth.svg"
SECTION = re.compile(r"^### (\w+)\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)


def write(path: Path, found: Mapping[str, Sequence[Row]]) -> None:
    """Put the tables between the page's two marks, each with when and where; parts that weren't measured now stay.

    The plot is drawn anew where growth was measured.
    """
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    figures, there, after = rest.partition(END)
    if not there:
        raise SystemExit(f"{path} has no place for figures: {BEGIN} … {END}")
    where = surroundings()
    parts = dict(SECTION.findall(figures)) | {name: f"{where}\n\n{markdown(rows)}" for name, rows in found.items()}
    if scale.GROWN:
        plot.draw(scale.GROWN, path.with_name(PLOT), below=where)
        parts["scale"] += f"\n\n![Time and memory as accounts grow]({PLOT})"
    tables = "\n\n".join(f"### {name}\n\n{body.strip()}" for name, body in parts.items())
    path.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}")


def surroundings() -> str:
    """Say when and on what this was measured."""
    parts = (
        f"Measured on {datetime.now(UTC):%d %B %Y}",
        f"{os.cpu_count()} cores ({platform.machine()})",
        f"Python {platform.python_version()}",
        f"botocore {version('botocore')}, google-cloud-compute {version('google-cloud-compute')}",
    )
    return f"{', '.join(parts)}."
