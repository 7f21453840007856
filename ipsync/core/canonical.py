"""The one way to write a JSON value as bytes: what hashes, digests and ids are made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: object) -> bytes:
    """Return RFC 8785's form. With ASCII keys, texts and safe integers only, sorted compact JSON is that form."""
    return _ENCODER.encode(value).encode()


def digest(value: object) -> str:
    """Return the digest of a JSON value, with the name of its algorithm."""
    return f"sha256:{sha256(canonical(value))}"


def digest_of(first: Iterable[object], then: Iterable[object]) -> str:
    """Return the digest of `[*first, [*then]]`, of many values that are made one after the other and kept nowhere."""
    summed = hashlib.sha256(b"[")
    for value in first:
        summed.update(canonical(value) + b",")
    before = b"["
    for value in then:
        summed.update(before + canonical(value))
        before = b","
    summed.update(b"[]]" if before == b"[" else b"]]")
    return f"sha256:{summed.hexdigest()}"


def sha256(data: bytes) -> str:
    """Return a hash in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
