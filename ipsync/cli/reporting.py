"""A report on its way to people or a collector: in which form, on which stream, with which exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import click
from click.core import ParameterSource

from ipsync.cli import streams
from ipsync.core.report import Report, exit_code
from ipsync.render import pieces, render_line
from ipsync.render.rules import approval

log = logging.getLogger(__name__)
Tell = Callable[[Report | None, datetime | None], None]


def show(report: Report, output: str, again: str, *, detailed: bool, aside: bool = False) -> int:
    """Print the report, on stderr where stdout is the audit log's, and return the exit code.

    `again` is the command that carries its plan out. With `--log-format json`, and no `--output`, it is one line.
    """
    code = exit_code(report, detailed=detailed)
    text = [_line(report, again, code, None)] if _wants_lines() else _pieces(report, output, again, aside=aside)
    return _printed(report, text, code, aside=aside)


def teller(again: str, *, aside: Callable[[], bool]) -> Tell:
    """Return what prints each pass of the long-running worker, with its time and that of the next one.

    `aside` tells whether stdout is the audit log's now: a config that is read again may say so.
    """

    def tell(report: Report | None, next_at: datetime | None) -> None:
        after = f"Next pass: {next_at:%Y-%m-%d %H:%M:%S} UTC" if next_at else "No further pass: ending"
        if report is None:  # why is in the log
            log.info("%s", after)
            return
        code = exit_code(report, detailed=False)
        text = "".join(_pieces(report, "text", again, aside=aside()))
        whole = f"── {report.created_at:%Y-%m-%d %H:%M:%S} UTC\n{text}{after}\n"
        _printed(report, [_line(report, again, code, next_at) if _wants_lines() else whole], code, aside=aside())

    return tell


def _pieces(report: Report, output: str, again: str, *, aside: bool) -> Iterable[str]:
    colour = streams.coloured(sys.stderr if aside else sys.stdout)
    verbose = bool(click.get_current_context().params["verbose"])
    return pieces(report, output=output, colour=colour, again=again, verbose=verbose)


def _line(report: Report, again: str, code: int, next_at: datetime | None) -> str:
    _, approve = approval(report, again)
    return render_line(report, at=datetime.now(UTC), code=code, approve=approve, next_at=next_at) + "\n"


def _wants_lines() -> bool:
    """Tell whether `--log-format json` decides the report's form too: where no `--output` was asked for."""
    context = click.get_current_context()
    asked = context.get_parameter_source("output") not in {None, ParameterSource.DEFAULT}
    return context.params["log_format"] == "json" and not asked


def _printed(report: Report, text: Iterable[str], code: int, *, aside: bool) -> int:
    """Print it and return the run's exit code. After a run, 1 would say that nothing was touched, so that stays."""
    try:
        streams.say_all(text, aside=aside)
    except streams.UnwritableError as error:
        if report.mode == "plan" and not error.gone:
            raise
        if not error.gone:
            streams.complain(f"{error}; what was done is in the audit log: ipsync audit show --run {report.run}")
    return code
