"""The standard streams: logs to stderr, reports to stdout, and what to do when nobody reads them any more."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterable
from typing import TextIO

import click

from ipsync.core.printable import json_text, printable

FIELDS = "fields"
"""The name under which a log record carries fields of its own, which stand in a JSON line beside the message."""
GONE = {errno.EPIPE, errno.EIO}
"""A reader that has seen enough (`| head`), or a terminal that was closed: no fault of the run."""


class UnwritableError(Exception):
    """Standard output can't be written. `gone` tells that its reader went away, which is nobody's fault."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output can't be written: {error.strerror}")
        self.gone = error.errno in GONE


def say(text: str, *, aside: bool = False) -> None:
    """Write to stdout (`aside`: to stderr), whole, with a newline at the end. Raises UnwritableError."""
    say_all([text if text.endswith("\n") else text + "\n"], aside=aside)


def tell(text: str) -> None:
    """Say what the command's exit code says too: where the reader went away, the command goes on to that code.

    Raises UnwritableError where stdout takes nothing.
    """
    try:
        say(text)
    except UnwritableError as error:
        if not error.gone:
            raise


def say_all(pieces: Iterable[str], *, aside: bool = False) -> None:
    """Write the pieces of one text as they come. Raises UnwritableError."""
    try:
        for piece in pieces:
            click.echo(piece, nl=False, err=aside)
    except OSError as error:
        if not aside:
            raise UnwritableError(error) from error


def complain(*lines: str) -> None:
    """Write a message for people to stderr, or as one line of the log where that is JSON."""
    if logs_as_json():
        logging.getLogger("ipsync").error("%s", "\n".join(lines))
    else:
        say("\n".join(map(printable, lines)), aside=True)


def coloured(stream: TextIO | None) -> bool:
    """Tell whether to colour what is written there."""
    return terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal(stream: TextIO | None) -> bool:
    """Tell whether somebody looks at what is written there."""
    return stream is not None and stream.isatty()


def prepare() -> None:
    """Let a terminal whose encoding lacks a character show its code instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def close() -> None:
    """Write what is still held back, and let go of a stream that takes no more: else Python exits with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# ── logs ─────────────────────────────────────────────────────────────────────


class PlainLines(logging.Formatter):
    """A line for people: whatever a message holds, it forges no second one. A traceback's lines are indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Write the message on one line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802 - as above
        """Write a traceback whose lines can't be taken for lines of the log."""
        text = super().formatException(ei)  # type: ignore[arg-type]  # what logging passes
        return "\n".join(f"  | {printable(line)}" for line in text.split("\n"))


class JsonLines(logging.Formatter):
    """One JSON object a line, for collectors."""

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, logger, message, and what else there is: fields of its own, the traceback."""
        line: dict[str, object] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, FIELDS, {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json_text(line)


def start_logging(log_format: str, verbose: int) -> None:
    """Send logs to stderr, as text or as JSON lines; ours from INFO on (with -v from DEBUG), others' warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else PlainLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("ipsync").setLevel(logging.DEBUG if verbose else logging.INFO)


def logs_as_json() -> bool:
    """Tell whether stderr is a log of JSON lines, so that nothing else may be written there."""
    return isinstance(next((h.formatter for h in logging.getLogger().handlers), None), JsonLines)
