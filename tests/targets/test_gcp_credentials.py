"""No network and no credentials: which host or which file, why, what to do; soon, and healed by itself."""

from __future__ import annotations

import json
import socket
import ssl
import time

import pytest
import requests
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from factory import config, gcp_target, planned
from google.auth.exceptions import DefaultCredentialsError, OAuthError, ReauthFailError, RefreshError, TransportError

from ipsync import app
from ipsync.cli.check import render
from ipsync.core.errors import Denied, Unreachable
from ipsync.sandbox.feed import FeedServer
from ipsync.targets.gcp import calls as gcp_calls
from ipsync.targets.gcp import credentials as gcp_credentials
from ipsync.targets.gcp import network as gcp_network
from ipsync.targets.gcp import pacing as gcp_pacing
from ipsync.targets.gcp.rule_reader import Reader

VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """No proxy, no credentials and no metadata server but what a test sets."""
    for name in (*PROXIES, *(p.upper() for p in PROXIES), VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setattr(gcp_calls, "FIRST_PAUSE", 0.001)


@pytest.fixture
def dead():
    """Return a port of this machine where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(scope="module")
def key() -> str:
    made = rsa.generate_private_key(65537, 2048)
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "client_email": "ipsync@acme.iam.gserviceaccount.com", "private_key_id": "k"}
    return json.dumps({**account, "private_key": pem.decode(), "token_uri": "https://oauth2.googleapis.com/token"})


def errors(*targets) -> list[str]:
    return [change.error for change in planned(*targets)]


# ── nobody answers ───────────────────────────────────────────────────────────


def test_a_refused_connection_is_said_soon_with_its_host(dead, monkeypatch):
    monkeypatch.setattr(gcp_calls, "FIRST_PAUSE", 0.2)
    began = time.monotonic()
    (error,) = errors(gcp_target(where={"endpoint": f"http://127.0.0.1:{dead}"}))
    assert time.monotonic() - began < 20, "it was a minute"
    assert "127.0.0.1 can't be reached: the connection was refused" in error
    assert "HTTPS_PROXY" in error


def test_a_dead_proxy_is_named_by_its_variable_without_its_password(dead, monkeypatch, tmp_path, key):
    (tmp_path / "key.json").write_text(key)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "key.json"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter2@127.0.0.1:{dead}")
    (error,) = errors(gcp_target())
    assert f"compute.googleapis.com can't be reached through 127.0.0.1:{dead}, the proxy of HTTPS_PROXY" in error
    assert "hunter2" not in error


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://", "nonsense://127.0.0.1:1"])
def test_a_proxy_that_cant_be_used_is_a_sentence(monkeypatch, tmp_path, key, proxy):
    (tmp_path / "key.json").write_text(key)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "key.json"))
    monkeypatch.setenv("https_proxy", proxy)
    (error,) = errors(gcp_target())
    assert "the proxy of https_proxy" in error


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("text", [None, "no PEM"])
def test_a_bundle_that_cant_be_used_is_named_by_its_variable(monkeypatch, tmp_path, key, variable, text):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    (tmp_path / "key.json").write_text(key)
    if text:
        (tmp_path / "ca.pem").write_text(text)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "key.json"))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
    with FeedServer([], tls=context) as server:
        endpoint = server.url.removesuffix("/v1/outbound-ips")
        (error,) = errors(gcp_target(where={"endpoint": endpoint}))
    assert f"{variable} names {tmp_path / 'ca.pem'}, which can't be used as a CA bundle (PEM)" in error


def test_a_name_that_cant_be_resolved(monkeypatch):
    def unknown(*_):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(requests.ConnectionError) as caught:
        requests.get("https://compute.googleapis.com/", timeout=1)
    assert "compute.googleapis.com can't be reached: its name can't be resolved" in gcp_network.unreached(caught.value)


def test_a_token_host_that_isnt_there_is_named(dead):
    with pytest.raises(requests.ConnectionError) as caught:
        requests.get(f"http://127.0.0.1:{dead}/token", timeout=1)
    tries = []

    def operation():
        tries.append(1)
        raise TransportError(caught.value)

    with pytest.raises(Unreachable, match=r"no token from Google: 127\.0\.0\.1 can't be reached"):
        gcp_calls.call(operation, subject="listing", writes=False, quota=gcp_pacing.quota("acme", writes=False))
    assert len(tries) == gcp_calls.BRIEF_TRIES


def test_what_takes_long_to_fail_isnt_tried_again(monkeypatch):
    monkeypatch.setattr(gcp_calls, "BRIEF", 0.0)
    tries = []

    def operation():
        tries.append(1)
        raise requests.ConnectTimeout("no route")

    with pytest.raises(Unreachable, match="no connection within 4 s"):
        gcp_calls.call(operation, subject="listing", writes=False, quota=gcp_pacing.quota("acme", writes=False))
    assert len(tries) == 1


def test_a_connection_has_a_shorter_limit_than_an_answer(gcp):
    made = Reader(gcp_target(where={"endpoint": gcp.endpoint}))._list.__self__
    session = made.transport._session
    asked = {}
    adapter = session.get_adapter("https://x")
    adapter.poolmanager.connection_from_host = lambda *_, **options: pytest.fail("no request is sent here")
    base = type(adapter).__mro__[1]
    for limit, sent in ((20.0, (4.0, 20.0)), (120, (4.0, 30.0)), (None, (4.0, 30.0)), (1.0, (1.0, 1.0))):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(base, "send", lambda _s, _r, **options: asked.update(options))
            adapter.send(None, timeout=limit)
        assert asked["timeout"] == sent
    assert session._auth_request.session.get_adapter("http://x").max_retries.total == 0


# ── credentials ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ("was not found", "mount the file")),
        ("", ("no credentials file",)),
        ("{", ("no credentials file",)),
        ("[]", ("no credentials file",)),
        ('{"type": "nonsense"}', ("no credentials file",)),
        ('{"type": "service_account", "client_email": "a@b"}', ("no credentials file", "service_account, a@b")),
        ('{"type": "authorized_user"}', ("no credentials file", "authorized_user")),
        ('{"type": "external_account"}', ("no credentials file", "external_account")),
        ("\udcff".encode("utf-8", "surrogateescape"), ("no credentials file",)),
        ("folder", ("mount the file",)),
    ],
)
def test_a_file_that_holds_no_credentials_is_named_with_what_helps(monkeypatch, tmp_path, content, words):
    path = tmp_path / "key.json"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.write_text(content)
    monkeypatch.setenv(VARIABLE, str(path))
    (error,) = errors(gcp_target())
    assert "no Google credentials for project acme" in error
    assert f"the file {path} of {VARIABLE}" in error
    assert "a fault in ipsync" not in error
    assert all(word in error for word in words), error


def test_no_credentials_at_all(monkeypatch):
    (error,) = errors(gcp_target())
    assert "no Google credentials for project acme" in error
    assert "gcloud auth application-default login" in error


@pytest.mark.parametrize("content", [None, "{"])
def test_check_ends_in_its_table(monkeypatch, tmp_path, content):
    if content:
        (tmp_path / "key.json").write_text(content)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "key.json"))
    made = config(gcp_target(feeds=(), limits=()))
    found = app.check_once(made)
    assert [f.ok for f in found] == [True, False]
    assert render(found, output="text", colour=False).endswith("1 of 2 checks passed, 1 to fix\n")


def test_a_worker_heals_when_its_credentials_come(dead, monkeypatch, tmp_path, key):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "key.json"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{dead}")
    assert "no Google credentials" in errors(gcp_target())[0]
    (tmp_path / "key.json").write_text(key)
    (error,) = errors(gcp_target())
    assert "no Google credentials" not in error
    assert "compute.googleapis.com can't be reached" in error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RefreshError("invalid_grant: Token has been expired or revoked.", {}), "application-default login"),
        (RefreshError("invalid_grant: reauth related error (invalid_rapt)", {"error_subtype": "invalid_rapt"}), "fresh sign-in"),
        (ReauthFailError("Reauthentication challenge could not be answered because you are not in an interactive session."), "fresh sign-in"),
        (RefreshError("Unable to acquire impersonated credentials", '{"error": {"code": 403}}'), "serviceAccountTokenCreator"),
        (RefreshError("invalid_grant: Invalid JWT Signature.", {}), "keys list"),
        (RefreshError("invalid_grant: Invalid grant: account not found", {}), "keys list"),
        (RefreshError("invalid_grant: Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.", {}), "clock"),
        (OAuthError("Error code invalid_target: The target service indicated by the audience parameters is invalid."), "federation"),
        (OAuthError("Error code invalid_grant: The issuer in ID Token does not match"), "federation"),
        (RefreshError("File '/var/run/token' was not found."), "mount the file"),
        (DefaultCredentialsError("Your default credentials were not found."), "on a laptop"),
        (RefreshError("something new"), "renew them"),
    ],
)  # fmt: skip
def test_each_failure_says_what_to_run_and_is_asked_once(error, words):
    tries = []

    def operation():
        tries.append(1)
        raise error

    with pytest.raises(Denied, match="the Google credentials were refused") as caught:
        gcp_calls.call(operation, subject="listing", writes=False, quota=gcp_pacing.quota("acme", writes=False))
    assert words in str(caught.value)
    assert len(tries) == 1


def test_a_metadata_server_that_gives_no_token():
    error = TransportError(
        "Failed to retrieve http://metadata.google.internal/computeMetadata/v1/ from the metadata service"
    )
    assert "attach a service account" in gcp_credentials.explain(error)


def test_whose_a_file_is_is_said_and_nothing_secret(monkeypatch, tmp_path, key):
    (tmp_path / "key.json").write_text(key)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "key.json"))
    said = gcp_credentials.source()
    assert "service_account, ipsync@acme.iam.gserviceaccount.com" in said
    assert "PRIVATE" not in said


# ── real credentials of each kind, with nobody behind them ───────────────────

FEDERATED = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
}
USER = {"type": "authorized_user", "client_id": "c", "client_secret": "hunter2", "refresh_token": "hunter3"}


def test_a_federated_token_that_isnt_mounted(monkeypatch, tmp_path):
    held = {**FEDERATED, "credential_source": {"file": str(tmp_path / "token")}}
    (tmp_path / "wif.json").write_text(json.dumps(held))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "wif.json"))
    (error,) = errors(gcp_target())
    assert "no Google credentials for project acme" in error
    assert f"{tmp_path / 'token'}' was not found" in error.replace('"', "'")
    assert "mount the file" in error
    assert "add-iam-policy-binding" not in error


@pytest.mark.parametrize(("kind", "host"), [("user", "oauth2.googleapis.com"), ("federated", "sts.googleapis.com")])
def test_a_token_that_cant_be_fetched_names_the_host_and_no_secret(dead, monkeypatch, tmp_path, kind, host):
    (tmp_path / "token").write_text("hunter4")
    held = USER if kind == "user" else {**FEDERATED, "credential_source": {"file": str(tmp_path / "token")}}
    (tmp_path / "key.json").write_text(json.dumps(held))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "key.json"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{dead}")
    (error,) = errors(gcp_target())
    assert f"no token from Google: {host} can't be reached through 127.0.0.1:{dead}, the proxy of HTTPS_PROXY" in error
    assert "hunter" not in error


def test_a_user_whose_sign_in_has_expired(gcp, monkeypatch, tmp_path):
    """Google's token endpoint on this machine: 400 invalid_grant, with the subtype of reauthentication."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            data = json.dumps({"error": "invalid_grant", "error_description": "reauth related error (invalid_rapt)", "error_subtype": "invalid_rapt"}).encode()  # fmt: skip
            self.send_response(400)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        uri = f"http://127.0.0.1:{server.server_port}/token"
        (tmp_path / "key.json").write_text(json.dumps(USER))
        monkeypatch.setenv(VARIABLE, str(tmp_path / "key.json"))
        monkeypatch.setattr("google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", uri)
        (error,) = errors(gcp_target())
        server.shutdown()
        thread.join(5)
    assert "the Google credentials were refused" in error
    assert "gcloud auth application-default login" in error
