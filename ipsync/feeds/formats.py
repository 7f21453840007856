"""A feed's bytes to the texts it lists: strict JSON with a JMESPath, or a line an address.

What is sent is judged by reading it: vendors send lists under any media type, and sign-in pages too.
"""

from __future__ import annotations

import codecs
import io
import json
import sys
from typing import Any

from ipsync.core.errors import FeedError
from ipsync.feeds.hints import hint
from ipsync.transport import strict_json

MOST_ENTRIES = 20_000
"""Entries of a list that is looked at at all: more than any firewall holds, and few enough for any machine's memory."""
MOST_VALUES = 165_000
"""Values in a JSON document: more than the longest published lists have, each with all that is said of it.

A value of two bytes costs up to a hundred in memory, so that max_bytes alone bounds too little.
"""
BYTES_A_VALUE = 32
"""Where max_bytes is raised, the values may be more: published lists take 32 bytes and more for each."""
WIDEST = 5 * 1024 * 1024
"""Bytes that a text may be larger than what came: one wide character makes Python keep four bytes for each other one."""
WHOLE = "@"
"""The JMESPath of the document itself: what a feed without `select` reads."""
LONGEST_KEY = 40
LONGEST_LINE = 64 * 1024
MARK = "\ufeff"
"""UTF-8's byte order mark as a character; at the beginning it means nothing and may be left out (RFC 8259, 8.1)."""
PAGES = {"text/html", "application/xhtml+xml"}
"""What a gateway, a sign-in page or an error page is sent as, and no list ever is."""
_OTHER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # begins like UTF-16's
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)

Entry = tuple[int, object]
"""What a feed lists at one place: the number of the entry (from 0) or of the line (from 1), and the text there."""


def read_json(body: bytes, *, select: str, max_bytes: int = 0) -> list[Entry]:
    """Return the list that a JMESPath selects. Its entries are not judged here."""
    from ipsync.feeds.selection import search  # noqa: PLC0415 - not every run has a JSON feed

    most = max(MOST_VALUES, max_bytes // BYTES_A_VALUE)
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > most:  # each value comes after one of these
        raise FeedError(f"the answer holds more than {most} values; if the url is right, raise max_bytes of this feed")
    _check_coding(body)
    text = _text(body).removeprefix(MARK)
    if sys.getsizeof(text) > len(body) + WIDEST:
        raise FeedError("the answer is too large for the wide characters in it, which no list of addresses needs")
    found = search(select, _strict_json(text))
    if not isinstance(found, list):
        what = "the answer is" if select == WHOLE else f"`{select}` selects"
        raise FeedError(f"{what} {_kind(found)} instead of a list of addresses{_elsewhere(found)}")
    return list(enumerate(_bounded(found)))


def _elsewhere(found: object) -> str:
    """Say where the list may be: in a text that we know the look of, or under a key of an object."""
    keys = [key for key, value in found.items() if isinstance(value, list)] if isinstance(found, dict) else []
    simple = [
        key for key in keys if key.isidentifier() and len(key) < LONGEST_KEY
    ]  # others need quotes (JMESPath, grammar)
    if simple:
        return f"; if its list is meant, write {' or '.join(f'`select: {key}`' for key in simple[:3])}"
    return hint(found) or "; has its format changed?"


def read_text(body: bytes) -> list[Entry]:
    """Return one text a line, without comments (`# …`) and empty lines."""
    found: list[Entry] = []
    start = 0
    _check_beginning(body)
    for number, line in enumerate(
        io.BytesIO(body), 1
    ):  # and not all lines at once: of empty ones there may be millions
        if len(line) > LONGEST_LINE:
            raise FeedError(f"the answer has a line of more than {LONGEST_LINE} bytes")
        text = _text(line, start).removeprefix("" if start else MARK).partition("#")[0].strip(" \t\r\n")
        start += len(line)
        if text:
            _bounded(found).append((number, text))
    return found


def _bounded(found: list[Any]) -> list[Any]:
    if len(found) > MOST_ENTRIES:
        raise FeedError(f"it lists more than {MOST_ENTRIES} entries, which no firewall holds")
    return found


def _check_beginning(body: bytes) -> None:
    """Refuse by its beginning what would otherwise be told as a heap of bad lines."""
    _check_coding(body)
    start = body[:100].removeprefix(codecs.BOM_UTF8).lstrip()
    if start[:1] in {b"[", b"{"}:
        raise FeedError(
            "the answer is JSON, and the feed says format: text; leave format out, and set select if needed"
        )
    if start[:1] == b"<":
        raise FeedError("the answer is a web page or XML, not a list with an address a line; is the url right?")


# ── bytes to text ────────────────────────────────────────────────────────────


def _check_coding(data: bytes) -> None:
    for mark, name in _OTHER_MARKS:
        if data.startswith(mark):
            raise FeedError(f"the answer is {name}, as its byte order mark says; only UTF-8 is read")
    if data.startswith(b"\x1f\x8b"):
        raise FeedError("the answer is a gzip file, which isn't unpacked; is there a url of the plain list?")


def _text(data: bytes, start: int = 0) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FeedError(f"the answer is not UTF-8 (byte {start + error.start})") from None


# ── text to values ───────────────────────────────────────────────────────────


def _strict_json(text: str) -> Any:
    try:
        return strict_json.loads(text)
    except strict_json.Unclear as error:
        raise FeedError(str(error)) from None
    except RecursionError:
        raise FeedError("the answer is nested too deeply to be a list of addresses") from None
    except json.JSONDecodeError as error:
        raise FeedError(f"the answer is not JSON: {error}{_likely(text, error)}") from None
    except ValueError as error:
        raise FeedError(f"the answer is not JSON: {error}") from None


def _likely(text: str, error: json.JSONDecodeError) -> str:
    """Say what it seems to be instead."""
    start = text[:100].lstrip()
    if start.startswith("<"):
        return "; it is a web page or XML: is the url right?"
    if "\0" in start:
        return "; it seems to be UTF-16: only UTF-8 is read"
    if error.msg == "Extra data" and start[:1] in {"{", "["}:
        return "; it seems to be one JSON document a line, which isn't read: is there a url of one list?"
    if start[:1].isalnum() or start.startswith(("#", ";", "//", ":")):
        return "; if it has an address a line, the feed needs format: text"
    return ""


def _kind(value: object) -> str:
    names = {type(None): "nothing", str: "a text", dict: "an object", bool: "a boolean", int: "a number"}
    return names.get(type(value), "a number")
