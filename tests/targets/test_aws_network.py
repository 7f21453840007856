"""What stands between us and AWS: proxies, names, connections and certificates, by what is to be mended."""

from __future__ import annotations

import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import trustme
from factory import HTTPS, hosts, planned, target_at

from ipsync.core.errors import Unreachable
from ipsync.core.model import Entry, Operation
from ipsync.sandbox.feed import FeedServer
from ipsync.targets.aws import client as aws_client
from ipsync.targets.aws.group_writer import Writer
from ipsync.targets.aws.where import AwsAccount

# ── proxies ──────────────────────────────────────────────────────────────────


@pytest.fixture
def unproxied(aws, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(aws_client, "_SESSIONS", {})
    return monkeypatch


@pytest.fixture
def gatekeeper():
    """A proxy that wants a password of everybody."""

    class Gatekeeper(BaseHTTPRequestHandler):
        def refuse(self):
            body = b"<html><title>Authentication required</title></html>"
            self.send_response(407)
            self.send_header("Proxy-Authenticate", "Basic")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET = do_CONNECT = refuse  # noqa: N815 - names that http.server calls

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Gatekeeper) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HTTP_PROXY", "http://127.0.0.1:1", ("HTTP_PROXY (http://127.0.0.1:1)", "can't be reached")),
        ("http_proxy", "127.0.0.1:1", ("http_proxy (127.0.0.1:1)", "no scheme, so http:// was taken")),
        ("HTTP_PROXY", "socks5://127.0.0.1:1", ("HTTP_PROXY (socks5://127.0.0.1:1)", "no http or https one")),
        ("HTTP_PROXY", "http://me:secret@127.0.0.1:1", ("HTTP_PROXY (http://***@127.0.0.1:1)", "can't be reached")),
    ],
)
def test_a_proxy_that_can_not_be_used_is_named_by_its_variable(aws, unproxied, variable, value, words):
    unproxied.setenv(variable, value)
    error = planned(target_at(aws, "sg-00000000000000000"))[0].error
    for word in (*words, "NO_PROXY"):
        assert word in error
    assert "secret" not in error


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password_is_named(aws, unproxied, gatekeeper, scheme):
    variable = f"{scheme.upper()}_PROXY"
    unproxied.setenv(variable, f"http://{gatekeeper}")
    error = planned(target_at(aws, "sg-00000000000000000", endpoint_url=f"{scheme}://127.0.0.1:9"))[0].error
    assert f"the proxy in {variable} (http://{gatekeeper}) wants a name and a password (407)" in error


def test_a_dead_proxy_on_the_way_to_the_role_is_named(aws, unproxied):
    unproxied.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    account = AwsAccount(role_arn="arn:aws:iam::222222222222:role/behind-a-proxy")
    error = planned(target_at(aws, "sg-00000000000000000", account=account))[0].error
    assert "the proxy in HTTP_PROXY (http://127.0.0.1:1) can't be reached" in error


def test_nothing_was_written_where_the_proxy_is_dead(aws, unproxied):
    unproxied.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    entry = Entry(hosts(1)[0], HTTPS, (("description", "d"),))
    operation = Operation("add", "aws/123456789012/eu-north-1/sg-00000000000000000", (), (), entries=(entry,))
    with pytest.raises(Unreachable):
        Writer(target_at(aws, "sg-00000000000000000")).execute(operation)


# ── certificates ─────────────────────────────────────────────────────────────


@pytest.fixture
def inspected(unproxied):
    """An address with a certificate that nobody knows, as that of a proxy that inspects TLS."""
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        unproxied.delenv(name, raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with FeedServer([], tls=context) as server:
        yield server.url.removesuffix("/v1/outbound-ips")


def at(aws, url, **where):
    return target_at(aws, "sg-00000000000000000", endpoint_url=url, **where)


def test_a_certificate_that_nobody_trusts(aws, inspected):
    error = planned(at(aws, inspected))[0].error
    assert f"the certificate of {inspected.removeprefix('https://')} isn't trusted" in error
    assert "AWS_CA_BUNDLE must name a file with its authority" in error
    assert "SSLError" not in error


def test_a_certificate_of_another_host(aws, inspected, unproxied, tmp_path):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    unproxied.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with FeedServer([], tls=context) as server:
        assert "isn't trusted" in planned(at(aws, server.url.removesuffix("/v1/outbound-ips")))[0].error


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "can't be read as a CA bundle (No such file or directory)"), ("no PEM", "no certificate")],
)
def test_a_bundle_that_can_not_be_used_is_named_by_its_variable(aws, inspected, tmp_path, variable, text, words):
    bundle = tmp_path / "ca.pem"
    if text is not None:
        bundle.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, str(bundle))
        error = planned(at(aws, inspected))[0].error
    assert f"{variable} names {bundle}, which" in error
    assert words in error


def test_a_write_that_no_trust_was_there_for_was_never_sent(aws, inspected):
    """Not "unknown": nothing needs to be read back."""
    entry = Entry(hosts(1)[0], HTTPS, (("description", "d"),))
    operation = Operation("add", "aws/123456789012/eu-north-1/sg-00000000000000000", (), (), entries=(entry,))
    with pytest.raises(Unreachable, match="isn't trusted"):
        Writer(at(aws, inspected)).execute(operation)


# ── names and connections ────────────────────────────────────────────────────


def test_a_name_that_can_not_be_resolved(aws, unproxied):
    error = planned(at(aws, "http://nowhere.invalid"))[0].error
    assert "nowhere.invalid can't be reached: its name can't be resolved; look at this machine's DNS" in error


def test_a_refused_connection(aws, unproxied):
    error = planned(at(aws, "http://127.0.0.1:1"))[0].error
    assert "127.0.0.1:1 can't be reached: no connection (Connection refused)" in error
    assert "HTTPS_PROXY" in error


def test_a_connection_that_a_firewall_drops(aws, unproxied):
    """A listener whose queue is full takes no connection, as a firewall that drops packets."""
    unproxied.setattr(aws_client, "CONFIG", aws_client.CONFIG.merge(aws_client.Config(connect_timeout=0.3)))
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        error = planned(at(aws, f"http://127.0.0.1:{full.getsockname()[1]}"))[0].error
    assert "can't be reached: no connection in time; a firewall or a missing route drops it" in error


def test_the_way_to_a_role_is_named_as_well(aws, inspected):
    error = planned(at(aws, inspected, account=AwsAccount(role_arn="arn:aws:iam::222222222222:role/far")))[0].error
    assert "no AWS credentials" in error
    assert "isn't trusted" in error
