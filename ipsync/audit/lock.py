"""Two locks: one run at a time may write to clouds, and one process at a time appends.

The first is a file beside the log, which says who holds it; a sync holds it for its whole pass. The second is the log
itself, held for one append. So a plan, which needs the second only, never keeps a sync waiting. The kernel lets go of
both when a process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ipsync.audit.opening import open_lock
from ipsync.audit.trouble import cant_lock, trouble
from ipsync.core.errors import AuditLogError

PAUSE = 0.05
MORE = 6
"""How much longer it is waited for by who had it before: a run that waited for a proof gives up less soon."""


class SyncLock:
    """`flock` on PATH.lock: the right to write to clouds, and to record that in this log."""

    def __init__(self, path: Path, *, run: str, timeout: float) -> None:
        """Wait up to `timeout` seconds; raise AuditLogError that says who holds the log."""
        self._log, self._path, self._timeout = path, path.with_name(path.name + ".lock"), timeout
        self._me = f"run {run}, process {os.getpid()} on {socket.gethostname()}"
        self._handle = open_lock(self._path, path)
        try:
            self._take("nothing was written; run again when that has ended", within=timeout)
        except BaseException:
            os.close(self._handle)
            raise

    def _take(self, so_far: str, *, within: float, given_up: Callable[[], bool] = lambda: False) -> None:
        began = time.monotonic()
        if not taken(self._handle, self._path, timeout=within, given_up=given_up):
            holder = os.pread(self._handle, 200, 0).decode(errors="replace") or "another process"
            waited = round(time.monotonic() - began)
            raise AuditLogError(f"{self._log} is held by {holder}; waited {waited} s, and {so_far}")
        self._say(self._me)

    def _say(self, who: str) -> None:
        try:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, who.encode(), 0)
        except OSError as error:
            raise trouble(self._path, error, "can't be written") from None

    @contextmanager
    def let_go(self, given_up: Callable[[], bool]) -> Iterator[None]:
        """Let others write meanwhile; afterwards wait for it again, unless that is `given_up`.

        Raises AuditLogError that says who holds it.
        """
        released(self._handle)
        yield
        self._take(
            "this run writes nothing more; the next run does the rest", within=MORE * self._timeout, given_up=given_up
        )

    def release(self) -> None:
        """Let the next one write. The file stays: removing it would let two hold it."""
        os.close(self._handle)


def taken(handle: int, path: Path, *, timeout: float, given_up: Callable[[], bool] = lambda: False) -> bool:
    """Lock an open file within `timeout` seconds; tell whether that went well. Raises AuditLogError where none can."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline or given_up():
                return False
            time.sleep(PAUSE)
        except OSError as error:
            raise cant_lock(path, error) from None
        else:
            return True


def released(handle: int) -> None:
    """Let the next one append."""
    fcntl.flock(handle, fcntl.LOCK_UN)
