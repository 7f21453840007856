"""Puts the observers of a command together, in the order in which they have to hear: the ledger, then who reads it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ipsync.core.configured import Config
from ipsync.core.signals import Subscriber
from ipsync.observers.health import Health
from ipsync.observers.ledger import Ledger

if TYPE_CHECKING:
    from ipsync.observers.keeper import Keeper
    from ipsync.observers.metrics import Metrics


log = logging.getLogger(__name__)


def filed(config: Config, path: Path | None, *, only: Sequence[str] = ()) -> Sequence[Subscriber]:
    """Return what writes a pass's metrics to a file; nothing where no file was asked for."""
    if path is None:
        return ()
    from ipsync.observers.metrics import Metrics  # noqa: PLC0415 - brings prometheus_client

    ledger = Ledger(config)
    metrics = Metrics(config, ledger, only=only)
    return (ledger, metrics, *_file(path, metrics))


@dataclass(frozen=True, slots=True)
class Watched:
    """What watches the long-running worker; the loop tells when a pass begins, and when the next one is due."""

    observers: Sequence[Subscriber] = ()
    health: Health | None = None
    keeper: Keeper | None = None
    url: str = ""

    def began(self) -> None:
        """Tell that a pass begins."""
        if self.health:
            self.health.began()

    def waits(self, next_at: datetime | None) -> None:
        """Tell that a pass is over, and when the next one is due."""
        if self.health and self.keeper:
            self.health.waits(next_at)
            self.keeper.waits(next_at)


@contextmanager
def worker(
    config: Config, *, again: str, only: Sequence[str] = (), metrics_file: Path | None = None
) -> Iterator[Watched]:
    """Serve what the config's `listen` asks for, and write the file, until the end of the block.

    `again` is the command that an approval is added to, `only` names the targets that it acts for. Raises UsageError where nothing can be served there.
    """
    if config.listen is None:
        yield Watched(filed(config, metrics_file, only=only))
        return
    from ipsync.observers.keeper import Keeper  # noqa: PLC0415 - what follows is for who serves
    from ipsync.observers.metrics import Metrics  # noqa: PLC0415 - brings prometheus_client

    ledger, health = Ledger(config), Health(config)
    metrics, keeper = Metrics(config, ledger, only=only), Keeper(config, ledger, again=again, only=only)
    observers: Sequence[Subscriber] = (ledger, metrics, *_file(metrics_file, metrics), keeper, health)
    with _served(config.listen, metrics, health, keeper) as url:
        yield Watched(observers, health, keeper, url)


def _file(path: Path | None, metrics: Metrics) -> Sequence[Subscriber]:
    if path is None:
        return ()
    from ipsync.observers.metrics_file import MetricsFile  # noqa: PLC0415 - brings prometheus_client

    return (MetricsFile(path, metrics),)


@contextmanager
def _served(listen: tuple[str, int], metrics: Metrics, health: Health, keeper: Keeper) -> Iterator[str]:
    from ipsync.observers import web  # noqa: PLC0415 - for who serves
    from ipsync.observers.page import StatusPage  # noqa: PLC0415 - brings Jinja2
    from ipsync.observers.server import Server, is_loopback  # noqa: PLC0415 - brings waitress

    page = StatusPage(lambda: keeper.status, health.complaint)
    pages: dict[str, web.Page] = {
        "/": page,
        "/api/status": page.json,
        "/metrics": lambda: web.Answer(metrics.text(), "text/plain; version=0.0.4; charset=utf-8"),
        "/healthz": web.probe(health.complaint),
        "/readyz": web.probe(health.unready, health.note),
    }
    server = Server(web.Site(pages, here=is_loopback(listen[0])), *listen)
    try:
        log.info("the status page, metrics and health are at %s", server.url)
        yield server.url
    finally:
        server.close()
