"""Tampering with an audit log: whatever is done to a record, to their order or to the end, `audit verify` must say so.

The log is a real one, written by ipsync's own code, with a rotated file. Each tampering is verified with the
anchor that a run prints, as the documentation tells operators to; beside it stands how many would be found without
one. What no hash without a secret can show (a chain computed anew) is tried against the anchor and against a key.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ipsync.audit import AuditLog, Verification, verify
from ipsync.audit.files import rotated
from ipsync.audit.record import GENESIS, seal
from ipsync.core.canonical import canonical
from ipsync.core.contents import Contents, OwnedEntry
from ipsync.core.events import FeedRead, Intent, Outcome, Planned, RunEnded, RunStarted
from proof.table import Row

AT = datetime(2026, 1, 31, 9, tzinfo=UTC)
KEY = "a key that the forger doesn't have"
FORGED = {"actor": "nobody@nowhere"}
Lines = tuple[tuple[int, bytes], ...]
"""Every line with the number of the file that it stands in: 0 is the rotated one, 1 the current one."""


@dataclass(slots=True)
class Log:
    """A log on disk that can be overwritten and verified thousands of times; only files that differ are written."""

    path: Path
    paths: tuple[Path, ...]
    lines: Lines
    anchor: str
    key: str | None = None
    _written: dict[Path, bytes] = field(default_factory=dict)

    def write(self, data: Mapping[int, bytes]) -> None:
        """Let the files hold this."""
        for number, path in enumerate(self.paths):
            if self._written.get(path) != data[number]:
                path.write_bytes(data[number])
                self._written[path] = data[number]

    def verified(self, *, anchored: bool = True) -> Verification:
        """Verify what stands there now."""
        return verify(self.path, anchor=self.anchor if anchored else None, hmac_key=self.key)

    def mended(self) -> None:
        """Open the log as the next run does, which cuts off a torn end and records that."""
        with AuditLog.open(self.path, owner="acme", actor="proof", run="r3", clock=lambda: AT, hmac_key=self.key):
            self._written.clear()


def made(folder: Path, records: int, *, key: str | None = None) -> Log:
    """Write a log of about so many records, half of them in a rotated file."""
    path = folder / "audit.jsonl"
    for run, most in (("r1", 2**20), ("r2", 1)):
        with AuditLog.open(
            path, owner="acme", actor="me@host", run=run, clock=lambda: AT, hmac_key=key, max_bytes=most
        ) as audit_log:
            _run(audit_log, records // 2)
    paths = (*rotated(path), path)
    lines = tuple((n, line) for n, p in enumerate(paths) for line in p.read_bytes().splitlines(keepends=True))
    return Log(path, paths, lines, verify(path, hmac_key=key).head, key)


def _run(audit_log: AuditLog, records: int) -> None:
    audit_log.record(RunStarted(mode="sync"))
    audit_log.record(FeedRead(feed="qatech", url="https://qatech.example/ips", count=2, digest=f"sha256:{GENESIS}"))
    audit_log.record(Planned(id=f"sha256:{GENESIS}", summary={"add": 1, "remove": 0}, verdicts=[]))
    resource = "aws/1/eu-north-1/sg-1"
    for nth in range((records - 4) // 2):
        after = tuple(OwnedEntry(f"8.8.8.{n}/32", "443/tcp", "acme", ("web",), "qatech") for n in range(nth + 1))
        before, then = Contents(after[:-1]), Contents(after)
        announced = Intent(resource=resource, kind="add", target="web", before=before, after=then)
        intent = audit_log.record(announced).seq
        audit_log.record(
            Outcome(intent=intent, resource=resource, result="applied", request_id=f"req-{nth}", error="été")
        )
    audit_log.record(RunEnded(mode="sync", targets=[{"target": "web", "status": "applied"}]))


# ── tamperings: each yields whole logs, as the bytes of each file ────────────

Files = dict[int, bytes]


def joined(lines: Iterable[tuple[int, bytes]]) -> Files:
    """Return the bytes of the two files."""
    found = {0: bytearray(), 1: bytearray()}
    for number, line in lines:
        found[number] += line
    return {number: bytes(data) for number, data in found.items()}


def flipped(log: Log, stride: int) -> Iterator[Files]:
    """Flip one bit; the stride is odd, so that it visits every position of a bit in its byte."""
    whole = joined(log.lines)
    for number, data in whole.items():
        for bit in range(0, len(data) * 8, stride):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            yield {**whole, number: bytes(changed)}


def dropped(log: Log) -> Iterator[Files]:
    """Leave out one record."""
    for i in range(len(log.lines)):
        yield joined(log.lines[:i] + log.lines[i + 1 :])


def doubled(log: Log) -> Iterator[Files]:
    """Write one record twice."""
    for i in range(len(log.lines)):
        yield joined(log.lines[: i + 1] + log.lines[i:])


def swapped(log: Log) -> Iterator[Files]:
    """Let two neighbours change places; the files keep their number of lines."""
    for i, ((one, first), (other, second)) in enumerate(zip(log.lines, log.lines[1:], strict=False)):
        yield joined((*log.lines[:i], (one, second), (other, first), *log.lines[i + 2 :]))


def shortened(log: Log, stride: int) -> Iterator[Files]:
    """Cut one record at one byte, with and without the end of its line; what follows stays."""
    for i, (number, line) in enumerate(log.lines):
        for cut in range(1, len(line) - 1, stride):
            for end in (b"\n", b""):
                yield joined((*log.lines[:i], (number, line[:cut] + end), *log.lines[i + 1 :]))


def ended(log: Log) -> Iterator[Files]:
    """Cut everything off from one record on: what is left is a whole chain."""
    for i in range(len(log.lines)):
        yield joined(log.lines[:i])


def torn(log: Log, stride: int) -> Iterator[Files]:
    """Cut the file inside of its last record, as a crash in the middle of an append does."""
    *rest, (number, last) = log.lines
    for cut in range(1, len(last), stride):
        yield joined((*rest, (number, last[:cut])))


def restamped(log: Log) -> Iterator[Files]:
    """Change, drop or add one record and compute every number and hash anew from there on, without a key."""
    records = [(number, json.loads(line)) for number, line in log.lines]
    for i, (number, record) in enumerate(records):
        yield joined(_stamped([*records[:i], (number, {**record, **FORGED}), *records[i + 1 :]]))
        yield joined(_stamped(records[:i] + records[i + 1 :]))
        yield joined(_stamped([*records[:i], (number, {**record, **FORGED}), *records[i:]]))


def appended(log: Log) -> Iterator[Files]:
    """Add one forged record at the end, which fits: the anchor still stands in the log."""
    last = json.loads(log.lines[-1][1])
    forged = seal({**_body(last), **FORGED, "seq": last["seq"] + 1, "prev": last["hash"]}, key=None)
    yield joined((*log.lines, (1, canonical(forged) + b"\n")))


def _stamped(records: Sequence[tuple[int, dict[str, object]]]) -> Iterator[tuple[int, bytes]]:
    prev: object = GENESIS
    for seq, (number, record) in enumerate(records, 1):
        sealed = seal({**_body(record), "seq": seq, "prev": prev}, key=None)
        prev = sealed["hash"]
        yield number, canonical(sealed) + b"\n"


def _body(record: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in record.items() if name != "hash"}


# ── the table ────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Tally:
    """How many logs were tampered with, and how many of them the verification found."""

    made: int = 0
    found: int = 0
    bare: int = 0


def tally(log: Log, tampered: Iterable[Files], *, anchored: bool = True, mend: bool = False) -> Tally:
    """Verify each tampered log, with its anchor or without, and also as bare as it is."""
    counts = Tally()
    for files in tampered:
        log.write(files)
        if mend:
            log.mended()
        bare = log.verified(anchored=False).ok
        counts.made += 1
        counts.bare += not bare
        counts.found += not (log.verified().ok if anchored and bare else bare)
    log.write(joined(log.lines))
    if not log.verified().ok:
        raise AssertionError("the log as it was written doesn't verify, so nothing was proven")
    return counts


def rows(records: int, *, stride: int = 1) -> list[Row]:
    """Tamper with a log of about so many records; an odd stride above 1 leaves out bits and places to cut."""
    with tempfile.TemporaryDirectory(prefix="ipsync-proof-") as name:
        plain, keyed = (Path(name) / part for part in ("plain", "keyed"))
        plain.mkdir()
        keyed.mkdir()
        log, secret = made(plain, records), made(keyed, records, key=KEY)
        tamperings: dict[str, Callable[[], Tally]] = {
            "a bit flipped": lambda: tally(log, flipped(log, stride)),
            "a record dropped": lambda: tally(log, dropped(log)),
            "a record doubled": lambda: tally(log, doubled(log)),
            "two neighbours swapped": lambda: tally(log, swapped(log)),
            "a record cut at a byte": lambda: tally(log, shortened(log, stride)),
            "the end cut off between records": lambda: tally(log, ended(log)),
            "the end torn": lambda: tally(log, torn(log, stride)),
            "the end torn, then mended by a run": lambda: tally(log, torn(log, stride), mend=True),
            "the chain computed anew": lambda: tally(log, restamped(log)),
        }
        keyless = partial(tally, secret, anchored=False)
        found = {f"log: {what}": done() for what, done in tamperings.items()}
        return [
            *(_row(what, counts, f"; {counts.bare:,} without the anchor") for what, counts in found.items()),
            _row("log with a key: computed anew without it", keyless(restamped(secret)), ", without an anchor"),
            _row("log with a key: a record forged at its end", keyless(appended(secret)), ", without an anchor"),
        ]


def _row(what: str, counts: Tally, how: str) -> Row:
    reached = f"{counts.found:,} of {counts.made:,} found{how}"
    return Row(what, counts.made, reached, "all", counts.found == counts.made > 0)
