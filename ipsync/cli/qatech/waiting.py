"""Asking QA.tech from a command: a signal ends any question at once, and a wait shows that something happens."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from ipsync.cli import streams
from ipsync.core.exit_codes import ExitCode
from ipsync.core.printable import printable

if TYPE_CHECKING:
    from ipsync.verification.base import Result
    from ipsync.verification.errors import Unavailable
    from ipsync.verification.qatech.answers import Run, RunState
    from ipsync.verification.qatech.client import Client

log = logging.getLogger(__name__)
WIDTH = 78
CODES = {"passed": ExitCode.DONE, "failed": ExitCode.REFUSED}
"""The code of a run's end, as of a guard: 3 where the tests said no. Every other end is an error."""


def _duration(ctx: click.Context, option: click.Parameter, text: str) -> float:
    from ipsync.values.fields import duration

    if not ctx.params.get("wait") and ctx.get_parameter_source(str(option.name)) is not ParameterSource.DEFAULT:
        raise click.UsageError("--timeout is for --wait; add it, or leave --timeout out")
    try:
        seconds = duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not seconds:
        raise click.BadParameter("no time is no wait; write it like 30m")
    return seconds


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --wait and --timeout."""
    wait = click.option("--wait", is_flag=True, is_eager=True, help="Wait for the run's end.")
    timeout = click.option("--timeout", default="30m", show_default=True, metavar="TIME", callback=_duration,
                           help="How long to wait.")  # fmt: skip
    return wait(timeout(function))


@contextmanager
def client() -> Iterator[Client]:
    """Give a client of the environment's address and token, whose questions end when a signal comes."""
    from ipsync.verification.qatech import access
    from ipsync.verification.qatech.client import Client

    stop = Event()
    with _signals(stop):
        url = os.environ.get("QATECH_API_URL") or access.BASE
        yield Client(url=url, token=os.environ.get("QATECH_API_TOKEN"), stop=stop)


@contextmanager
def _signals(stop: Event) -> Iterator[None]:
    """Let SIGTERM, SIGINT and SIGHUP (where it isn't ignored) ask for an end."""
    from ipsync.daemon import set_soon

    def ask(_number: int, _frame: FrameType | None) -> None:
        set_soon(stop)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    asked = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in asked:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number in asked:
            signal.signal(number, before[number])


def about(begun: Run) -> str:
    """Return what must not be lost of a run that was started, should there be no other word of it."""
    return f"run {begun.short_id} was started: {begun.url}"


def say(text: str, code: int, *, about: str) -> int:
    """Print what was done and return its code, which stays where the reader went away.

    Where standard output takes nothing, `about` stands on stderr: what was done over there has an id, and is done.
    """
    try:
        streams.say(text)
    except streams.UnwritableError as error:
        if error.gone:
            return code
        streams.complain(f"{error}; {about}")
        return ExitCode.FAILED
    return code


# ── the wait ─────────────────────────────────────────────────────────────────


def until_ended(
    client: Client,
    short_id: str,
    *,
    timeout: float,
    output: str,
    test_cases: Literal["failed", "all"] | None = None,
    begun: Run | None = None,
) -> int:
    """Wait for a run's end, show it, and return the exit code."""
    from ipsync.cli.qatech import shown
    from ipsync.verification.base import Result
    from ipsync.verification.errors import VerificationError

    progress = _Progress(short_id, begun.url if begun else "")
    try:
        state = _last(client, progress, timeout, test_cases or "failed", since=time.monotonic() if begun else None)
    except VerificationError as error:
        if begun:  # the run is there, and a script must learn its id
            unknown = Result("unknown", short_id, begun.url, detail=str(error))
            say(shown.run(None, unknown, begun=begun, output=output), ExitCode.FAILED, about=about(begun))
        raise
    finally:
        progress.end()
    result = _result(state, progress, begun)
    code: int = CODES.get(result.state, ExitCode.FAILED)
    told = about(begun) if begun else f"ask again: ipsync qatech run status {short_id}"
    code = say(shown.run(state, result, begun=begun, output=output), code, about=told)
    if not result.ended:
        streams.complain(*_goes_on(progress, timeout, stopped=client.stop.is_set()))
    return code


def _last(
    client: Client, progress: _Progress, timeout: float, test_cases: Literal["failed", "all"], *, since: float | None
) -> RunState | None:
    """Wait, and return the last that was told of the run, which was started `since` if by this command."""
    from ipsync.verification import waiting
    from ipsync.verification.errors import NotFound
    from ipsync.verification.qatech.verdict import judged
    from ipsync.verification.qatech.verifier import not_found

    def ask(left: float) -> RunState:
        try:
            return replace(client, timeout=min(client.timeout, left)).run(progress.short_id, test_cases=test_cases)
        except NotFound as error:
            raise not_found(error, since=since) from None

    return waiting.wait(
        ask, ended=lambda found: judged(found).ended, timeout=timeout, stop=client.stop, tell=progress.tell
    )


def _result(state: RunState | None, progress: _Progress, begun: Run | None) -> Result:
    from ipsync.verification.base import Result
    from ipsync.verification.qatech.verdict import judged, started

    if state is None:
        return Result("running", progress.short_id, progress.url)
    result = judged(state, url=progress.url)
    # Without a test in it, a run that passed proves nothing.
    return started(begun) if begun and not begun.test_count and result.state == "passed" else result


def _goes_on(progress: _Progress, timeout: float, *, stopped: bool) -> Iterator[str]:
    short_id = progress.short_id
    yield "no longer waiting: a signal came" if stopped else f"no longer waiting: no result within {timeout:g} s"
    if progress.trouble:
        yield f"the last answer was none: {progress.trouble}"
    yield f"run {short_id} goes on at QA.tech{f': {progress.url}' if progress.url else ''}"
    yield f"wait for it again with: ipsync qatech run status {short_id} --wait"


@dataclass(slots=True)
class _Progress:
    """A line on a terminal that is written over; elsewhere a line of the log for each change."""

    short_id: str
    url: str
    trouble: str = ""
    _last: str = ""
    _began: float = field(default_factory=time.monotonic)
    _live: bool = field(default_factory=lambda: streams.terminal(sys.stderr) and not streams.logs_as_json())

    def tell(self, answer: RunState | Unavailable) -> None:
        """Show how it stands."""
        self.trouble = str(answer) if isinstance(answer, Exception) else ""
        if isinstance(answer, Exception):
            words = "no answer"
        else:
            self.url, words = answer.url or self.url, answer.status
        if self._live:
            self._over(f"run {self.short_id}  {words}  {time.monotonic() - self._began:.0f} s")
        elif words != self._last:
            log.info("run %s: %s", self.short_id, self.trouble or words)
        self._last = words

    def end(self) -> None:
        """Leave the line empty."""
        if self._live:
            self._over("")
            self._write("\r")

    def _over(self, text: str) -> None:
        self._write(f"\r{printable(text)[:WIDTH]:<{WIDTH}}")

    def _write(self, text: str) -> None:
        with suppress(OSError):  # nobody looks any more
            click.echo(text, nl=False, err=True)
