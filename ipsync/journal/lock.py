"""One writer at a time: an advisory lock on a file beside the log, which says who holds it."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path

from ipsync.errors import JournalError

PAUSE = 0.05


class Lock:
    """`flock` on PATH.lock. The kernel lets go of it when the process ends, however it ends."""

    def __init__(self, path: Path, *, run: str, timeout: float) -> None:
        """Wait up to `timeout` seconds; raise JournalError that says who holds the log."""
        self._path = path.with_name(path.name + ".lock")
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(f"{self._path}: can't be made: {error.strerror}; nothing was written") from None
        deadline = time.monotonic() + timeout
        while not self._taken():
            if time.monotonic() >= deadline:
                holder = os.pread(self._handle, 200, 0).decode(errors="replace") or "another process"
                os.close(self._handle)
                raise JournalError(f"{path} is held by {holder}; waited {timeout:g} s, and nothing was written")
            time.sleep(PAUSE)
        try:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, f"run {run}, process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        except OSError as error:
            os.close(self._handle)
            raise JournalError(f"{self._path}: can't be written: {error.strerror}; nothing was written") from None

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let the next one write. The file stays: removing it would let two hold it."""
        os.close(self._handle)
