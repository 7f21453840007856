"""Feeds: whole, strict and in time, or not at all."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme

from ipsync.core.configured import Feed
from ipsync.core.errors import FeedError
from ipsync.feeds import fetch, http, public_url
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
    "304": ({"status": "304 Not Modified"}, "answered 304 Not Modified$"),
    "300 with a place": ({"status": "300 Many", "headers": [("Location", "/v2")]}, "redirects to 127.0.0.1"),
    "204": ({"status": "204 No Content"}, "answered 204"),
    "206": ({"status": "206 Partial", "body": b'{"ipAddresses": []}'}, "answered 206"),
    "redirect to another host": (
        {"status": "302 Found", "headers": [("Location", "https://evil.example/x")]},
        "redirects to evil.example",
    ),
    "html": ({"body": b"<html>", "headers": [("Content-Type", "text/html")]}, "of type text/html, a web page"),
    "a list that says it is html": (
        {"body": b'{"ipAddresses": ["8.8.8.8"]}', "headers": [("Content-Type", "text/HTML; charset=utf-8")]},
        "of type text/html",
    ),
    "two types": (
        {"body": b'{"ipAddresses": ["8.8.8.8"]}', "headers": [JSON, ("Content-Type", "text/html")]},
        "of type text/html",
    ),
    "xhtml": (
        {"body": b"{}", "headers": [("Content-Type", "application/xhtml+xml")]},
        r"of type application/xhtml\+xml",
    ),
    "a web page that says it is JSON": ({"body": b"<!DOCTYPE html><html>"}, "not JSON: .* it is a web page or XML: is"),
    "a page without a type": ({"body": b"\n<html>", "headers": []}, "not JSON: .* it is a web page or XML"),
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
    "two byte order marks": ({"body": b'\xef\xbb\xbf\xef\xbb\xbf{"ipAddresses": ["8.8.8.8"]}'}, "not JSON"),
    "UTF-16": (
        {"body": '{"ipAddresses": ["8.8.8.8"]}'.encode("utf-16")},
        "is UTF-16, as its byte order mark says; only",
    ),
    "UTF-32": (
        {"body": '{"ipAddresses": ["8.8.8.8"]}'.encode("utf-32")},
        "is UTF-32, as its byte order mark says; only",
    ),
    "UTF-16 without a mark": (
        {"body": '{"ipAddresses": []}'.encode("utf-16-le")},
        "not JSON: .* it seems to be UTF-16",
    ),
    "a gzip file": (
        {"body": gzip.compress(b"{}"), "headers": [("Content-Type", "application/octet-stream")]},
        "is a gzip file, which isn't unpacked",
    ),
    "lines": ({"body": b"8.8.8.8\n"}, "not JSON: .* if it has an address a line, the feed needs format: text"),
    "JSON lines": ({"body": b'{"a": 1}\n{"a": 2}\n'}, "not JSON: .* one JSON document a line, which isn't read"),
    "a key twice": ({"body": b'{"ipAddresses": ["8.8.8.8"], "ipAddresses": []}'}, "twice"),
    "NaN": ({"body": b'{"ipAddresses": ["8.8.8.8"], "x": NaN}'}, "NaN"),
    "deep nesting": ({"body": b'{"ipAddresses":' + b"[" * 100_000}, "nested too deeply"),
    "a huge number": ({"body": b'{"ipAddresses": [' + b"9" * 100_000 + b"]}"}, "not a text but a number"),
    "a million values": (
        {"body": b'{"ipAddresses": [], "x": [' + b"0," * 1_000_000 + b"0]}"},
        "more than 165000 values; if the url is right, raise max_bytes",
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
    "a coding that moves the cursor": (
        {"headers": [JSON, ("Content-Encoding", "\x1b[2J")]},
        r"compressed \('\\x1b\[2j'\)",
    ),
    "a redirect to a host without end": (
        {"status": "302 Found", "headers": [("Location", f"https://{'e' * 999}/")]},
        r"redirects to e{80}… \(302\)",
    ),
    "no list": ({"body": b'{"ipAddresses": "8.8.8.8"}'}, "selects a text instead of a list"),
    "an object": ({"body": b'{"ipAddresses": {"0": "8.8.8.8"}}'}, "selects an object"),
    "another key": ({"body": b'{"addresses": ["8.8.8.8"]}'}, "selects nothing"),
    "a bare list": ({"body": b'["8.8.8.8"]'}, "selects nothing"),
    "one bad entry": ({"body": b'{"ipAddresses": ["8.8.8.8", "oops"]}'}, "1 of 2 entries .* entry 1: 'oops'"),
    "a range": (
        {"body": b'{"ipAddresses": ["34.88.10.0 - 34.88.10.15", "34.88.11.1"]}'},
        "entry 0: '34.88.10.0 - 34.88.10.15' .*; ranges aren't read; as networks it would be 34.88.10.0/28$",
    ),
    "commas in one text": (
        {"body": b'{"ipAddresses": "34.88.10.1, 34.88.10.2"}'},
        "`ipAddresses` selects a text instead of a list of addresses; it holds several addresses",
    ),
    "nine bad entries": ({"body": json.dumps({"ipAddresses": ["x"] * 9}).encode()}, r"and 4 more"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_not_wholly_right_is_refused(server, kind):
    answer, words = WRONG[kind]
    server.respond(**answer)
    with pytest.raises(FeedError, match=words) as caught:
        got(server)
    assert "feed qatech (http://127.0.0.1:" in str(caught.value)


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "binary/octet-stream",
        "text/json",
        "image/png",
        "",
        None,
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_list_is_judged_by_reading_it_whatever_type_it_is_sent_as(server, kind, mark):
    headers = [] if kind is None else [("Content-Type", kind)]
    server.respond(mark + b'{"ipAddresses": ["8.8.8.8", "1.1.1.1"]}', headers=headers)
    assert len(got(server).networks) == 2
    server.respond(mark + b"8.8.8.8\r\n# x\n1.1.1.1", headers=headers)
    assert len(got(server, format="text", select=None).networks) == 2


@pytest.mark.parametrize("kind", ["application/json", "text/csv"])
def test_so_is_a_text_list(server, kind):
    server.respond(b"8.8.8.8\n1.1.1.1\n", headers=[("Content-Type", kind)])
    assert len(got(server, format="text", select=None).networks) == 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'["8.8.8.8"]', "is JSON, and the feed says format: text; leave format out"),
        (b'\xef\xbb\xbf {"a": 1}', "is JSON, and the feed says"),
        (b"<html>", "is a web page or XML, not a list with an address a line"),
        ("8.8.8.8".encode("utf-16"), "is UTF-16, as its byte order mark says"),
        ("8.8.8.8".encode("utf-16-le"), "line 1: .* it seems to be UTF-16; only UTF-8"),
        (
            b"# made today\n\n8.8.8.8\n; x\n1.1.1.1 ; fra1\n",
            "2 of 3 entries .* line 4: '; x' .* begin with # alone; line 5",
        ),
        (b"8.8.8.8\nfra1.example 1.1.1.1\n", r"line 2: .* neither columns nor names beside it \(1.1.1.1\)"),
        (b"8.8.8.0/24,FI,FI-09,Hamina,49400\n", r"line 1: .* neither columns nor names"),
    ],
)
def test_what_is_no_list_with_an_address_a_line_is_told_as_what_it_is(server, body, words):
    server.respond(body, headers=[("Content-Type", "text/plain")])
    with pytest.raises(FeedError, match=words):
        got(server, format="text", select=None)


def test_more_values_are_read_where_max_bytes_is_raised(server):
    server.respond(b'{"ipAddresses": ["8.8.8.8"], "x": [' + b"0," * 300_000 + b"0]}")
    with pytest.raises(FeedError, match="more than 165000 values; if the url is right, raise max_bytes of this feed"):
        got(server)
    assert got(server, max_bytes=10 * 1024 * 1024).networks


# ── redirects ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("/v2/list.json", "http://127.0.0.1:PORT/v2/list.json"),
        ("v2", "http://127.0.0.1:PORT/v1/v2"),
        ("?format=json", r"http://127.0.0.1:PORT/v1/outbound-ips\?format=json"),
        ("//cdn.example/x", "http://cdn.example/x"),
        ("https://h.example:8443/x?v=2&sig=s3cret&x=1#top", r"https://h.example:8443/x\?v=2&sig=…&x=1"),
        ("https://me:s3cret@h.example/x", "https://h.example/x"),
        ("https://[2600::1]/x", r"https://\[2600::1\]/x"),
        ("https://h.example/a b\x1b[2J", r"https://h.example/a%20b%1B\[2J"),
        ("https://h.example/" + "a" * 9999, "https://h.example/a{282}…"),
    ],
)
def test_a_redirect_is_told_whole(server, location, address):
    server.respond(status="302 Found", headers=[("Location", location)])
    port = server.url.split(":")[2].partition("/")[0]
    words = rf"redirects to .* \(302\); .*has moved to {address.replace('PORT', port)}, set that as the feed's url$"
    with pytest.raises(FeedError, match=words) as caught:
        got(server)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("location", ["", "https://[a", "mailto:a@b", "https:///x"])
def test_a_redirect_to_nowhere_says_so(server, location):
    server.respond(status="301 Moved", headers=[("Location", location)])
    with pytest.raises(FeedError, match=r"redirects without saying where to \(301\); is the url right\?"):
        got(server)


def test_a_redirect_from_https_to_plain_http_says_so(secure):
    server, bundle = secure
    server.respond(status="301 Moved", headers=[("Location", "http://h.example/x")])
    with pytest.raises(FeedError, match=r"moved to http://h.example/x \(plain http\), set"):
        got(server, ca_file=bundle)


# ── servers that are busy for a moment ───────────────────────────────────────


class Turns(FeedServer):
    """Answers with each of some statuses in turn, then with its list."""

    def __init__(self, *turns: tuple[str, list[tuple[str, str]]]) -> None:
        super().__init__(["8.8.8.8"])
        self.turns = list(turns)

    def _send(self, connection, raw):
        if self.turns:
            status, headers = self.turns.pop(0)
            self.respond(status=status, headers=headers)
            raw, self.raw = self.raw, None
        super()._send(connection, raw)


def date_in(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("status", ["429 Slow", "502 Bad", "503 Busy", "504 Late"])
@pytest.mark.parametrize("after", ["0", "past", "nonsense", "9" * 5000, None])
def test_a_server_that_is_busy_is_asked_again(status, after, monkeypatch):
    monkeypatch.setattr(http, "PAUSE", 0.01)
    headers = [("Retry-After", date_in(-9) if after == "past" else after)] if after is not None else []
    if after == "9" * 5000:
        headers = [("Retry-After", "x" * 5000)]
    with Turns((status, headers)) as server:
        assert got(server).networks
        assert len(server.requests) == 2


def test_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(http, "PAUSE", 0.01)
    with Turns(*[("503 Busy", [("Retry-After", "0")])] * 3) as server:
        with pytest.raises(FeedError, match="answered 503 Busy, 3 times; it asks"):
            got(server)
        assert len(server.requests) == 3
    with Turns(*[("503 Busy", [])] * 3) as server, pytest.raises(FeedError, match=r"answered 503 Busy, 2 times$"):
        got(server)
    with Turns(("500 Oops", [("Retry-After", "0")])) as server:  # says nothing of a moment
        with pytest.raises(FeedError, match=r"answered 500 Oops$"):
            got(server)
        assert len(server.requests) == 1


@pytest.mark.parametrize("after", ["6", "3600", "9" * 300, "date"])
def test_nor_past_the_deadline(after):
    after = date_in(3600) if after == "date" else after
    began = time.monotonic()
    with Turns(("503 Busy", [("Retry-After", after)])) as server:
        with pytest.raises(FeedError, match=r"answered 503 Busy; it asks to be asked again in .* timeout is 5 s"):
            got(server)
        assert len(server.requests) == 1
    assert time.monotonic() - began < 4


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


def test_a_certificate_of_another_host_is_told(authority, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with (
        FeedServer(["8.8.8.8"], tls=context) as made,
        pytest.raises(FeedError, match=r"does not hold \(IP address mismatch"),
    ):
        got(made, ca_file=str(tmp_path / "ca.pem"))


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_s_ca_bundle_counts(secure, monkeypatch, name):
    server, bundle = secure
    monkeypatch.setenv(name, bundle)
    assert got(server).networks
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such")  # read after the others
    if name != "SSL_CERT_FILE":
        assert got(server).networks


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "the feed's ca_file"])
@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_ca_bundle_that_cannot_be_used_is_named(secure, monkeypatch, tmp_path, name, content):
    path = tmp_path / "odd.pem"
    if content is not None:
        path.write_text(content)
    options = {"ca_file": str(path)} if "ca_file" in name else {}
    if not options:
        monkeypatch.setenv(name, str(path))
    why = (
        "there is no such file"
        if content is None
        else r"can't be used as a CA bundle \(PEM\): it holds no certificates"
    )
    with pytest.raises(FeedError, match=rf"{name} names {path}, .*{why}; mend the path"):
        got(secure[0], **options)


def test_a_ca_bundle_is_no_matter_of_plain_http(server, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such")
    assert got(server).networks


# ── proxies ──────────────────────────────────────────────────────────────────

FAR = {"url": "https://feeds.example/x", "timeout": 5.0}
PLAIN = {"url": "http://feeds.example/x", "insecure": True}


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch):
    for key in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(key, raising=False)
        monkeypatch.delenv(key.upper(), raising=False)
    for key in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(key, raising=False)


def where(server: FeedServer) -> str:
    return server.url.removeprefix("http://").partition("/")[0]


@pytest.mark.parametrize("form", ["http://{}", "{}", "http://me:s3cret@{}/"])
def test_a_feed_goes_through_the_proxy(server, monkeypatch, form):
    monkeypatch.setenv("HTTP_PROXY", form.format(where(server)))
    assert got(server, **PLAIN).networks
    assert server.requests[0].line == "GET http://feeds.example/x HTTP/1.1"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_feed_of_this_machine_never_does(server, monkeypatch, host):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    assert got(server, url=server.url.replace("127.0.0.1", host)).networks


def test_nor_one_that_no_proxy_names(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "feeds.example")
    with pytest.raises(FeedError, match="no connection or a broken one"):
        got(server, **PLAIN)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HTTPS_PROXY", "http://me:s3cret@127.0.0.1:1", r"the proxy http://127.0.0.1:1 that HTTPS_PROXY names can't be used \(Connection refused\)"),
        ("https_proxy", "127.0.0.1:1", r"the proxy http://127.0.0.1:1 that https_proxy names can't be used"),
        ("ALL_PROXY", "https://[::1]:1", r"the proxy https://\[::1\]:1 that ALL_PROXY names can't be used .* NO_PROXY"),
        ("HTTPS_PROXY", "socks5h://me:s3cret@127.0.0.1:1", "HTTPS_PROXY names a 'socks5h' proxy, and only http and https"),
        ("HTTPS_PROXY", "ftp://127.0.0.1", "HTTPS_PROXY names a 'ftp' proxy"),
        ("HTTPS_PROXY", "http://", "HTTPS_PROXY doesn't name a proxy; write it like http://proxy.example:3128, or unset"),
        ("HTTPS_PROXY", "http:proxy:3128", "HTTPS_PROXY doesn't name a proxy"),
        ("HTTPS_PROXY", "//proxy:3128", "HTTPS_PROXY doesn't name a proxy"),
        ("HTTPS_PROXY", "http://proxy:port", "HTTPS_PROXY doesn't name a proxy"),
        ("HTTPS_PROXY", ":3128", "HTTPS_PROXY doesn't name a proxy"),
    ],
)  # fmt: skip
def test_a_proxy_that_cannot_be_used_is_named_with_its_variable(server, monkeypatch, variable, value, words):
    monkeypatch.setenv(variable, value)
    with pytest.raises(FeedError, match=words) as caught:
        got(server, **FAR)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("feed", [FAR, PLAIN])
@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("407 Auth", r"asks for a user and password \(407\); .* like http://USER:PASSWORD@127.0.0.1:"),
        ("403 Forbidden", "403"),
    ],
)
def test_a_proxy_that_refuses_is_named(server, monkeypatch, feed, status, words):
    server.respond(status=status, headers=[("Proxy-Authenticate", "Basic")])
    variable = "HTTPS_PROXY" if feed is FAR else "HTTP_PROXY"
    monkeypatch.setenv(variable, f"http://me:s3cret@{where(server)}")
    with pytest.raises(FeedError, match=words) as caught:
        got(server, **feed)
    assert variable in str(caught.value) or (
        feed is PLAIN and "403" in status
    )  # then it may be the server's own answer
    assert "s3cret" not in str(caught.value)


class Tunnel(FeedServer):
    """A proxy that leads every CONNECT to one server of this machine."""

    def __init__(self, to: str) -> None:
        super().__init__([])
        host, _, port = to.removeprefix("https://").partition("/")[0].partition(":")
        self.to = host, int(port)

    def _send(self, connection, raw):
        del raw
        with socket.create_connection(self.to, timeout=5) as far:
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=self._pass, args=(far, connection))
            back.start()
            self._pass(connection, far)
            back.join(5)

    @staticmethod
    def _pass(one, other):
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


def test_a_feed_over_tls_goes_through_the_proxy_s_tunnel(authority, tmp_path, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("feeds.example").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with FeedServer(["8.8.8.8"], tls=context) as server, Tunnel(server.url) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cret@{where(proxy)}")
        assert got(server, ca_file=str(tmp_path / "ca.pem"), **FAR).networks
        assert proxy.requests[0].line.startswith("CONNECT feeds.example:443 ")
        assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")
        assert "proxy-authorization" not in server.requests[0].headers


def test_a_silent_proxy_is_named_too(server, monkeypatch):
    server.raw = Raw(b"HTTP/1.1", size=4, delay=30)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{where(server)}")
    with pytest.raises(FeedError, match=r"within 0.4 s through the proxy http://127.0.0.1:\d+ that HTTPS_PROXY names"):
        got(server, **{**FAR, "timeout": 0.4})


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
    with pytest.raises(
        FeedError, match=r"redirects to 127.0.0.1 \(302\).*moved to http://127.0.0.1:\d+/v2, set that as"
    ):
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


def test_a_host_that_cannot_be_one(server):
    with pytest.raises(FeedError, match="its url can't be used; check the host in it"):
        got(server, url=f"https://{'a' * 70}.example/")


@pytest.mark.parametrize("url", ["http://feeds.example/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "8.8.8.8"])
def test_only_https_is_fetched(url):
    with pytest.raises(FeedError, match="only https"):
        fetch(Feed("x", url), clock=lambda: AT)


def test_an_ipv6_literal_keeps_its_brackets():
    assert public_url("https://[2600::1]:8443/a") == "https://[2600::1]:8443/a"
    assert public_url("https://[2600::1]/a") == "https://[2600::1]/a"
    with pytest.raises(FeedError, match=r"feed x \(http://\[2600::1\]/a\): only https"):
        fetch(Feed("x", "http://[2600::1]/a"), clock=lambda: AT)


def test_secrets_in_urls_are_not_shown():
    assert public_url("https://me:pw@h.example:8443/a?token=t#f") == "https://h.example:8443/a"
