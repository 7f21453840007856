"""A program of the operator's as a verifier: it gets the change as JSON on its standard input, and exit 0 is good."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from tempfile import TemporaryFile
from threading import Event
from typing import IO

from ipsync.core.printable import printable
from ipsync.verification.base import Result
from ipsync.verification.errors import BrokenOff, VerificationError
from ipsync.verification.hiding import hidden

PAUSE, PATIENCE = 0.05, 2.0
"""Seconds between two looks at the program, and from the request to end until it is killed."""
SHOWN, READ = 500, 16 * 1024
"""Characters of what it said last that stand in the report, and bytes that are looked at: a token is there whole."""


@dataclass(slots=True)
class CommandVerifier:
    """Runs without a shell, in a process group of its own, so that what it started ends with it."""

    argv: Sequence[str]
    change: Callable[[], Mapping[str, object]]
    timeout: float
    stop: Event
    token: str | None = field(default=None, repr=False)
    """QA.tech's, which the program finds in its environment: what it says must not give it away."""
    _process: subprocess.Popen[bytes] | None = None
    _said: IO[bytes] | None = None
    _until: float = 0.0

    def check(self) -> str:
        """Look whether the program is there; it isn't run."""
        if shutil.which(self.argv[0]) is None:
            raise VerificationError(f"{self.argv[0]} is not there, or can't be run by this user")
        return f"{self.argv[0]} is there; it was not run"

    def start(self) -> Result:
        """Start the program; it has no id that a later run could ask by."""
        self._until = time.monotonic() + self.timeout
        self._said = TemporaryFile()  # noqa: SIM115 - closed when the program has ended
        with TemporaryFile() as given:  # a pipe would be full where it isn't read
            given.write(json.dumps(self.change(), ensure_ascii=False).encode())
            given.seek(0)
            try:
                self._process = subprocess.Popen(  # noqa: S603 - the operator's own program, without a shell
                    self.argv, stdin=given, stdout=self._said, stderr=subprocess.STDOUT, start_new_session=True
                )
            except (OSError, ValueError) as error:
                self._said.close()
                why = getattr(error, "strerror", None) or error
                raise VerificationError(f"{self.argv[0]} can't be run: {why}") from None
        return Result("running")

    def poll(self, run_id: str, *, within: float = inf) -> Result:
        """Wait for its end: nobody else can ask for it later."""
        del run_id, within  # its time began when it was started
        process = self._process
        if process is None:
            raise VerificationError("the command was not started")
        while process.poll() is None:
            if self.stop.is_set():
                self._end(process)
                raise BrokenOff(f"{self.argv[0]} was ended, since this run was asked to end")
            if time.monotonic() >= self._until:
                self._end(process)
                return Result("unknown", detail=f"{self.argv[0]} took longer than {self.timeout:g} s, and was ended")
            self.stop.wait(PAUSE)
        return self._judged(process.returncode)

    def _judged(self, code: int) -> Result:
        said = self._last_words()
        if code == 0:
            return Result("passed")
        how = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        return Result("failed", detail=f"{self.argv[0]} {how}{f': {said}' if said else ''}")

    def _last_words(self) -> str:
        """Return the end of what it said. Asked once: nobody reads on after that."""
        if self._said is None:
            return ""
        with self._said as said:
            said.seek(max(0, said.seek(0, os.SEEK_END) - READ))
            text = hidden(" ".join(said.read().decode(errors="replace").split()), self.token)
            return printable(text[-SHOWN:])

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """End it and all that it started: first asked to, then killed."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
        self._last_words()
