"""A command that gets the CloudEvent on its standard input; no shell, and it ends in time, with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ipsync.observers.notify.message import Message, cloud_event
from ipsync.observers.notify.sinks import Try, Undelivered

TIMEOUT = 30.0
"""Seconds for one try."""
TICK = 0.05


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its arguments."""

    words: tuple[str, ...]
    timeout: float = TIMEOUT

    @property
    def name(self) -> str:
        """Return the program's own name: an argument may be secret."""
        return Path(self.words[0]).name

    @property
    def secrets(self) -> tuple[str, ...]:
        """Hold nothing back: a program and its arguments are no secret of a message."""
        return ()

    def send(self, message: Message, tried: Try) -> str:
        """Run it once. Raises Undelivered."""
        with tempfile.TemporaryFile() as body:  # a pipe would make us wait for a program that doesn't read
            body.write(cloud_event(message))
            body.seek(0)
            code = _ended(_started(self.words, body.fileno()), self.timeout, tried)
        if code:
            how = f"was killed by signal {-code}" if code < 0 else f"exited with {code}"
            raise Undelivered(f"it {how}; its output isn't kept, so let it write a log of its own", again=True)
        return "exited with 0"


def _started(words: tuple[str, ...], body: int) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    try:
        return subprocess.Popen(words, stdin=body, stdout=quiet, stderr=quiet, start_new_session=True)  # noqa: S603 - the operator's own
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its words hold a NUL"
        raise Undelivered(f"it can't be started: {why}; name the program by its whole path", again=False) from None


def _ended(process: subprocess.Popen[bytes], timeout: float, tried: Try) -> int:
    """Wait for the exit code; what takes too long is killed, with what it started."""
    until = time.monotonic() + timeout
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(TICK)
        if time.monotonic() < until and not tried.cancelled():
            continue
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise Undelivered(f"it was still running after {timeout:g} s, and was killed", again=False)
