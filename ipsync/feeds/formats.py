"""A feed's bytes to the texts it lists: strict JSON with a JMESPath, or a line an address."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable
from typing import Any

from ipsync.errors import FeedError

MOST_ENTRIES = 20_000
"""Entries of a list that is looked at at all: more than any firewall holds, and few enough for any machine's memory."""
MOST_VALUES = 150_000
"""Values in a JSON document: more than the longest published lists have, each with all that is said of it.

A value of two bytes costs up to a hundred in memory, so that max_bytes alone bounds too little.
"""
WIDEST = 5 * 1024 * 1024
"""Bytes that a text may be larger than what came: one wide character makes Python keep four bytes for each other one."""
LONGEST_LINE = 64 * 1024


def is_json_type(kind: str) -> bool:
    """Tell whether a media type is JSON (RFC 8259, and RFC 6839's `+json`)."""
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def is_text_type(kind: str) -> bool:
    """Tell whether a media type is plain text; some hosts send lists as an octet stream."""
    return kind in {"text/plain", "text/csv", "application/octet-stream"}


def read_json(body: bytes, *, select: str) -> list[object]:
    """Return the list that a JMESPath selects. Its entries are not judged here."""
    import jmespath  # noqa: PLC0415 - not every run has a JSON feed

    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES:  # each value comes after one of these
        raise FeedError(f"the answer holds more than {MOST_VALUES} values; is the url right?")
    text = _text(body)
    if sys.getsizeof(text) > len(body) + WIDEST:
        raise FeedError("the answer is too large for the wide characters in it, which no list of addresses needs")
    found = jmespath.search(select, _strict_json(text))
    if not isinstance(found, list):
        raise FeedError(f"`{select}` selects {_kind(found)} instead of a list of addresses; has its format changed?")
    return _bounded(found)


def read_text(body: bytes) -> list[object]:
    """Return one text a line, without comments (`# …`) and empty lines."""
    found: list[object] = []
    start = 0
    for line in io.BytesIO(body):  # and not all lines at once: of empty ones there may be millions
        if len(line) > LONGEST_LINE:
            raise FeedError(f"the answer has a line of more than {LONGEST_LINE} bytes")
        text = _text(line, start).partition("#")[0].strip(" \t\r\n")
        start += len(line)
        if text:
            _bounded(found).append(text)
    return found


def _bounded(found: list[object]) -> list[object]:
    if len(found) > MOST_ENTRIES:
        raise FeedError(f"it lists more than {MOST_ENTRIES} entries, which no firewall holds")
    return found


def _text(data: bytes, start: int = 0) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FeedError(f"the answer is not UTF-8 (byte {start + error.start})") from None


def _strict_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_short_int)
    except FeedError:
        raise
    except RecursionError:
        raise FeedError("the answer is nested too deeply to be a list of addresses") from None
    except ValueError as error:
        raise FeedError(f"the answer is not JSON: {error}") from None


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Reject duplicate keys: with the last one winning, `{"p": ["1.2.3.4"], "p": []}` would be empty."""
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise FeedError(f"the answer has the key {key[:40]!r} twice")
        found[key] = value
    return found


def _no_constant(name: str) -> object:
    raise FeedError(f"the answer holds {name}, which is not JSON")


def _short_int(digits: str) -> int:
    return int(digits[:20])  # a number is never an address; its value doesn't matter, its length must not cost


def _kind(value: object) -> str:
    names = {type(None): "nothing", str: "a text", dict: "an object", bool: "a boolean", int: "a number"}
    return names.get(type(value), "a number")
