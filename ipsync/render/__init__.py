"""A report as text for people, markdown for a pull request, JSON for machines. Pure: nothing here prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ipsync.core.printable import plain
from ipsync.core.report import Report
from ipsync.render.json import render_json, render_line
from ipsync.render.markdown import render_markdown
from ipsync.render.text import render_text

__all__ = ["FORMATS", "render", "render_line"]

FORMATS = ("text", "json", "markdown")


def render(report: Report, *, output: str, colour: bool, again: str = "") -> str:
    """Render a report in one of FORMATS, ending in a newline. Colour concerns text only.

    `again` is the command that carries the report's plan out, as a shell takes it; an approval is added to it.
    """
    command = again or ("ipsync apply FILE" if report.mode == "apply" else "ipsync sync")
    formats: dict[str, Callable[[Report], str]] = {
        "text": lambda r: render_text(_shown(r), colour=colour, again=command),
        "json": render_json,
        "markdown": lambda r: render_markdown(_shown(r), again=command),
    }
    return formats[output](report)


def _shown(report: Report) -> Report:
    """Return the report as people may read it, whatever was written into it outside; no report shows `changes`."""
    return plain(replace(report, plan=replace(report.plan, changes=())))
