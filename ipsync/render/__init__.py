"""A report as text for people, markdown for a pull request, JSON for machines. Pure: nothing here prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ipsync.printable import plain
from ipsync.render.json import render_json
from ipsync.render.markdown import render_markdown
from ipsync.render.text import render_text
from ipsync.report import Report

FORMATS = ("text", "json", "markdown")


def render(report: Report, *, output: str, colour: bool) -> str:
    """Render a report in one of FORMATS, ending in a newline. Colour concerns text only."""
    formats: dict[str, Callable[[Report], str]] = {
        "text": lambda r: render_text(_shown(r), colour=colour),
        "json": render_json,
        "markdown": lambda r: render_markdown(_shown(r)),
    }
    return formats[output](report)


def _shown(report: Report) -> Report:
    """Return the report as people may read it, whatever was written into it outside; no report shows `work`."""
    return plain(replace(report, plan=replace(report.plan, work=())))
