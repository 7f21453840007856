"""Clouds that only answer: rendered ahead, quick, each in a process of its own, so that their work isn't counted as ours.

The embedded clouds judge every request and keep a state: too slow for thousands of scopes, and the slower the cloud, the
better a ratio looks. These know the reads of a no-op, page honestly, and refuse all else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from types import TracebackType
from typing import Self


class Canned:
    """A context manager around one server's process; `url` is where it answers."""

    def __init__(self, cloud: str, *arguments: object) -> None:
        self._command = [sys.executable, "-m", f"bench.servers.{cloud}", *map(str, arguments)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout
        self._process.stdout.close()

    def calls(self) -> dict[str, int]:
        """Return how often each operation was asked for since the last time, and begin anew."""
        with urllib.request.urlopen(f"{self.url}/calls") as answer:
            return dict(json.load(answer))
