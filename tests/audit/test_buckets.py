"""A copy of each run in an object store, and the log as a SIEM reads it."""

from __future__ import annotations

import base64
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from factory import put

from ipsync.audit import AuditLog, export, show
from ipsync.audit import buckets as sinks
from ipsync.audit.buckets import upload
from ipsync.core.errors import AuditLogError


def test_s3_gets_one_object_a_run_and_never_over_another(aws):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="audit", CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
    where = upload("s3://audit/ipsync", name="acme/r1.jsonl", data=b"one\n")
    assert where == "s3://audit/ipsync/acme/r1.jsonl"
    assert s3.get_object(Bucket="audit", Key="ipsync/acme/r1.jsonl")["Body"].read() == b"one\n"
    with pytest.raises(AuditLogError, match="could not be copied to s3://audit"):
        upload("s3://audit/ipsync", name="acme/r1.jsonl", data=b"forged\n")
    assert s3.get_object(Bucket="audit", Key="ipsync/acme/r1.jsonl")["Body"].read() == b"one\n"
    with pytest.raises(AuditLogError, match="NoSuchBucket"):
        upload("s3://none", name="x", data=b"")


class _Storage(BaseHTTPRequestHandler):
    """Cloud Storage's JSON upload, as far as a media upload with a precondition goes."""

    objects: ClassVar[dict[str, bytes]] = {}

    def do_POST(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        data = self.rfile.read(int(self.headers["Content-Length"]))
        key = f"{self.path.split('/')[5]}/{query['name'][0]}"
        taken = query["ifGenerationMatch"] == ["0"] and key in self.objects
        if not taken:
            self.objects[key] = data
        self.send_response(412 if taken else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def test_cloud_storage_too(monkeypatch):
    _Storage.objects = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Storage)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    try:
        assert upload("gs://audit/ipsync/", name="acme/r 1.jsonl", data=b"one\n") == "gs://audit/ipsync/acme/r 1.jsonl"
        with pytest.raises(AuditLogError, match="was not written: 412"):
            upload("gs://audit/ipsync", name="acme/r 1.jsonl", data=b"forged\n")
    finally:
        server.shutdown()
        server.server_close()
    assert _Storage.objects == {"audit/ipsync/acme/r 1.jsonl": b"one\n"}


class _Google(_Storage):
    """As above, behind Google's token endpoint: a token is given for a scope, and nothing is taken without it."""

    scopes: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        if self.path == "/token":
            self._give_token()
        elif self.headers["Authorization"] == "Bearer a-token":
            super().do_POST()
        else:
            self._answer(401, {"error": {"message": "no token"}})

    def _give_token(self) -> None:
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        claims = asked["assertion"][0].split(".")[1]
        scope = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))).get("scope")
        self.scopes.append(scope)
        if scope:
            self._answer(200, {"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"})
        else:
            self._answer(400, {"error": "invalid_scope", "error_description": "Empty or missing scope not allowed."})

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def test_cloud_storage_with_a_key_file(monkeypatch, tmp_path):
    """No scope was asked for, so Google gave no token, and no copy was made with a key file."""
    _Storage.objects, _Google.scopes = {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Google)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    secret = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = {"type": "service_account", "project_id": "acme", "private_key_id": "1", "private_key": secret.decode()}
    key |= {"client_email": "ipsync@acme.iam.gserviceaccount.com", "client_id": "1", "token_uri": f"{base}/token"}
    (tmp_path / "key.json").write_text(json.dumps(key))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(sinks, "STORAGE", base, raising=False)
    try:
        assert upload("gs://audit/ipsync", name="r1.jsonl", data=b"one\n") == "gs://audit/ipsync/r1.jsonl"
    finally:
        server.shutdown()
        server.server_close()
    assert _Google.scopes == ["https://www.googleapis.com/auth/cloud-platform"]
    assert _Storage.objects == {"audit/ipsync/r1.jsonl": b"one\n"}


def test_ocsf(tmp_path):
    path = tmp_path / "a.jsonl"
    with AuditLog.open(
        path, owner="acme", actor="me@host", run="r1", clock=lambda: datetime(2026, 1, 31, 9, tzinfo=UTC)
    ) as audit_log:
        put(audit_log, "feed", feed="qatech", rejected="no answer")
        intent = put(audit_log, "intent", resource="aws/1/r/sg-1", kind="remove", before=["x"], after=[])
        put(audit_log, "outcome", intent=intent.seq, result="denied", error="no", request_id="req-7")
        put(audit_log, "recovered", intent=intent.seq, result="applied", now=[])
        put(audit_log, "run-ended", mode="sync", targets=[])
    feed, asked, denied, settled, ended = export(show(path), version="9")
    assert (feed["class_uid"], feed["activity_id"], feed["type_uid"]) == (6003, 2, 600302)
    assert feed["status"] == "Failure"
    assert (asked["activity_name"], asked["resources"]) == ("Delete", [{"uid": "aws/1/r/sg-1", "type": "firewall"}])
    assert asked["time"] == 1769850000000
    assert (denied["status_id"], denied["status_detail"], denied["api"]["request"]) == (2, "no", {"uid": "req-7"})
    assert denied["api"]["operation"] == "outcome:remove"
    assert denied["resources"] == asked["resources"]
    assert settled["status"] == "Success"
    assert ended["activity_name"] == "Other"
    json.dumps([feed, asked, denied, settled, ended])


AT = "2026-01-31T09:00:00Z"
INTENT = {"event": "intent", "seq": 3, "kind": "add", "resource": "gcp/acme/allow", "at": AT, "run": "r1"}
INTENT |= {"actor": "me@host", "owner": "acme", "hash": "h3"}


def record(event: str, **fields: object) -> dict[str, object]:
    return {
        "event": event,
        "seq": 4,
        "at": AT,
        "run": "r1",
        "actor": "me@host",
        "owner": "acme",
        "hash": "h4",
        **fields,
    }


def test_an_event_is_the_schema_s():
    outcome = record("outcome", intent=3, result="denied", error="no", request_id="req-7")
    assert list(export([INTENT, outcome], version="9"))[1] == {
        "metadata": {
            "version": "1.3.0",
            "product": {"name": "ipsync", "vendor_name": "ipsync", "version": "9"},
            "uid": "4:h4",
            "correlation_uid": "r1",
            "sequence": 4,
        },
        "category_uid": 6,
        "category_name": "Application Activity",
        "class_uid": 6003,
        "class_name": "API Activity",
        "activity_id": 1,
        "activity_name": "Create",
        "type_uid": 600301,
        "type_name": "API Activity: Create",
        "time": 1769850000000,
        "severity_id": 3,
        "severity": "Medium",
        "status_id": 2,
        "status": "Failure",
        "status_detail": "no",
        "actor": {"user": {"name": "me@host", "type_id": 3, "type": "System"}, "app_name": "ipsync"},
        "api": {"operation": "outcome:add", "service": {"name": "gcp"}, "request": {"uid": "req-7"}},
        "src_endpoint": {"name": "host"},
        "unmapped": {
            "event": "outcome",
            "owner": "acme",
            "intent": 3,
            "result": "denied",
            "error": "no",
            "request_id": "req-7",
        },
        "resources": [{"uid": "gcp/acme/allow", "type": "firewall"}],
    }


@pytest.mark.parametrize(
    ("kind", "activity"),
    [
        *(("add", "Create"), ("create", "Create"), ("remove", "Delete"), ("delete", "Delete")),
        *(("note", "Update"), ("unnote", "Update"), ("replace", "Update"), ("new", "Other")),
    ],
)
def test_each_kind_of_write_has_its_activity(kind, activity):
    outcome = record("outcome", intent=3, result="applied")
    events = list(export([{**INTENT, "kind": kind}, outcome], version="9"))
    assert [e["activity_name"] for e in events] == [activity] * 2
    assert [e["api"]["operation"] for e in events] == [f"intent:{kind}", f"outcome:{kind}"]


@pytest.mark.parametrize(
    ("told", "activity", "status", "severity"),
    [
        (record("feed", count=1), "Read", "Success", "Informational"),
        (record("feed", rejected="down"), "Read", "Failure", "Medium"),
        (record("plan"), "Read", "Success", "Informational"),
        (record("run-ended", refused="moved"), "Other", "Failure", "Medium"),
        (record("rotated"), "Other", "Success", "Informational"),
        (record("recovered", torn_bytes=1), "Other", "Success", "Informational"),
        (record("recovered", intent=9, result="applied"), "Other", "Success", "Informational"),
        (record("recovered", intent=9, result="unknown"), "Other", "Unknown", "Medium"),
        (record("outcome", intent=9, result="failed"), "Other", "Failure", "Medium"),
        (record("note", result="failed"), "Other", "Success", "Informational"),
    ],
)
def test_what_is_no_write_reads_or_is_other_and_has_its_status(told, activity, status, severity):
    (event,) = export([told], version="9")
    assert (event["activity_name"], event["status"], event["severity"]) == (activity, status, severity)
    assert (event["severity_id"], event["status_id"]) == (
        {"Informational": 1, "Medium": 3}[severity],
        {"Unknown": 0, "Success": 1, "Failure": 2}[status],
    )
    assert event["api"] == {"operation": told["event"], "service": {"name": "ipsync"}}
    assert "resources" not in event
