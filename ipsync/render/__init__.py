"""A report as text for people, markdown for a pull request, JSON for machines. Pure: nothing here prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from ipsync.core.printable import plain
from ipsync.core.report import Report
from ipsync.render.json import json_pieces, render_line
from ipsync.render.text import headline, render_text

__all__ = ["FORMATS", "headline", "pieces", "render", "render_line"]

FORMATS = ("text", "json", "markdown")


def render(report: Report, *, output: str, colour: bool, again: str = "", verbose: bool = False) -> str:
    """Render a report in one of FORMATS, ending in a newline. Colour concerns text only, `verbose` JSON excepted.

    `again` is the command that carries the report's plan out, as a shell takes it; an approval is added to it.
    """
    return "".join(pieces(report, output=output, colour=colour, again=again, verbose=verbose))


def pieces(report: Report, *, output: str, colour: bool, again: str = "", verbose: bool = False) -> Iterator[str]:
    """Yield what `render` returns piece by piece, so that a large plan's JSON never stands in memory whole."""
    command = again or ("ipsync apply FILE" if report.mode == "apply" else "ipsync sync")
    formats: dict[str, Callable[[Report], Iterable[str]]] = {
        "text": lambda r: [render_text(_shown(r), colour=colour, again=command, verbose=verbose)],
        "json": json_pieces,
        "markdown": lambda r: [_markdown(_shown(r), again=command, verbose=verbose)],
    }
    yield from formats[output](report)


def _markdown(report: Report, *, again: str, verbose: bool) -> str:
    from ipsync.render.markdown import render_markdown  # noqa: PLC0415 - few runs end in a pull request

    return render_markdown(report, again=again, verbose=verbose)


def _shown(report: Report) -> Report:
    """Return the report as people may read it, whatever was written into it outside; no report shows `changes`."""
    return plain(replace(report, plan=replace(report.plan, changes=())))
