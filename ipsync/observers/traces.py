"""Traces of passes for OpenTelemetry: a span a pass, each of its stages, and each feed and scope that was read in one.

For whom OTEL_EXPORTER_OTLP_ENDPOINT is set, with the extra `ipsync[otel]`. Spans leave by OTLP over http, from a thread
of their own that a pass never waits for; the end of the program waits a few seconds for the last of them.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

from ipsync import __version__
from ipsync.core.errors import UsageError
from ipsync.core.events import Outcome, RunStarted
from ipsync.core.report import summarize
from ipsync.core.signals import Event, FeedFetched, PassEnded, Recorded, ScopeRead, StageBegan, Subscriber
from ipsync.observers.ended import RESULTS, ended_with

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SPANS_KEPT = 16384
"""While a collector is away: three passes over five thousand scopes. What is more is let go."""
FLUSH = 3.0
"""Seconds that the end of the program waits for a collector."""
Attributes = Mapping[str, str | int]


@contextmanager
def traced(environ: Mapping[str, str] = os.environ) -> Iterator[Sequence[Subscriber]]:
    """Give what traces passes, where the environment asks for it; at the end send what is left, in a few seconds."""
    if not wanted(environ):
        yield ()
        return
    try:
        provider = _provider(_exporter(environ))
    except Exception as error:  # noqa: BLE001 - OpenTelemetry's own words on a setting of its own; a pass needs no trace
        log.warning("no traces: %s", error)
        yield ()
        return
    try:
        yield (Traces(provider),)
    finally:
        _flush(provider)


def wanted(environ: Mapping[str, str]) -> bool:
    """Tell whether traces are asked for; OpenTelemetry's own two switches hold."""
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(environ.get(name) for name in ENDPOINTS)


def _exporter(environ: Mapping[str, str]) -> SpanExporter:
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in {None, "", "http/protobuf"}:
        raise UsageError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and ipsync speaks http/protobuf alone (port 4318 of a collector)"
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and a package isn't installed ({error.name}): pip install 'ipsync[otel]'"
        ) from error
    return OTLPSpanExporter()


def _provider(exporter: SpanExporter) -> TracerProvider:
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra

    resource = Resource.create({"service.version": __version__})
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "ipsync"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=SPANS_KEPT))
    return provider


def _flush(provider: TracerProvider) -> None:
    """Send what is left. OpenTelemetry's own time limits don't hold where a collector hangs."""
    sending = Thread(target=provider.shutdown, name="last spans", daemon=True)
    sending.start()
    sending.join(FLUSH)
    if sending.is_alive():
        log.warning("the last traces weren't taken in %g s, and are let go", FLUSH)


class Traces:
    """Hears a pass, and makes its spans."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("ipsync", __version__)
        self._pass: Span | None = None
        self._stage: Span | None = None

    def __call__(self, event: Event, _recorded: Recorded | None) -> None:
        """Follow a pass."""
        if isinstance(event, RunStarted):
            self._pass = self._begun(f"ipsync {event.mode}", None, {"ipsync.mode": event.mode})
        elif isinstance(event, StageBegan):
            self._over()
            self._stage = self._begun(event.stage, self._pass, {"ipsync.run": event.run})
        elif isinstance(event, FeedFetched):
            feed = event.result
            self._made(f"feed {feed.name}", event.seconds, {"ipsync.feed": feed.name}, feed.error)
        elif isinstance(event, ScopeRead):
            self._made(f"scope {event.place}", event.seconds, {"ipsync.scope": event.place}, event.error)
        elif isinstance(event, Outcome) and self._stage:
            self._stage.add_event(f"write {event.result}", {"ipsync.resource": event.resource})
        elif isinstance(event, PassEnded):
            self._ended(event)

    def _begun(self, name: str, parent: Span | None, attributes: Attributes, *, before: float = 0.0) -> Span:
        """Begin a span, so many seconds ago."""
        from opentelemetry.context import Context  # noqa: PLC0415 - an extra
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415 - an extra

        around = set_span_in_context(parent, Context()) if parent else Context()
        start = time.time_ns() - round(before * 1e9)
        return self._tracer.start_span(name, around, attributes=attributes, start_time=start)

    def _made(self, name: str, seconds: float, attributes: Attributes, error: str | None) -> None:
        """Make the span of what is over already."""
        span = self._begun(name, self._stage or self._pass, attributes, before=seconds)
        _end(span, error)

    def _over(self) -> None:
        if self._stage:
            self._stage.end()
        self._stage = None

    def _ended(self, event: PassEnded) -> None:
        self._over()
        span = self._pass or self._begun(
            f"ipsync {event.mode}", None, {"ipsync.mode": event.mode}, before=event.seconds
        )
        self._pass = None
        span.set_attribute("ipsync.result", RESULTS[ended_with(event)])
        if event.report:
            summary = summarize(event.report.plan.target_changes)
            span.set_attribute("ipsync.run", event.report.run)
            span.set_attributes(
                {f"ipsync.{name}": getattr(summary, name) for name in ("add", "remove", "blocked", "failed")}
            )
        _end(span, str(event.error) if event.error else None)


def _end(span: Span, error: str | None) -> None:
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - an extra

    if error is not None:
        span.set_status(Status(StatusCode.ERROR, error))
    span.end()
