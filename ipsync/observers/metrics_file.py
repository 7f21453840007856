"""`--metrics-file`: the metrics of each pass in a file for node_exporter's textfile collector, whole or not at all."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from ipsync.core.signals import Event, NotificationEnded, PassEnded, Recorded
from ipsync.observers.metrics import Metrics

log = logging.getLogger(__name__)

LARGEST = 16 * 1024 * 1024
"""Bytes of an earlier file that are read: 20,000 targets write a third of it."""
LONGEST = 200
"""Characters that are told of what is wrong with it."""


class MetricsFile:
    """Writes the file at the end of each pass, after the metrics have heard it. A failure is told, and changes nothing."""

    def __init__(self, path: Path, metrics: Metrics) -> None:
        self._path, self._metrics = path, metrics
        self._carry_on()

    def __call__(self, event: Event, _recorded: Recorded | None) -> None:
        """Write the file when a pass has ended, and when somebody was told of it, which is later."""
        if not isinstance(event, PassEnded | NotificationEnded):
            return
        try:
            self._write(self._metrics.text())
        except (OSError, ValueError) as error:  # a path with a NUL byte
            log.error("--metrics-file %s can't be written: %s", self._path, _why(error))  # noqa: TRY400 - it says all

    def _write(self, data: bytes) -> None:
        """Write beside the file and rename. The collector reads what ends in .prom only."""
        self._look()
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}.new")
        beside.unlink(missing_ok=True)
        try:
            with beside.open("xb") as file:  # never through a link that somebody put there
                file.write(data)
            beside.replace(self._path)
        finally:
            beside.unlink(missing_ok=True)

    def _look(self) -> None:
        """Raise OSError where something else than a file is.

        A rename would put a file into the place of /dev/null, and nobody may ever write into a pipe that we open.
        """
        with suppress(FileNotFoundError):
            self._path.stat()
            if not self._path.is_file():
                raise OSError("it is no regular file; name one, which may be a new one")

    def _carry_on(self) -> None:
        """Take over what an earlier run counted: cron starts a process for each, and counters that fall tell nothing."""
        try:
            self._look()
            with self._path.open("rb") as file:
                text = file.read(LARGEST).decode()
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("--metrics-file %s can't be read, so counting begins anew: %s", self._path, _why(error))
            return
        try:
            self._metrics.carry_on(text)
        except Exception as error:  # noqa: BLE001 - somebody else's file: the parser raises what it likes
            why = repr(error)[:LONGEST]  # it may repeat all that stands there
            log.warning("--metrics-file %s isn't ours, so counting begins anew: %s", self._path, why)


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
