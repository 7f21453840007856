"""Proving that nobody changed the log: every byte of every record, their order, and (with an anchor) their end."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ipsync.audit.files import all_files
from ipsync.audit.keys import FORGED, Key, opened_with
from ipsync.audit.record import GENESIS, Record
from ipsync.audit.trouble import unreadable
from ipsync.core.errors import UsageError
from ipsync.core.events import Rotated

SHORTEST = 8
"""Hexadecimal digits of a checkpoint's hash that are enough: as many as people write of a commit's."""

_FIRST = ", line 1"
_OTHER_KEY = (
    ". It was changed, or sealed with another key than audit.hmac_key and audit.hmac_keys_before "
    "(with --path: $IPSYNC_AUDIT_KEY and, with commas between them, $IPSYNC_AUDIT_KEYS_BEFORE)"
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. `head` is the last record as SEQ:HASH; `problem` names the first that doesn't hold."""

    ok: bool
    records: int
    head: str
    problem: str | None = None


def verify(
    path: Path, *, anchor: str | None = None, hmac_key: Key = None, hmac_keys_before: Sequence[Key] = ()
) -> Verification:
    """Read the whole log, rotated files first, and check every record against the one before it.

    `anchor` is a checkpoint, SEQ:HASH, of whose hash the first 8 digits are enough. Raises UsageError where it is none.
    """
    seq, start = _anchor(anchor) if anchor is not None else (0, "")
    result, hashes = _verified(path, {seq}, hmac_key, hmac_keys_before)
    found = (hashes or {}).get(seq, "")
    if hashes is None or found.startswith(start):
        return result
    why = _unanchored(seq, result.records, found)
    return replace(result, ok=False, problem=f"the anchor {anchor} is no record of this log: {why}")


def verify_all(
    paths: Sequence[Path], *, anchors: Sequence[str] = (), hmac_key: Key = None, hmac_keys_before: Sequence[Key] = ()
) -> tuple[list[Verification], list[str]]:
    """Verify each of several logs, and return what was found of each, and the anchors that are no record of any.

    An anchor doesn't say whose it is: no two logs have a record of one hash. Raises UsageError where it is none.
    """
    wanted = {anchor: _anchor(anchor) for anchor in anchors}
    seqs = {seq for seq, _ in wanted.values()}
    found = [_verified(path, seqs, hmac_key, hmac_keys_before) for path in paths]
    hashes = [held for _, held in found if held is not None]
    lost = [a for a, (seq, start) in wanted.items() if not any(h.get(seq, "").startswith(start) for h in hashes)]
    return [result for result, _ in found], lost


def _verified(
    path: Path, wanted: Collection[int], hmac_key: Key, hmac_keys_before: Sequence[Key]
) -> tuple[Verification, dict[int, str] | None]:
    """Return what was found, and the hashes of the records of these numbers; None where a record doesn't hold."""
    hashes: dict[int, str] = {}
    if not all_files(path):
        return Verification(ok=False, records=0, head="", problem="there is no audit log here"), None
    keys = [hmac_key, *hmac_keys_before]
    prev, seq, key = GENESIS, 0, hmac_key
    for where, line in _lines(path):
        record, held_with, why = opened_with(line.rstrip(b"\n"), [key, *keys])
        why = why or _misplaced(record, prev, seq) or _rekeyed(record, seq, changed=held_with != key)
        if not line.endswith(b"\n"):
            why = "it is torn: the last line has no end (the next run cuts it off and records that)"
        if why:
            hint = _OTHER_KEY if why == FORGED and where.endswith(_FIRST) else ""
            return Verification(ok=False, records=seq, head=f"{seq}:{prev}", problem=f"{where}: {why}{hint}"), None
        prev, seq, key = record["hash"], record["seq"], held_with
        if seq in wanted:
            hashes[seq] = prev
    problem = _at_the_end(key, hmac_key)
    return Verification(ok=not problem, records=seq, head=f"{seq}:{prev}", problem=problem), hashes


def _rekeyed(record: Record, seq: int, *, changed: bool) -> str:
    """Say what is wrong where a record was sealed with another key than the one before it."""
    if not changed or not seq or (Rotated.names(record) and record.get("rekeyed") is True):
        return ""
    return f"{FORGED}: it was sealed with another key than the record before it, amid a file"


def _at_the_end(key: Key, hmac_key: Key) -> str | None:
    """A key that was replaced, perhaps because it leaked, must not be enough to write the whole log anew."""
    if key == hmac_key:
        return None
    return (
        "every record holds, but the last was sealed with one of audit.hmac_keys_before and none with audit.hmac_key: the next "
        "run goes on with that; if one has run already, somebody who has the former key wrote this log anew"
    )


def _anchor(text: str) -> tuple[int, str]:
    """Read SEQ:HASH. A guess at less than 8 digits of a hash would soon be right, so less proves nothing."""
    found = re.fullmatch(rf"([0-9]{{1,16}}):([0-9a-f]{{{SHORTEST},64}})", text.strip().rstrip(".…").lower(), re.ASCII)
    if not found or int(found[1]) == 0:
        raise UsageError(
            f"--anchor {text}: not a checkpoint; write it as a run printed it, SEQ:HASH, like 29:d8256b2b…: "
            f"a record's number, and its hash or at least the first {SHORTEST} hexadecimal digits of it"
        )
    return int(found[1]), found[2]


def _unanchored(wanted: int, last: int, found: str) -> str:
    if wanted > last:
        return f"it ends at {last}; its end was cut off, or it is another log"
    return (
        f"the hash of record {wanted} begins with {found[:SHORTEST]}; the chain was computed anew, or it is another log"
    )


def _misplaced(record: Record, prev: str, seq: int) -> str:
    if Rotated.names(record) and not seq:
        return f"the rotated file {record.get('file')} is missing: put it back beside this one"
    if record.get("seq") != seq + 1:
        return f"it has number {record.get('seq')}, and {seq + 1} should stand here"
    if record.get("prev") != prev:
        return "it doesn't follow the record before it"
    return ""


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in all_files(path):
        try:
            with file.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    yield f"{file}, line {number}", line
        except OSError as error:
            raise unreadable(file, error) from error
