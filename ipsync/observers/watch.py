"""Puts the observers of a command together, in the order in which they have to hear: the ledger, then who reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ipsync.core.events import Subscriber
from ipsync.core.model import Config
from ipsync.observers.ledger import Ledger


def filed(config: Config, path: Path | None) -> Sequence[Subscriber]:
    """Return what writes a pass's metrics to a file; nothing where no file was asked for."""
    if path is None:
        return ()
    from ipsync.observers.metrics import Metrics  # noqa: PLC0415 - brings prometheus_client
    from ipsync.observers.metrics_file import MetricsFile  # noqa: PLC0415 - as above

    ledger = Ledger(config)
    metrics = Metrics(config, ledger)
    return (ledger, metrics, MetricsFile(path, metrics))
