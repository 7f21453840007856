"""Feeds: whole, strict and in time, or not at all."""

from __future__ import annotations

import gzip
import json
import ssl
import time
from datetime import UTC, datetime

import pytest
import trustme

from ipsync.errors import FeedError
from ipsync.feeds import fetch, public_url
from ipsync.model import Feed
from ipsync.sandbox.feed import FeedServer, Raw

AT = datetime(2026, 1, 31, 9, tzinfo=UTC)
JSON = ("Content-Type", "application/json")


def got(server: FeedServer, **changes):
    feed = Feed(**{"name": "qatech", "url": server.url, "select": "ipAddresses", "timeout": 5.0, **changes})
    return fetch(feed, clock=lambda: AT)


@pytest.fixture
def server():
    with FeedServer(["8.8.8.8", "1.1.1.1", "2600::1"]) as made:
        yield made


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def secure(authority, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with FeedServer(["8.8.8.8"], tls=context) as made:
        yield made, str(bundle)


def test_qatech_s_format(server):
    snapshot = got(server)
    assert [str(n) for n in snapshot.networks] == ["1.1.1.1/32", "8.8.8.8/32", "2600::1/128"]
    assert snapshot.fetched_at == AT
    server.addresses = ["2600::1", "8.8.8.8", "8.8.8.8/32", "1.1.1.1"]
    assert got(server).digest == snapshot.digest
    server.addresses = ["8.8.8.8"]
    assert got(server).digest != snapshot.digest


def test_unknown_extra_keys_are_fine(server):
    server.respond(b'{"ipAddresses": ["8.8.8.8"], "updated": 1, "note": {"a": null}}')
    assert len(got(server).networks) == 1


def test_an_empty_list_is_a_list_and_left_to_the_guards(server):
    server.addresses = []
    assert got(server).networks == ()


def test_a_text_feed_has_comments(server):
    body = b"# our runners\r\n8.8.8.8  # one\n\n  1.1.1.0/24\n"
    server.respond(body, headers=[("Content-Type", "text/plain; charset=utf-8")])
    assert [str(n) for n in got(server, format="text", select=None).networks] == ["1.1.1.0/24", "8.8.8.8/32"]


def test_a_select_picks_from_other_formats(server):
    server.respond(json.dumps({"prefixes": [{"s": "E", "p": "8.8.8.0/24"}, {"s": "X", "p": "9.9.9.0/24"}]}).encode())
    assert [str(n) for n in got(server, select="prefixes[?s=='E'].p").networks] == ["8.8.8.0/24"]


def test_what_is_sent(server, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    got(server, headers=(("X-Token", "t"),))
    sent = server.requests[0].headers
    assert sent["accept-encoding"] == "identity"
    assert sent["x-token"] == "t"
    assert sent["user-agent"].startswith("ipsync/")
    assert "authorization" not in sent, "a .netrc password was sent to a public feed"


# ── what a feed may not do ───────────────────────────────────────────────────

WRONG = {
    "500": ({"status": "500 Oops", "body": b'{"message": "no"}'}, "answered 500"),
    "404": ({"status": "404 Not Found"}, "answered 404"),
    "204": ({"status": "204 No Content"}, "answered 204"),
    "206": ({"status": "206 Partial", "body": b'{"ipAddresses": []}'}, "answered 206"),
    "redirect to another host": (
        {"status": "302 Found", "headers": [("Location", "https://evil.example/x")]},
        "redirects to evil.example",
    ),
    "redirect to itself": ({"status": "301 Moved", "headers": [("Location", "/v2")]}, "redirects"),
    "html": ({"body": b"<html>", "headers": [("Content-Type", "text/html")]}, "of type text/html"),
    "no type": ({"body": b"{}", "headers": []}, r"of type \(none\)"),
    "no length": ({"body": b'{"ipAddresses": ["8.8.8.8"]}', "length": False}, "how long it is"),
    "a wrong length": (
        {"body": b"{}", "headers": [JSON, ("Content-Length", "x")], "length": False},
        "how long it is",
    ),
    "gzip though identity was asked for": (
        {"body": gzip.compress(b"{}"), "headers": [JSON, ("Content-Encoding", "gzip")]},
        "compressed",
    ),
    "nothing": ({"body": b""}, "not JSON"),
    "half a document": ({"body": b'{"ipAddresses": ["8.8.8.8"'}, "not JSON"),
    "more after it": ({"body": b'{"ipAddresses": ["8.8.8.8"]} x'}, "not JSON"),
    "latin-1": ({"body": b'{"ipAddresses": ["8.8.8.8", "\xe9"]}'}, "not UTF-8"),
    "a byte order mark": ({"body": b'\xef\xbb\xbf{"ipAddresses": ["8.8.8.8"]}'}, "not JSON"),
    "a key twice": ({"body": b'{"ipAddresses": ["8.8.8.8"], "ipAddresses": []}'}, "twice"),
    "NaN": ({"body": b'{"ipAddresses": ["8.8.8.8"], "x": NaN}'}, "NaN"),
    "deep nesting": ({"body": b'{"ipAddresses":' + b"[" * 100_000}, "nested too deeply"),
    "a huge number": ({"body": b'{"ipAddresses": [' + b"9" * 100_000 + b"]}"}, "not a text but a number"),
    "a million values": (
        {"body": b'{"ipAddresses": [], "x": [' + b"0," * 1_000_000 + b"0]}"},
        "more than 150000 values",
    ),
    "too many entries": ({"body": json.dumps({"ipAddresses": ["8.8.8.8"] * 20_001}).encode()}, "more than 20000 ent"),
    "a huge text": ({"body": b'{"ipAddresses": ["\xf0\x9f\x98\x80' + b"\x7f" * 100_000 + b'"]}'}, "is not an address"),
    "a large text with a wide letter": (
        {"body": b'{"ipAddresses": ["\xf0\x9f\x98\x80' + b" " * 2**21 + b'"]}'},
        "too large for the wide",
    ),
    "a huge head": ({"headers": [JSON, *((f"X-{i}", "x" * 60_000) for i in range(9))]}, "broken one .LineTooLong"),
    "a reason that moves the cursor": ({"status": "500 \x1b[2J"}, r"answered 500 '\\x1b\[2J'"),
    "a reason without end": ({"status": "500 " + "x" * 9999}, "answered 500 x{80}…$"),
    "a type that moves the cursor": ({"headers": [("Content-Type", "\x1b[2J")]}, r"of type '\\x1b\[2j'"),
    "a redirect to a host without end": (
        {"status": "302 Found", "headers": [("Location", f"https://{'e' * 999}/")]},
        r"redirects to e{80}… \(302\)",
    ),
    "no list": ({"body": b'{"ipAddresses": "8.8.8.8"}'}, "selects a text instead of a list"),
    "an object": ({"body": b'{"ipAddresses": {"0": "8.8.8.8"}}'}, "selects an object"),
    "another key": ({"body": b'{"addresses": ["8.8.8.8"]}'}, "selects nothing"),
    "a bare list": ({"body": b'["8.8.8.8"]'}, "selects nothing"),
    "one bad entry": ({"body": b'{"ipAddresses": ["8.8.8.8", "oops"]}'}, "1 of 2 entries .* entry 1: 'oops'"),
    "nine bad entries": ({"body": json.dumps({"ipAddresses": ["x"] * 9}).encode()}, r"and 4 more"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_not_wholly_right_is_refused(server, kind):
    answer, words = WRONG[kind]
    server.respond(**answer)
    with pytest.raises(FeedError, match=words) as caught:
        got(server)
    assert "feed qatech (http://127.0.0.1:" in str(caught.value)


def test_an_answer_cut_at_any_byte_is_refused(server):
    whole = server.whole_answer()
    for cut in range(len(whole)):
        server.raw = Raw(whole[:cut])
        with pytest.raises(FeedError):
            got(server)
    server.raw = Raw(whole)
    assert got(server).networks


def test_a_tls_answer_cut_at_any_byte_is_refused(secure):
    """requests alone takes most cuts inside the headers for a 200 with an empty body."""
    server, bundle = secure
    whole = server.whole_answer()
    for cut in range(len(whole)):
        server.raw = Raw(whole[:cut])
        with pytest.raises(FeedError):
            got(server, ca_file=bundle)
    server.recover()
    assert got(server, ca_file=bundle).networks


def test_a_chunked_answer_counts_only_when_complete(server):
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    body = b'{"ipAddresses": ["8.8.8.8"]}'
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    server.raw = Raw(head + chunks)
    assert got(server).networks
    for cut in range(len(head), len(head + chunks)):
        server.raw = Raw((head + chunks)[:cut])
        with pytest.raises(FeedError):
            got(server)


def test_a_cut_size_of_a_chunk_is_not_the_last_chunk(server):
    """`000a` cut after its first zero reads as the end, and http.client takes it so."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = head + b"0008\r\n8.8.8.8\n\r\n0008\r\n1.1.1.1\n\r\n0000\r\n\r\n"
    server.raw = Raw(data)
    assert len(got(server, format="text").networks) == 2
    for cut in range(len(head), len(data)):
        server.raw = Raw(data[:cut])
        with pytest.raises(FeedError):
            got(server, format="text")


def test_an_unknown_authority_is_refused(secure):
    server, _ = secure
    with pytest.raises(FeedError, match="TLS certificate"):
        got(server)


def test_the_environment_s_ca_bundle_counts(secure, monkeypatch):
    server, bundle = secure
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    assert got(server).networks


@pytest.mark.parametrize("part", ["status line", "headers", "body", "body over TLS"])
def test_a_drip_ends_at_the_deadline(server, secure, part):
    tls, bundle = secure
    target, options = (tls, {"ca_file": bundle}) if "TLS" in part else (server, {})
    whole = target.whole_answer()
    start = {"status line": 0, "headers": 30}.get(part, whole.index(b"\r\n\r\n") + 4)
    target.raw = Raw(whole, size=1, delay=0.2 if start == 0 else 0.05 + 3 / len(whole))
    began = time.monotonic()
    with pytest.raises(FeedError, match=r"within 0\.5 s"):
        got(target, timeout=0.5, **options)
    assert time.monotonic() - began < 1.5


def test_silence_ends_at_the_deadline(server):
    server.raw = Raw(b"HTTP/1.1", size=4, delay=30)
    began = time.monotonic()
    with pytest.raises(FeedError, match=r"within 0\.4 s"):
        got(server, timeout=0.4)
    assert time.monotonic() - began < 1.5


def test_an_oversized_answer_is_refused_while_it_comes(server):
    server.respond(b'{"ipAddresses": [' + b" " * 300_000 + b"]}")
    with pytest.raises(FeedError, match="larger than max_bytes"):
        got(server, max_bytes=200_000)


def test_a_redirect_s_body_is_not_read(server):
    """requests reads and unpacks it, whole, to hand the connection on to a request that is never made."""
    head = b"HTTP/1.1 302 Found\r\nLocation: /v2\r\nContent-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n"
    server.raw = Raw(head + b"x" * 1000, size=len(head), delay=3)
    began = time.monotonic()
    with pytest.raises(FeedError, match="redirects to elsewhere"):
        got(server)
    assert time.monotonic() - began < 2


def test_a_text_feed_has_a_bound_too(server):
    server.respond(b"# x\n\n" * 100_000 + b"8.8.8.8\n", headers=[("Content-Type", "text/plain")])
    assert len(got(server, format="text").networks) == 1
    server.respond(b"8.8.8.8\n" * 20_002, headers=[("Content-Type", "text/plain")])
    with pytest.raises(FeedError, match="more than 20000 entries"):
        got(server, format="text")
    server.respond(b"8.8.8.8\n#" + b"x" * 65_536, headers=[("Content-Type", "text/plain")])
    with pytest.raises(FeedError, match="a line of more than 65536 bytes"):
        got(server, format="text")
    server.respond(b"8.8.8.8\n# \xe9\n", headers=[("Content-Type", "text/plain")])
    with pytest.raises(FeedError, match=r"not UTF-8 \(byte 10\)"):
        got(server, format="text")


def test_no_server(server):
    url = server.url
    server.__exit__(None, None, None)
    with pytest.raises(FeedError, match="Connection refused"):
        fetch(Feed("x", url), clock=lambda: AT)


@pytest.mark.parametrize("url", ["http://feeds.example/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "8.8.8.8"])
def test_only_https_is_fetched(url):
    with pytest.raises(FeedError, match="only https"):
        fetch(Feed("x", url), clock=lambda: AT)


def test_secrets_in_urls_are_not_shown():
    assert public_url("https://me:pw@h.example:8443/a?token=t#f") == "https://h.example:8443/a"
