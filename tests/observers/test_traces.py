"""Traces of passes: what a collector on loopback gets, and that none is ever in the way."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from factory import Stage, aws_target, config, hosts
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from receiver import receiver, says

from ipsync.core.errors import AuditLogError
from ipsync.core.signals import PassEnded
from ipsync.observers import traces
from ipsync.observers.traces import traced, wanted
from ipsync.sandbox.feed import FeedServer

NAMES = (
    *traces.ENDPOINTS,
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_SERVICE_NAME",
)
CONFIG = """\
version: 1
owner: acme
feeds: {{qatech: {{url: "{feed}", headers: {{authorization: Bearer feed-s3cret}}}}}}
targets:
  - {{name: web, kind: aws-security-group, feed: qatech, region: eu-north-1, groups: [{group}], ports: [443/tcp],
     account: {{role_arn: "arn:aws:iam::123456789012:role/ipsync", external_id: ext-s3cret}}}}
audit: {{path: {folder}/audit.jsonl}}
"""


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def collector(monkeypatch):
    with receiver() as kept:
        kept.url = kept.url.removesuffix("/services/T0/B0/secretsecret")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", kept.url)
        yield kept


def spans(collector):
    """Return what came, by id, with the resource's attributes."""
    found, around = {}, {}
    for path, _, body in collector.came:
        assert path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            around |= {a.key: a.value.string_value for a in resource.resource.attributes}
            found |= {span.span_id: span for scope in resource.scope_spans for span in scope.spans}
    return found, around


def tree(found):
    """Return each span's name under its parents' names."""

    def path(span):
        return (*path(found[span.parent_span_id]), span.name) if span.parent_span_id else (span.name,)

    return sorted(path(span) for span in found.values())


def attributes(span):
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


def test_a_span_a_pass_a_stage_and_what_was_read_in_it(collector):
    stage = Stage(config(aws_target()), lists={"qatech": hosts(2)})
    with traced() as observers:
        stage.watched(*observers, seconds=0.1)
    found, around = spans(collector)
    made = tree(found)
    assert made[:4] == [
        ("ipsync sync",),
        ("ipsync sync", "close"),
        ("ipsync sync", "open"),
        ("ipsync sync", "plan"),
    ]
    assert ("ipsync sync", "read", "feed qatech") in made
    assert ("ipsync sync", "read", "scope aws/-/eu-north-1") in made
    assert around["service.name"] == "ipsync"
    [whole] = [s for s in found.values() if s.name == "ipsync sync"]
    assert attributes(whole) == {
        "ipsync.mode": "sync",
        "ipsync.run": "r1",
        "ipsync.result": "done",
        "ipsync.add": 2,
        "ipsync.remove": 0,
        "ipsync.blocked": 0,
        "ipsync.failed": 0,
    }
    for span in found.values():
        assert whole.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
    [written] = [s for s in found.values() if s.name == "open"]
    assert [e.name for e in written.events] == ["write applied"]


def test_each_pass_is_a_trace_of_its_own_and_errors_show(collector):
    stage = Stage(config(aws_target()), lists={"qatech": "feed qatech answered 503"})
    with traced() as observers:
        stage.watched(*observers)
        stage.cloud.unreadable = {stage.config.targets[0].scope}
        stage.watched(*observers)
        for hears in observers:
            hears(PassEnded("sync", 2.0, error=AuditLogError("the log is locked")), None)
    found, _ = spans(collector)
    assert len({span.trace_id for span in found.values()}) == 3
    wrong = {span.name: span.status.message for span in found.values() if span.status.code == 2}
    assert wrong["feed qatech"] == "feed qatech answered 503"
    assert wrong["ipsync sync"] == "the log is locked"
    assert "scope aws/-/eu-north-1" in wrong
    [broken] = [s for s in found.values() if s.status.message == "the log is locked"]
    assert round((broken.end_time_unix_nano - broken.start_time_unix_nano) / 1e9) == 2


def test_the_operators_own_name_for_the_service_stays(collector, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "doors")
    with traced() as observers:
        Stage(config(aws_target()), lists={"qatech": hosts(2)}).watched(*observers)
    assert spans(collector)[1]["service.name"] == "doors"


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_when_traces_are_asked_for(environ, asked):
    assert wanted(environ) == asked


def test_without_the_package_it_warns_once_and_goes_on(collector, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with traced() as observers:
        assert observers == ()
    [record] = caplog.records
    assert (record.levelno, "pip install 'ipsync[otel]'" in record.getMessage()) == (logging.WARNING, True)


def test_grpc_is_told_and_goes_on(caplog):
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with traced(environ) as observers:
        assert observers == ()
    assert "http/protobuf alone" in caplog.text


@pytest.mark.parametrize("answer", ["hangs", "500", "dead"])
def test_a_collector_that_is_no_good_delays_no_pass(collector, monkeypatch, answer):
    monkeypatch.setattr(traces, "FLUSH", 0.2)
    collector.answers = [collector.hang if answer == "hangs" else says(503)]
    if answer == "dead":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    stage = Stage(config(aws_target()), lists={"qatech": hosts(2)})
    with traced() as observers:
        [hears] = observers
        began = time.monotonic()
        for _ in range(20):
            stage.watched(hears)
        assert time.monotonic() - began < 5, "hearing is all that it does"
        ended = time.monotonic()
    assert time.monotonic() - ended < 2
    collector.released.set()


# ── in a process of its own ──────────────────────────────────────────────────

PROCESS = """
import sys
from ipsync.cli import main
sys.argv = ["ipsync", *sys.argv[1:]]
try:
    main()
finally:
    print(sorted({m.split(".")[0] for m in sys.modules} & {"opentelemetry"}))
"""


@contextmanager
def desk(aws, tmp_path):
    with FeedServer(["18.196.41.10"]) as feed:
        path = tmp_path / "ipsync.yaml"
        path.write_text(CONFIG.format(feed=feed.url, group=aws.make_group("web"), folder=tmp_path))
        yield [sys.executable, "-c", PROCESS, "sync", "-c", str(path)]


def test_a_process_with_a_collector_and_one_without(aws, tmp_path, collector, monkeypatch):
    with desk(aws, tmp_path) as command:
        with_it = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        collector.answers = [collector.hang]
        hung = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
        without = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert with_it.stdout.endswith("['opentelemetry']\n")
    assert without.stdout.endswith("\n[]\n"), "nothing of it is imported"
    assert "the last traces weren't taken in 3 s, and are let go" in hung.stderr
    found, _ = spans(collector)
    assert ("ipsync sync", "read", "scope aws/123456789012/eu-north-1") in tree(found)
    sent = b"".join(body for _, _, body in collector.came)
    assert not [secret for secret in (b"feed-s3cret", b"ext-s3cret", b"testing") if secret in sent]
