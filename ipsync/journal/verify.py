"""Proving that nobody changed the log: every byte of every record, their order, and (with an anchor) their end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ipsync.journal.files import all_files
from ipsync.journal.record import GENESIS, Record, fault


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. `head` is the last record as SEQ:HASH; `problem` names the first that doesn't hold."""

    ok: bool
    records: int
    head: str
    problem: str | None = None


def verify(path: Path, *, anchor: str | None = None, hmac_key: str | None = None) -> Verification:
    """Read the whole log, rotated files first, and check every record against the one before it."""
    if not all_files(path):
        return Verification(ok=False, records=0, head="", problem="there is no audit log here")
    wanted, _, wanted_hash = (anchor or "").partition(":")
    prev, seq, anchored = GENESIS, 0, not anchor
    for where, line in _lines(path):
        record, why = fault(line.rstrip(b"\n"), key=hmac_key)
        why = why or _misplaced(record, prev, seq)
        if not line.endswith(b"\n"):
            why = "it is torn: the last line has no end (the next run cuts it off and records that)"
        if why:
            return Verification(ok=False, records=seq, head=f"{seq}:{prev}", problem=f"{where}: {why}")
        prev, seq = record["hash"], record["seq"]
        anchored = anchored or (str(seq) == wanted and prev == wanted_hash)
    if not anchored:
        text = f"the anchor {anchor} is no record of this log: its end was cut off, or it is another log"
        return Verification(ok=False, records=seq, head=f"{seq}:{prev}", problem=text)
    return Verification(ok=True, records=seq, head=f"{seq}:{prev}")


def _misplaced(record: Record, prev: str, seq: int) -> str:
    if record.get("event") == "rotated" and not seq:
        return f"the rotated file {record.get('file')} is missing: put it back beside this one"
    if record.get("seq") != seq + 1:
        return f"it has number {record.get('seq')}, and {seq + 1} should stand here"
    if record.get("prev") != prev:
        return "it doesn't follow the record before it"
    return ""


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in all_files(path):
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                yield f"{file}, line {number}", line
