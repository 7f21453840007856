"""The one way to write a JSON value as bytes: what hashes, digests and ids are made from."""

from __future__ import annotations

import hashlib
import json

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: object) -> bytes:
    """Return RFC 8785's form. With ASCII keys, texts and safe integers only, sorted compact JSON is that form."""
    return _ENCODER.encode(value).encode()


def digest(value: object) -> str:
    """Return the digest of a JSON value, with the name of its algorithm."""
    return f"sha256:{sha256(canonical(value))}"


def sha256(data: bytes) -> str:
    """Return a hash in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
