"""A corpus of what a feed's server may do, by intent or by accident, in place of sending its list.

Wherever a list can be read out of an answer, it holds the good list and one address more, so that taking the answer
would show as an addition. Bodies are made when they are sent: the process that is measured doesn't hold them.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain, repeat

GOOD = ("8.8.8.8", "8.8.4.0/24", "1.1.1.1", "2600:1f14::1", "2600:1f14:1::/48")
EVIL = "9.9.9.9"
MOST = 5 * 1024 * 1024
"""The default of max_bytes."""
VALUES, ENTRIES = 165_000, 20_000
"""The bounds of the parser."""
UNPACKED = 200
"""MiB that a bomb unpacks to."""
LIST = json.dumps({"ipAddresses": [*GOOD, EVIL]}).encode()
LINES = "\n".join([*GOOD, EVIL]).encode() + b"\n"
JSON = "application/json"
Bytes = Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """One behaviour.

    pieces  what goes over the wire, piece by piece; with `drip`, byte by byte with a pause after each
    end     how the connection ends: close, reset (RST), notify (TLS's close_notify), or hold (not at all)
    """

    name: str
    pieces: Callable[[], Bytes]
    text: bool = False
    tls: bool = False
    drip: bool = False
    end: str = "close"


def head(*headers: str, status: str = "200 OK", kind: str = JSON) -> bytes:
    """Return an answer's head; an empty kind leaves the type out."""
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {kind}"] if kind else []), *headers, "Connection: close"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def whole(body: bytes, *headers: str, status: str = "200 OK", kind: str = JSON) -> bytes:
    """Return an answer with its length."""
    return head(*headers, f"Content-Length: {len(body)}", status=status, kind=kind) + body


def chunked(*chunks: bytes, size: str = "{:x}", kind: str = JSON) -> bytes:
    """Return an answer in chunks."""
    framed = b"".join(size.format(len(c)).encode() + b"\r\n" + c + b"\r\n" for c in chunks)
    return head("Transfer-Encoding: chunked", kind=kind) + framed + b"0\r\n\r\n"


def said(name: str, data: bytes, **how: object) -> Case:
    """Make a case of plain bytes."""
    return Case(name, lambda: [data], **how)  # type: ignore[arg-type]


def body(name: str, data: bytes, **how: object) -> Case:
    """Make a case of a body in an otherwise faultless answer."""
    return said(name, whole(data), **how)


# ── cuts ─────────────────────────────────────────────────────────────────────

ANSWERS = {
    "length": (whole(LIST), False),
    "chunks": (chunked(LIST[:40], LIST[40:]), False),
    "text, length": (whole(LINES, kind="text/plain"), True),
    # Sizes with leading zeros are as good, but a cut after the first zero looks like the last chunk.
    "text, chunks": (chunked(LINES[:8], LINES[8:], size="{:04x}", kind="text/plain"), True),
}


def cuts(end: str, stride: int, *, tls: bool) -> Iterator[Case]:
    """Cut each answer at each byte."""
    for what, (data, text) in ANSWERS.items():
        for at in range(0, len(data), stride):
            yield said(f"{what}, cut at byte {at}", data[:at], text=text, tls=tls, end=end)


# ── slow, large, packed ──────────────────────────────────────────────────────


def drips() -> Iterator[Case]:
    """One byte a second, from different places on; and silence."""
    start = head("Transfer-Encoding: chunked")
    places = {
        "the status line": (b"", whole(LIST)),
        "the headers": (whole(LIST)[:20], whole(LIST)[20:]),
        "the body": (head(f"Content-Length: {len(LIST)}"), LIST),
        "chunk sizes": (start, b"1\r\n \r\n" * 100),
        "a chunk's size line": (start, b"1;" + b"x" * 200),
        "the trailer": (chunked(LIST)[:-2], b"X: y\r\n" * 100),
    }
    for name, (at_once, slowly) in places.items():
        for tls in (False, True):
            yield Case(name, partial(chain, [at_once], _singly(slowly)), drip=True, tls=tls)
    yield said("silence", b"", end="hold")
    yield said("silence after the head", head("Content-Length: 100"), end="hold")
    yield said("silence over TLS", b"", tls=True, end="hold")
    yield Case("100 Continue without end", partial(repeat, b"HTTP/1.1 100 Continue\r\n\r\n"))
    yield Case("chunks of one byte without end", lambda: chain([start], repeat(b"1\r\n \r\n" * 1000)))


def _singly(data: bytes) -> tuple[bytes, ...]:
    return tuple(bytes([byte]) for byte in data)


def oversized() -> Iterator[Case]:
    """More than max_bytes, and heads without measure."""
    block = b" " * 65536
    yield Case("a body of 1 GiB", lambda: chain([head(f"Content-Length: {2**30}")], repeat(block, 2**14)))
    yield Case("one byte too many", lambda: [whole(LIST + b" " * (MOST + 1 - len(LIST)))])
    yield Case("a chunk of 1 GiB", lambda: chain([head("Transfer-Encoding: chunked"), b"40000000\r\n"], repeat(block)))
    yield Case(
        "chunks without end",
        lambda: chain([head("Transfer-Encoding: chunked")], repeat(b"10000\r\n" + block + b"\r\n")),
    )
    yield Case("a body without length and end", lambda: chain([head()], repeat(block)))
    yield Case("a redirect with a body of 1 GiB", lambda: chain([_moved(f"Content-Length: {2**30}")], repeat(block)))
    yield Case("a redirect with a body without end", lambda: chain([_moved()], repeat(block)))
    yield Case("a 500 with a body without end", lambda: chain([head(status="500 Oops")], repeat(block)))
    yield Case("a status line without end", lambda: chain([b"HTTP/1.1 200 "], repeat(b"x" * 65536)))
    yield Case("a header without end", lambda: chain([b"HTTP/1.1 200 OK\r\nX: "], repeat(b"x" * 65536)))
    yield Case("headers without end", lambda: chain([b"HTTP/1.1 200 OK\r\n"], repeat(b"X: y\r\n" * 1000)))
    wide = [f"X-{n}: {'é' * 60_000}" for n in range(90)]
    yield Case("90 headers of 60,000 bytes", lambda: [whole(LIST, *wide)])
    yield Case("a chunk's size line without end", lambda: chain([head("Transfer-Encoding: chunked")], repeat(block)))
    yield Case("a trailer without end", lambda: chain([chunked(LIST)[:-2]], repeat(b"X: y\r\n" * 1000)))


def _bomb(coding: str) -> bytes:
    """Return spaces in gzip, zlib's deflate or twice gzip; for other codings something that only claims to be that."""
    data = _spaces(15 if coding == "deflate" else 31)
    return gzip.compress(data) if coding == "gzip, gzip" else data


@lru_cache
def _spaces(window: int) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, window)
    return b"".join([*(packer.compress(b" " * 2**20) for _ in range(UNPACKED)), packer.flush()])


def packed() -> Iterator[Case]:
    """Bodies that unpack to far more than they are, whatever the head says of them."""

    def packed_as(coding: str) -> Case:
        return Case(f"Content-Encoding: {coding}", lambda: [whole(_bomb(coding), f"Content-Encoding: {coding}")])

    yield from map(packed_as, ("gzip", "deflate", "br", "zstd", "x-gzip", "gzip, gzip", "identity, gzip"))
    yield Case("gzip that isn't announced", lambda: [whole(_bomb("gzip"))])
    yield said("a list in gzip", whole(gzip.compress(LIST), "Content-Encoding: gzip"))
    gzipped = "Content-Encoding: gzip"
    yield Case("a redirect with a gzip bomb", lambda: [_moved(gzipped), _bomb("gzip")])
    yield Case("a 500 with a gzip bomb", lambda: [whole(_bomb("gzip"), gzipped, status="500 Oops")])
    start = head("Transfer-Encoding: gzip, chunked")
    yield Case(
        "Transfer-Encoding: gzip, chunked",
        lambda: [start, b"%x\r\n" % len(_bomb("gzip")), _bomb("gzip"), b"\r\n0\r\n\r\n"],
    )


# ── heads ────────────────────────────────────────────────────────────────────


def _moved(*headers: str, to: str = "/canary", status: str = "302 Found") -> bytes:
    return head(f"Location: {to}", *headers, status=status)


def redirects() -> Iterator[Case]:
    """Away from here; the canary would serve a list."""
    places = {
        "the same host": "/canary",
        "a relative path": "canary",
        "itself": "",
        "plain http": "http://example.com/",
        "another host": "https://evil.example/",
        "another host without a scheme": "//evil.example/",
        "the metadata service": "http://169.254.169.254/latest/meta-data/",
        "a private address": "http://10.0.0.1/",
        "this machine": "http://localhost:1/",
        "a file": "file:///etc/passwd",
        "a broken URL": "http://[",
        "a port that is none": "https://evil.example:99999999/",
        "a host of control characters": "https://e\x1b[2Jvil/",
        "a host of 60,000 letters": f"https://{'e' * 60_000}/",
    }
    for name, place in places.items():
        yield said(f"to {name}", _moved("Content-Length: 0", to=place))
    for status in ("300 Many", "301 Moved", "303 See Other", "307 Temporary", "308 Permanent", "399 What"):
        yield said(status, whole(LIST, "Location: /canary", status=status))
    yield said("nowhere", whole(LIST, status="302 Found"))
    yield said("200 with Location and Refresh", whole(b"", "Location: /canary", "Refresh: 0; url=/canary"))


def heads() -> Iterator[Case]:
    """Statuses, types and lengths that are not a list's."""
    statuses = "201 202 203 204 205 206 226 304 400 401 403 404 407 410 418 429 451 500 502 503 504 599 999".split()  # noqa: SIM905
    for code in statuses:
        yield said(f"status {code}", whole(LIST, status=f"{code} X"))
    yield said("a reason of control characters", whole(LIST, status="500 \x1b[2J\x1b]0;gone\x07"))
    yield said("a reason of 60,000 letters", whole(LIST, status="500 " + "x" * 60_000))
    page = b"<!DOCTYPE html><html><title>Sign in</title><form><input name=password></form></html>"
    yield said("a sign-in page", whole(page, kind="text/html; charset=utf-8"))
    yield said("a sign-in page that says it is JSON", whole(page))
    yield said("a sign-in page for a text feed", whole(page, kind="text/plain"), text=True)
    for kind in ("text/html", "text/HTML; charset=utf-8", "application/xhtml+xml", "text/plain, text/html"):
        yield said(f"type {kind[:40]!r}", whole(LIST, kind=kind))
    yield said("JSON for a text feed", whole(LIST), text=True)
    for name, lengths in {
        "no length": [],
        "a length that is none": ["x"],
        "a negative length": ["-1"],
        "a signed length": [f"+{len(LIST)}"],
        "a length of 5,000 digits": ["9" * 5000],
        "a length in other digits": [f"{len(LIST)}\xb2"],
        "two lengths": [str(len(LIST)), str(len(LIST) - 1)],
        "a length too long": [str(len(LIST) + 1)],
        "a length too short": [str(len(LIST) - 1)],
        "no bytes at all": ["0"],
    }.items():
        yield said(name, head(*(f"Content-Length: {n}" for n in lengths)) + LIST)
    for size in ("-1", "x", "", "0x1f", "1_0", "f" * 17, " ", "0"):
        start = head("Transfer-Encoding: chunked")
        yield said(f"a chunk of size {size!r}", start + f"{size}\r\n".encode() + LIST + b"\r\n0\r\n\r\n")
    yield said("chunks that end early", head("Transfer-Encoding: chunked") + b"5\r\n" + LIST[:5] + b"\r\n")
    yield said("HTTP/0.9", LIST)
    yield said("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    yield said("ICY", whole(LIST).replace(b"HTTP/1.1", b"ICY"))
    yield said("status 2 00", whole(LIST, status="2 00"))
    yield said("nothing", b"")
    yield said("a reset", b"", end="reset")
    yield said("a reset in the body", whole(LIST)[:-9], end="reset")
    yield said("TLS bytes over plain http", b"\x15\x03\x01\x00\x02\x02\x16")
    yield said("plain http over TLS's port", whole(LIST)[:-1], tls=True)
    yield said("a NUL in a header", whole(LIST, "X: a\0b", "Content-Type: text/html"))
    yield said("two types", whole(LIST, "Content-Type: text/html"))


# ── documents ────────────────────────────────────────────────────────────────


def shapes() -> Iterator[Case]:
    """Small documents that are no list of addresses in strict JSON."""
    one = b'["%s"]' % EVIL.encode()
    values = "{} 0 1.5 null true false [[]] [{}] [null] [true] [0] [1.5] [[[]]]".split()  # noqa: SIM905
    values += [
        f'"{EVIL}"',
        f'{{"0": "{EVIL}"}}',
        f'[["{EVIL}"]]',
        f'[{{"ip": "{EVIL}"}}]',
        "[167772161]",
        '["", "8.8.8.8"]',
    ]
    for value in values:
        yield body(f"ipAddresses: {value}", f'{{"ipAddresses": {value}}}'.encode())
    yield body("an empty list", b'{"ipAddresses": []}')
    yield body("no such key", b'{"ipaddresses": ' + one + b"}")
    for document in (b"[]", b"{}", b"null", b'"x"', b"0", one, b"[{}]"):
        yield body(f"the document {document.decode()}", document)
    yield body("a key twice, the last one empty", b'{"ipAddresses": ' + one + b', "ipAddresses": []}')
    yield body("a key twice, the last one full", b'{"ipAddresses": [], "ipAddresses": ' + one + b"}")
    yield body("a key twice, one of them escaped", b'{"ipAddresses": [], "ip\\u0041ddresses": ' + one + b"}")
    yield body("a key twice elsewhere", LIST[:-1] + b', "a": {"b": 1, "b": 2}}')
    for word in (
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"nan",
        b"undefined",
        b"True",
        b"None",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x1",
    ):
        yield body(f"a value {word.decode()}", LIST[:-1] + b', "x": ' + word + b"}")
    for coding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "cp037"):
        yield body(coding, str(LIST, "ascii").encode(coding))
    for name, data in {
        "not UTF-8": b"\xff\xfe",
        "an overlong slash": b"\xc0\xaf",
        "a surrogate": b"\xed\xa0\x80",
        "Latin-1": b"\xe9",
        "a NUL": b"\0",
        "a line break": b"\n",
        "an escape that is none": b"\\x41",
    }.items():
        yield body(f"{name} in a text", LIST[:-1] + b', "x": "' + data + b'"}')
    yield body("a lone surrogate as an address", b'{"ipAddresses": ["\\ud800"]}')
    for name, data in {
        "half a document": LIST[:-1],
        "two documents": LIST + LIST,
        "a word after it": LIST + b" x",
        "a NUL after it": LIST + b"\0",
        "a comma after it": LIST + b",",
        "a comma at the end of the list": LIST.replace(b"]", b",]"),
        "a comment": b"/* x */" + LIST,
        "a comment in a line": b"// x\n" + LIST,
        "single quotes": LIST.replace(b'"', b"'"),
        "no quotes": LIST.replace(b'"', b""),
        "YAML": b"ipAddresses:\n- 9.9.9.9\n",
        "a callback": b"f(" + LIST + b")",
        "a prefix against inclusion": b")]}',\n" + LIST,
        "JSON lines": b"\n".join(b'"%s"' % a.encode() for a in GOOD),
        "a form feed": b"\f" + LIST,
        "a no-break space": b"\xc2\xa0" + LIST,
        "spaces only": b" \n\t ",
        "nothing": b"",
    }.items():
        yield body(name, data)
    for name, data in {
        "nothing": b"",
        "comments only": b"# 8.8.8.8\n",
        "a CSV": b"ip,name\n9.9.9.9,x\n",
        "two in a line": b"8.8.8.8 9.9.9.9\n",
        "two byte order marks": b"\xef\xbb\xbf" * 2 + LINES,
        "lines of Mac OS 9": LINES.replace(b"\n", b"\r"),
        "form feeds": LINES.replace(b"\n", b"\f"),
        "other line breaks": LINES.decode().replace("\n", "\u2028").encode(),
        "other comments": b"; x\n" + LINES,
        "a NUL": LINES + b"\0",
    }.items():
        yield said(f"a text feed: {name}", whole(data, kind="text/plain"), text=True)


def documents() -> Iterator[Case]:
    """Documents of just max_bytes, each as costly as its kind can be."""

    def repeated(start: bytes, item: bytes, end: bytes) -> bytes:
        return start + item * ((MOST - len(start) - len(end)) // len(item)) + end

    lists = {
        "empty lists": b"[],",
        "empty objects": b"{},",
        "objects of one": b'{"":0},',
        "lists in lists": b"[[[]]],",
        "texts": b'"ab",',
        "texts that are numbers": b"300,",
        "fractions": b"0.1,",
        "the same address": b'"8.8.8.8",',
        "bad addresses": b'"8.8.8.8.",',
        "host bits": b'"8.8.8.8/8",',
        "nulls": b"null,",
        "wide networks": b'"0.0.0.0/0",',
    }
    for name, item in lists.items():
        make = partial(repeated, b'{"ipAddresses":[', item, b"0]}" if item != b'"8.8.8.8",' else b'"9.9.9.9"]}')
        yield _large(f"a list of {name}", make)
        yield _large(f"{name}, elsewhere", partial(_elsewhere, item))
    many = {"addresses": "8.{}.{}.{}", "IPv6 addresses": "2600:{:x}:{:x}:{:x}::"}
    for name, form in many.items():
        yield _large(f"different {name}", partial(_different, form))
    texts = {
        "one text of letters": (b'{"ipAddresses":["', b"a", b'"]}'),
        "one text of wide letters": (b'{"ipAddresses":["\xf0\x9f\x98\x80', b"a", b'"]}'),
        "one text of controls and a wide letter": (b'{"ipAddresses":["\xf0\x9f\x98\x80', b"\x7f", b'"]}'),
        "one text of both in a list": (b'{"ipAddresses":[["\xf0\x9f\x98\x80', b"\x7f", b'"]]}'),
        "one text of escapes": (b'{"ipAddresses":["', b"\\u0100", b'"]}'),
        "one text of surrogates": (b'{"ipAddresses":["', b"\\ud83d\\ude00", b'"]}'),
        "one key": (b'{"', b"a", b'":0}'),
        "a number": (b'{"ipAddresses":[', b"9", b"]}"),
        "a fraction": (b'{"ipAddresses":[0.', b"9", b"]}"),
        "an exponent": (b'{"ipAddresses":[1e', b"9", b"]}"),
        "zeros": (b'{"ipAddresses":[0', b"0", b"]}"),
        "minuses": (b'{"ipAddresses":[', b"-", b"]}"),
        "lists without end": (b'{"ipAddresses":', b"[", b""),
        "objects without end": (b"", b'{"a":', b""),
        "backslashes": (b'{"ipAddresses":["', b"\\\\", b'"]}'),
        "spaces": (b"", b" ", LIST[:-1]),
        "commas": (b"[", b",", b"]"),
    }
    for name, managed_lists in texts.items():
        yield _large(name, partial(repeated, *managed_lists))
    yield _large("different keys", partial(_different, "{}-{}-{}", keys=True))
    lines = {
        "empty lines": b"\n",
        "short lines": b"1\n",
        "lines of two": b"ab\n",
        "comments": b"#\n",
        "a comment": b"#",
        "carriage returns": b"\r",
        "bad lines": b"8.8.8.8.\n",
        "a line": b"8",
        "wide letters": b"\xf0\x9f\x98\x80\n",
        "a wide line": b"8\xf0\x9f\x98\x80",
    }
    for name, item in lines.items():
        yield _large(f"a text feed: {name}", partial(repeated, LINES, item, b"\nx\n"), text=True)
    yield _large("a text feed: different addresses", partial(_different, "8.{}.{}.{}", lines=True), text=True)


def bounded() -> Iterator[Case]:
    """Documents that stay just below each bound on their way, and so cost all that can be had."""
    wide = b'"\xf0\x9f\x98\x80aaa",'
    items = {
        "empty lists": b"[],",
        "empty objects": b"{},",
        "objects of one": b'{"":0},',
        "objects of one text": b'{"ab":"cd"},',
        "texts": b'"ab",',
        "long texts": b'"aaaaaaaaaaaaaaaaaaaaa",',
        "wide texts": wide,
        "texts of two bytes a letter": b'"\xc4\x80aaaaaaaaaaaaaaaaaaa",',
        "numbers": b"300,",
        "fractions": b"0.1,",
    }
    for name, item in items.items():
        number = (VALUES - 10) // sum(item.count(mark) for mark in (b",", b"[", b"{"))
        number = min(number, (MOST // 3 if item == wide else MOST) // len(item) - 10)
        yield _large(f"{VALUES} values: {name}", partial(_bytes, b'{"ipAddresses":[],"x":[', item, number, b"0]}"))
    bad = {"bad addresses": "x8.{}.{}.{}", "host bits": "8.{}.{}.{}/8", "addresses": "8.{}.{}.{}"}
    for name, form in {**bad, "IPv6 addresses": "2600:{:x}:{:x}:{:x}::", "wide ones": "\u0100{}-{}-{}"}.items():
        yield _large(f"{ENTRIES} {name}", partial(_different, form, most=ENTRIES))
        yield _large(f"a text feed: {ENTRIES} {name}", partial(_different, form, lines=True, most=ENTRIES), text=True)
    yield _large("different keys", partial(_different, "{}-{}-{}", keys=True, most=VALUES - 10))
    yield _large(
        "a text of wide letters", partial(_bytes, b'{"ipAddresses":["\xf0\x9f\x98\x80', b"a", MOST // 3 - 99, b'"]}')
    )
    yield _large(
        "a text of letters of two bytes", partial(_bytes, b'{"ipAddresses":["\xc4\x80', b"a", MOST - 99, b'"]}')
    )
    long = b"8" * 65_000 + b"\xf0\x9f\x98\x80\n"
    yield _large("a text feed: wide lines", partial(_bytes, b"", long, MOST // len(long), b""), text=True)


def _bytes(start: bytes, item: bytes, number: int, end: bytes) -> bytes:
    return start + item * number + end


def _large(name: str, make: Callable[[], bytes], *, text: bool = False) -> Case:
    kind = "text/plain" if text else JSON
    return Case(name, lambda: [whole(make(), kind=kind)], text=text)


def _elsewhere(item: bytes) -> bytes:
    start = LIST[:-1] + b',"x":['
    return start + item * ((MOST - len(start) - 4) // len(item)) + b"0]}"


def _different(form: str, *, keys: bool = False, lines: bool = False, most: int = MOST) -> bytes:
    texts = (form.format(a, b, c) for a in range(256) for b in range(256) for c in range(256))
    size = 0
    found: list[str] = []
    for text in texts:
        size += len(text) + (1 if lines else 5 if keys else 3)
        if size > MOST - 20 or len(found) == most:
            break
        found.append(text)
    if lines:
        return "\n".join(found).encode()
    return json.dumps(dict.fromkeys(found, 0) if keys else {"ipAddresses": found}, separators=(",", ":")).encode()


# ── addresses ────────────────────────────────────────────────────────────────

ADDRESSES: dict[str, Sequence[object]] = {
    "the whole internet": ["0.0.0.0/0", "::/0", "0/0", "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1", "0.0.0.0", "::"],
    "wide": ["8.0.0.0/8", "8.0.0.0/15", "12.0.0.0/6", "2600::/12", "2600::/31", "2000::/3", "2000::/4", "64.0.0.0/2"],
    "host bits": ["9.9.9.9/24", "9.9.9.9/31", "9.9.9.9/0", "2600::1/64", "2600::1/127"],
    "no prefix": ["9.9.9.9/33", "9.9.9.9/-1", "9.9.9.9/", "9.9.9.9/032", "9.9.9.9/+32", "9.9.9.9/3 2", "9.9.9.9/32/32", "2600::/129",
                  "2600::/0128", "9.9.9.9/255.255.255.255", "9.9.9.0/255.255.255.0", "9.9.9.0/0.0.0.255", "9.9.9.9/0x20",
                  "9.9.9.9/1e1", "/32", "2600::/ffff::", "9.9.9.9\\32", "9.9.9.9/99999999999999999999"],
    "other notations": ["09.9.9.9", "9.9.9.09", "011.9.9.9", "0x9.9.9.9", "0x09090909", "151587081", "9.9.9", "9.9", "9", "9.9.2313",
                        "0o11.9.9.9", "9.9.9.9.", ".9.9.9.9", "9..9.9", "9.9.9.9.9", "9.9.9.256", "999.9.9.9", "9.9.9.-1", "+9.9.9.9",
                        "1e1.9.9.9", "9,9,9,9", "9.9.9.9:443", "[2600::9]", "[2600::9]:443", "2600::9:", ":2600::9", "2600:::9",
                        "2600::9::9", "2600:9", "2600::12345", "2600::g", "1:2:3:4:5:6:7:8:9", "26:00::/-0", "2600::9.9.9", "2600::9.9.9.09",
                        "0x2600::9", "9.9.9.9%eth0", "2600::9%eth0", "fe80::1%1", "2600::9%", "2600::9%25eth0"],
    "not an address": ["", " ", "/", ".", ":", "-", "*", "*.*.*.*", "9.9.9.*", "9.9.9.x", "9.9.9.9-9.9.9.20", "9.9.9.9 - 9.9.9.20",
                       "9.9.9.[1-9]", "9.9.9.9,9.9.9.10", "9.9.9.9 9.9.9.10", "9.9.9.9;", "localhost", "any", "all", "internet", "example.com",
                       "dns.quad9.net", "http://9.9.9.9", "https://9.9.9.9/", "ip4:9.9.9.9", "urn:9.9.9.9", "user@9.9.9.9", "sg-0123456789abcdef0",
                       "pl-12345678", "null", "None", "NaN", "true", "${EVIL}", "$(id)", "`id`", "{{9}}", "%s", "'9.9.9.9'", '"9.9.9.9"',
                       "9.9.9.9#", "9.9.9.9 # x", "9.9.9.9'; --", '9.9.9.9"}', "9.9.9.9/32|cat", "9.9.9.9&", "../9.9.9.9", "AS19281"],
    "spaces and controls": [" 9.9.9.9", "9.9.9.9 ", "9.9.9.9\n", "\n9.9.9.9", "9.9.9.9\r\n", "9.9.9.9\t", "9.9.9.9\0", "9.9\0.9.9",
                            "9.9.9.9\n8.8.8.8", "9.9.9.9\u00a0", "9.9.9.9\u200b", "\ufeff9.9.9.9", "9.9.9.9\u2028", "9.9.9.9\x1b[2J", "9.9.9.9\x7f",
                            "9.9.9.9\x0b", "9.9.9.9\x0c", "9.9.9.9\x85", "9. 9.9.9", "9.9.9.9 /32", "9.9.9.9/ 32", "\u202e9.9.9.9"],
    "other digits": ["٩.٩.٩.٩", "９.９.９.９", "९.९.९.९", "9.9.9.9/３２", "9。9。9。9", "9．9．9．9", "⑨.9.9.9", "9.9.9.²", "𝟗.9.9.9",  # noqa: RUF001
                     "9․9․9․9", "２600::9", "2600：：9", "9.9.9.9∕32", "\ud83d"],  # noqa: RUF001
    "private and local": ["10.0.0.0/8", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.0/16", "192.168.1.1", "127.0.0.1", "127.9.9.9",
                          "169.254.169.254", "169.254.0.0/16", "100.64.0.1", "100.127.255.255", "0.1.2.3", "::1", "fe80::1", "fc00::1", "fd00::1",
                          "fec0::1", "11.0.0.0/7", "10.0.0.0/7", "192.168.0.0/15", "100.64.0.0/9", "172.0.0.0/8"],
    "multicast and reserved": ["224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "224.0.0.0/16", "ff02::1", "ff00::/32", "4000::1",
                               "5f00::1", "3fff::1", "100::1", "100:0:0:1::1", "e000::1", "1::1", "200::1", "192.0.0.1", "192.88.99.1", "198.18.0.1",
                               "192.31.196.1", "192.52.193.1", "192.175.48.1", "2620:4f:8000::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "203.0.112.0/22"],
    "IPv4 in IPv6": ["::ffff:9.9.9.9", "::ffff:0909:0909", "::9.9.9.9", "::ffff:0:9.9.9.9", "64:ff9b::9.9.9.9", "64:ff9b:1::9.9.9.9", "2002:909:909::1",
                     "2002::/32", "2001::1", "2001:0:909:909::1", "2001::/32", "2001:10::1", "2001:20::1", "::ffff:0:0/96"],
    "no text": [9, 151587081, -1, 0, 1.5, True, False, None, [], ["9.9.9.9"], [["9.9.9.9"]], {}, {"ip": "9.9.9.9"}, {"9.9.9.9": 32},
                10**20, 2**127, 1e308],
    "long": ["9" * 44, "0" * 1000 + "9.9.9.9", "9.9.9.9" + " " * 100_000, "2600::" + "0" * 100_000, "9.9.9.9/" + "0" * 100_000 + "32",
             "0000:0000:0000:0000:0000:ffff:9.9.9.9", "2600:0000:0000:0000:0000:0000:0000:0009:", "1:" * 50_000, "." * 100_000],
}  # fmt: skip
"""Each stands alone in front of an empty door, and among the good ones in front of a kept one."""


def addresses(stride: int) -> Iterator[Case]:
    """Each bad address in an otherwise faultless list, and alone; with a stride above 1, in turns."""
    number = 0
    for kind, listed in ADDRESSES.items():
        for bad in listed:
            shown = f"{kind}: {ascii(bad)[:60]}"
            forms = {"among others": [*GOOD, bad], "alone": [bad]}
            number += 1
            for form, entries in list(forms.items()) if stride == 1 else [list(forms.items())[number % 2]]:
                yield body(f"{shown}, {form}", json.dumps({"ipAddresses": entries}).encode())


# ── the groups ───────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Group:
    """Cases that are reported together.

    alone     each in a process of its own, so that its memory can be told
    together  all at once, since each takes as long as the deadline
    """

    what: str
    cases: Callable[[], Iterable[Case]]
    alone: bool = False
    together: bool = False


def groups(stride: int) -> dict[str, Group]:
    """Return all groups; a stride above 1 leaves out places to cut."""
    found = {
        "cuts": Group("cut at a byte, plain", partial(cuts, "close", stride, tls=False)),
        "resets": Group("cut at a byte by a reset", partial(cuts, "reset", 4 * stride, tls=False)),
        "tls-cuts": Group("cut at a byte, TLS", partial(cuts, "close", stride, tls=True)),
        "tls-ends": Group("cut at a byte, TLS, ended cleanly", partial(cuts, "notify", stride, tls=True)),
        "drips": Group("a byte a second, or none", drips, together=True),
        "oversized": Group("too large, or without end", oversized, alone=True),
        "packed": Group("packed", packed, alone=True),
        "redirects": Group("redirects", redirects),
        "heads": Group("statuses, types, lengths", heads),
        "shapes": Group("documents of a wrong shape", shapes),
        "documents": Group("documents of 5 MiB", documents, alone=True),
        "bounded": Group("documents just below the bounds", bounded, alone=True),
        "addresses": Group("bad addresses", partial(addresses, stride)),
    }
    return {key: replace(group, what=f"feed: {group.what}") for key, group in found.items()}
