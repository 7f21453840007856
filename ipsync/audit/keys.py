"""Which key a record was sealed with. A key changes at the beginning of a file, and only to one that the config names."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from ipsync.audit.record import Record, fault
from ipsync.core.errors import AuditLogError

Key = str | None
"""A secret, or None: a hash that anybody can compute."""
FORGED = "its hash is not that of its content"


def opened_with(line: bytes, keys: Sequence[Key]) -> tuple[Record, Key, str]:
    """Return a line's record, the first of the keys that it holds with, and what is wrong with it under the first key."""
    record, why = fault(line, key=keys[0])
    if why != FORGED:
        return record, keys[0], why
    for key in keys[1:]:
        if not fault(line, key=key)[1]:
            return record, key, ""
    return record, keys[0], why


def doesnt_hold(file: Path, why: str, files: Sequence[Path], *, run: str) -> AuditLogError:
    """Return the error to raise where the last record, on which the next would build, doesn't hold."""
    said = f"{file}: the last record doesn't hold: {why}. "
    if why == FORGED:
        said += (
            "If audit.hmac_key was changed, add the former key to audit.hmac_keys_before (null if there was none) and run "
            "again: the log goes on in a new file, and `audit verify` checks each part with its own key. If nobody changed "
            "the key, somebody changed the log: look with `ipsync audit verify`. "
        )
    else:
        said += "Somebody changed the log: look with `ipsync audit verify`. "
    return AuditLogError(said + f"To begin a new log and keep this one whole: {_set_aside(files, run)}")


def _set_aside(files: Sequence[Path], run: str) -> str:
    """Return the command that moves all files of a log: a rotated one that stays would be built upon."""
    folder = files[-1].with_name(f"audit-log-until-{run}")
    names = " ".join(shlex.quote(str(file)) for file in files)
    return f"mkdir -- {shlex.quote(str(folder))} && mv -- {names} {shlex.quote(str(folder))}/"
