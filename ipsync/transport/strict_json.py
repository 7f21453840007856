"""JSON that can mean one thing only: Python's parser lets more pass than the standard does."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


class Unclear(ValueError):
    """The text has a meaning for Python's parser, and another one, or none, for others."""


def loads(text: str) -> Any:
    """Read a document. Raises Unclear, json.JSONDecodeError or, where it is nested deeply, RecursionError."""
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_short_int)


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Reject duplicate keys: with the last one winning, `{"p": ["1.2.3.4"], "p": []}` would be empty."""
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise Unclear(f"the answer has the key {key[:40]!r} twice")
        found[key] = value
    return found


def _no_constant(name: str) -> object:
    raise Unclear(f"the answer holds {name}, which is not JSON")


def _short_int(digits: str) -> int:
    return int(digits[:20])  # no number that we read has more; its length must not cost
