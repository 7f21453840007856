"""One record of the audit log: canonical JSON (RFC 8785) with the hash of the record before it. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from ipsync.core.canonical import canonical, sha256
from ipsync.core.errors import AuditLogError

Record = dict[str, Any]
VERSION = 2
"""Of the records that are written now (core/contents.py reads both)."""
GENESIS = "0" * 64
"""`prev` of the first record."""
LOG = "log"
"""The key under which a record that is read together with other logs' says whose it is; never written."""
LARGEST_INT = 2**53 - 1
"""Integers beyond this aren't the same in every JSON reader (RFC 8785, RFC 7493)."""


def seal(body: Mapping[str, Any], *, key: str | None) -> Record:
    """Return the record with its hash: SHA-256, or HMAC-SHA-256 where there is a key."""
    _check(body, "")
    return {**body, "hash": digest(canonical(body), key=key)}


def digest(data: bytes, *, key: str | None) -> str:
    """Return the hash of a record's canonical JSON without its hash."""
    if key is None:
        return sha256(data)
    return hmac.new(key.encode(), data, hashlib.sha256).hexdigest()


def fault(line: bytes, *, key: str | None) -> tuple[Record, str]:
    """Return a line's record, and what is wrong with the line by itself ("" if nothing)."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}, "it is not JSON"
    if not isinstance(record, dict) or not isinstance(record.get("hash"), str):
        return {}, "it is not a record"
    try:
        whole = canonical(record)
    except (ValueError, RecursionError):
        return {}, "it is not canonical JSON"
    if whole != line:
        return record, "its bytes are not the canonical form of what it says"
    body = {name: value for name, value in record.items() if name != "hash"}
    if not hmac.compare_digest(digest(canonical(body), key=key), record["hash"]):
        return record, "its hash is not that of its content"
    return record, ""


def _check(value: object, where: str) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value):  # a lone surrogate has no UTF-8
        return
    if isinstance(value, int) and abs(value) <= LARGEST_INT:
        return
    if isinstance(value, list | tuple):
        for item in value:
            _check(item, where)
        return
    if isinstance(value, Mapping) and all(isinstance(k, str) and k.isascii() for k in value):
        for key, item in value.items():
            _check(item, f"{where}.{key}")
        return
    raise AuditLogError(
        f"a fault in ipsync: {where or 'a record'} holds a {type(value).__name__}, which can't be recorded"
    )
