"""The web server over real sockets: what it answers, and that nobody keeps others from being answered."""

from __future__ import annotations

import http.client
import resource
import socket
import time
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest

from ipsync.core.errors import UsageError
from ipsync.observers import server as servers
from ipsync.observers.server import Server
from ipsync.observers.web import Answer, Site, is_here, probe


def broken():
    raise RuntimeError("secret: no traceback goes out")


PAGES = {"/": lambda: Answer(b"<p>hello", "text/html"), "/healthz": probe(lambda: None), "/ill": probe(lambda: "ill")}
PAGES |= {"/broken": broken}


@pytest.fixture
def server():
    with closing(Server(Site(PAGES, here=True), "127.0.0.1", 0)) as made:
        yield made


def ask(server, method="GET", path="/healthz", **headers):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
    with closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())


@contextmanager
def connected(server, sent: bytes = b""):
    with socket.create_connection((server.host, server.port), timeout=20) as client:
        client.sendall(sent)
        yield client


def test_pages_and_what_every_answer_says(server):
    status, body, headers = ask(server, path="/?x=1")
    assert (status, body, headers["Content-Type"]) == (200, "<p>hello", "text/html")
    for path in ("/", "/healthz", "/nope"):
        _, _, headers = ask(server, path=path)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert "Server" not in headers


def test_a_probe_says_what_is_wrong(server):
    assert ask(server)[:2] == (200, "ok\n")
    assert ask(server, path="/ill")[:2] == (503, "ill\n")


def test_head_is_get_without_the_body(server):
    status, body, headers = ask(server, "HEAD", "/")
    assert (status, body, headers["Content-Length"]) == (200, "", "8")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "X"])
def test_it_is_for_reading_only(server, method):
    status, _, headers = ask(server, method, "/")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path", ["/nope", "/healthz/", "/healthz//x", "/../etc/passwd", "/%2e%2e/x", "/%00", "/metrics%0d%0aX:%20y"]
)
def test_what_it_does_not_know_is_not_found(server, path):
    assert ask(server, path=path)[0] == 404


def test_a_fault_tells_nothing_and_ends_nothing(server, caplog):
    status, body, _ = ask(server, path="/broken")
    assert status == 500
    assert "secret" not in body
    assert ask(server)[0] == 200


def test_a_long_path_is_refused(server):
    assert ask(server, path="/" + "x" * 3000)[0] == 414
    said = b""
    with connected(server) as client, suppress(OSError):  # it may hang up before all was sent
        client.sendall(b"GET /" + b"x" * 1024 * 1024 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = client.recv(100)
    assert not said or said.split()[1] == b"431"
    assert ask(server)[0] == 200


def test_a_body_is_refused(server):
    with connected(server, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n") as client:
        assert client.recv(100).split()[1] == b"413"


@pytest.mark.parametrize(
    "junk", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\r\n\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_junk_is_no_harm(server, junk):
    with connected(server, junk):
        assert ask(server)[0] == 200


# ── names ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["localhost", "localhost:9464", "127.0.0.1:1", "127.1.2.3", "[::1]:9464"])
def test_this_machine_s_names(server, host):
    assert is_here(host)
    assert ask(server, Host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9464", "10.0.0.1", "localhost.evil.example", "[", "", "a@b:c"]
)
def test_a_page_from_elsewhere_reads_nothing(server, host):
    """DNS rebinding: the browser asks 127.0.0.1 in the name of a page that somebody else wrote."""
    assert not is_here(host)
    assert ask(server, Host=host)[0] == 421


def test_where_others_may_reach_it_names_are_theirs():
    with closing(Server(Site(PAGES, here=False), "127.0.0.1", 0)) as server:
        assert ask(server, Host="ipsync.monitoring.svc")[0] == 200


# ── crowds ───────────────────────────────────────────────────────────────────


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2500:
        pytest.skip("this machine allows no 1,000 connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_slow_clients_keep_nobody_waiting(server, many_files):
    with ExitStack() as clients:
        crowd = [clients.enter_context(connected(server, b"GET / HT")) for _ in range(1000)]
        began = time.monotonic()
        assert [ask(server)[0] for _ in range(10)] == [200] * 10
        assert time.monotonic() - began < 10, "each waited for somebody else"
        for client in crowd[-50:]:
            client.sendall(b"T")
        assert ask(server, path="/")[0] == 200
        assert len(server._server._open()) <= servers.CONNECTIONS + 1


def test_a_client_that_never_comes_to_the_point_is_left(monkeypatch):
    monkeypatch.setattr(servers, "REQUEST_TIME", 0.5)
    with (
        closing(Server(Site(PAGES, here=True), "127.0.0.1", 0)) as server,
        connected(server) as client,
        pytest.raises(OSError, match=r"reset|Broken"),
    ):
        dawdle(client)


def dawdle(client) -> None:
    """Be slow, but never silent."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        client.sendall(b"x")
        time.sleep(0.05)


def test_a_connection_that_is_used_again_and_again_stays(monkeypatch, server):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
    with closing(connection):
        for _ in range(3):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b"ok\n"
            local = connection.sock.getsockname()
        assert connection.sock.getsockname() == local


# ── where ────────────────────────────────────────────────────────────────────


def test_a_port_in_use_is_told_with_its_key(server):
    with pytest.raises(
        UsageError, match=rf"listen: 127.0.0.1:{server.port} can't be listened on: Address already in use"
    ):
        Server(Site(PAGES, here=True), "127.0.0.1", server.port)


def test_an_address_of_another_machine_is_told_too():
    with pytest.raises(UsageError, match=r"listen: 192.0.2.1:0 can't be listened on: .*; give `listen` in the config"):
        Server(Site(PAGES, here=True), "192.0.2.1", 0)


@pytest.mark.parametrize(("host", "start"), [("localhost", "http://localhost:"), ("::1", "http://[::1]:")])
def test_other_names_of_this_machine(host, start):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with closing(Server(Site(PAGES, here=True), host, 0)) as server:
        assert server.url.startswith(start)
        assert ask(server)[0] == 200


def test_after_the_end_the_port_is_free():
    server = Server(Site(PAGES, here=True), "127.0.0.1", 0)
    with connected(server) as client:
        server.close()
        assert client.recv(1) == b""
    with closing(Server(Site(PAGES, here=True), "127.0.0.1", server.port)) as again:
        assert ask(again)[0] == 200
