"""Hostile feeds against the real fetcher and the whole path behind it: parser, guards, plan, sync, over doors in memory.

The servers run here. What is measured runs in processes of its own, forked from one that has imported everything:
seconds of each case, and by how much its peak memory grows. A case is kept out if no address is added to any door
(one kept by the good list, one rule beside it, one still empty), nothing is written, and what is said about it is
one short printable line.
"""

from __future__ import annotations

import os
import resource
import socket
import ssl
import struct
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import trustme

from ipsync.sandbox.feed import FeedServer
from proof.hostile import GOOD, Case, Group, groups, whole
from proof.table import Row

SECONDS, MIB = 31.0, 50.0
"""What each case may take at most, with the default timeout of 30 s."""
TIMEOUT, PACE = 30.0, 1.0
QUICK_TIMEOUT, QUICK_PACE = 0.7, 0.05
STRIDE, ALONE_STRIDE = 31, 9
"""In the quick form, every so many places to cut, and of the cases that have a process to themselves."""
AT_ONCE = 4
"""Cases of a group at the same time; most of a small one's time is waiting."""
LONGEST_WORD = 1000
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["proof.feeds", "requests", "jmespath", "ipsync.feeds.http", "factory", "ipsync.engine"])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case; `memory` is in MiB, and where cases share a process, that of all of them."""

    name: str
    accepted: bool
    writes: int
    seconds: float
    memory: float
    fault: str = ""

    def faults(self, seconds: float) -> list[str]:
        """Say what is not as promised."""
        found = [self.fault] if self.fault else []
        found += ["accepted"] if self.accepted else []
        found += [f"{self.writes} writes"] if self.writes else []
        found += [f"{self.seconds:.1f} s"] if self.seconds > seconds else []
        return found + ([f"{self.memory:.0f} MiB"] if self.memory > MIB else [])


# ── the servers ──────────────────────────────────────────────────────────────


class Peer(FeedServer):
    """Answers /GROUP/NUMBER as that case says; /good/0 with the good list; counts who comes to /canary."""

    def __init__(self, corpus: Mapping[str, Sequence[Case]], *, pace: float, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(GOOD, tls=tls)
        self.corpus, self.pace, self.canaries = corpus, pace, 0
        self.base = self.url.removesuffix("/v1/outbound-ips")

    def _answer(self, connection: socket.socket) -> None:
        # A TLS socket takes the plain one's place; whichever stands there last is closed.
        try:
            connection.settimeout(60)
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._say(connection, self._asked(connection))
        except OSError:
            pass  # the client left, as clients with deadlines do
        finally:
            connection.close()

    def _asked(self, connection: socket.socket) -> Case | None:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return None
            received += piece
        parts = received.split(b" ", 2)[1].decode("latin-1").split("/")
        if parts[1] == "good":
            return Case("good", lambda: [self.whole_answer()])
        if parts[-1].startswith("canary"):
            self.canaries += 1
            return Case("canary", lambda: [whole(b'{"ipAddresses": ["9.9.9.9"]}')])
        return self.corpus[parts[1]][int(parts[2])]

    def _say(self, connection: socket.socket, case: Case | None) -> None:
        for piece in case.pieces() if case else ():
            connection.sendall(piece)
            if case and case.drip and self._stop.wait(self.pace):
                return
        if case and case.end == "hold":
            self._stop.wait(2 * SECONDS)
        if case and case.end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if case and case.end == "notify" and isinstance(connection, ssl.SSLSocket):
            connection.settimeout(1)
            connection.unwrap()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the servers are, and how the client is to come."""

    plain: str
    secure: str
    ca_file: str
    timeout: float
    stride: int


@contextmanager
def served(corpus: Mapping[str, Sequence[Case]], *, quick: bool) -> Iterator[tuple[Place, list[Peer]]]:
    """Run a plain and a TLS server for a corpus."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    pace, timeout, stride = (QUICK_PACE, QUICK_TIMEOUT, STRIDE) if quick else (PACE, TIMEOUT, 1)
    with (
        tempfile.TemporaryDirectory(prefix="ipsync-proof-") as folder,
        Peer(corpus, pace=pace) as plain,
        Peer(corpus, pace=pace, tls=context) as secure,
    ):
        bundle = Path(folder) / "ca.pem"
        authority.cert_pem.write_to_path(str(bundle))
        yield Place(plain.base, secure.base, str(bundle), timeout, stride), [plain, secure]


# ── the client: one process for a group, or for a case ───────────────────────


def suffer(place: Place, key: str, only: int | None, answer: Connection) -> None:
    """Let the cases of a group, or one of them, come over the whole path; answer with the outcomes."""
    os.environ["NO_PROXY"] = "*"
    group = groups(place.stride)[key]
    cases = [(n, c) for n, c in enumerate(group.cases()) if only in {None, n}]
    # What the first fetch loads is no case's memory; and where the good list weren't taken, nothing would be proven.
    taken = [_one(place, "good", 0, Case("good", list, tls=tls)) for tls in (False, True)]
    fault = "" if all(good.accepted and good.writes and not good.fault for good in taken) else "a good list is refused"
    before = _peak()
    with ThreadPoolExecutor(len(cases) if group.together else AT_ONCE) as pool:
        done = list(pool.map(lambda item: _one(place, key, *item), cases))
    grown = _peak() - before
    answer.send([replace(outcome, memory=grown, fault=fault or outcome.fault) for outcome in done])


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _one(place: Place, key: str, number: int, case: Case) -> Outcome:
    from factory import NOW, Stage, aws_target, config, gcp_target

    from ipsync import engine, feeds
    from ipsync.core.configured import Feed
    from ipsync.core.errors import IpsyncError
    from ipsync.core.model import Status
    from ipsync.testing.memory import MemoryCloud

    kept, fresh = [aws_target("web"), gcp_target("edge")], aws_target("fresh", where={"groups": ("sg-2",)})
    cloud = MemoryCloud(groups={f"aws/1/eu-north-1/sg-{n}": {} for n in (1, 2)})
    stage = Stage(config(*kept), cloud=cloud, lists={"qatech": GOOD})
    stage.sync()
    written = cloud.writes
    stage.config = config(*kept, fresh)
    base, bundle = (place.secure, place.ca_file) if case.tls else (place.plain, None)
    how = {"format": "text"} if case.text else {"select": "ipAddresses"}
    feed = Feed("qatech", f"{base}/{key}/{number}", timeout=place.timeout, ca_file=bundle, **how)  # type: ignore[arg-type]
    run = stage.run()
    clouds = replace(run.clouds, fetch=lambda asked: feeds.fetch(asked, clock=lambda: NOW))
    run = replace(run, config=replace(stage.config, feeds=(feed,)), clouds=clouds)
    began, fault = time.monotonic(), ""
    try:
        target_changes = engine.sync(run).plan.target_changes
    except (IpsyncError, RuntimeError, ValueError, MemoryError) as error:
        target_changes, fault = (), f"ended by {type(error).__name__}: {error}"[:LONGEST_WORD]
    seconds = time.monotonic() - began
    accepted = any(e.add and e.status not in {Status.BLOCKED, Status.ERROR} for e in target_changes)
    fault = fault or _unfit(
        error for e in target_changes for error in [e.error, *(v.detail for v in e.violations)] if error
    )
    return Outcome(case.name, accepted, cloud.writes - written, seconds, 0.0, fault)


def _unfit(words: Iterable[str]) -> str:
    """Say what is wrong with what is said: an answer's bytes must not reach a terminal or fill a log."""
    for word in words:
        if not word.isprintable():
            return f"unprintable: {word[:200]!a}"
        if len(word) > LONGEST_WORD:
            return f"{len(word)} characters are said: {word[:60]!a}…"
    return ""


def _outcomes(place: Place, key: str, group: Group, cases: Sequence[Case]) -> Iterator[Outcome]:
    for only in range(0, len(cases), ALONE_STRIDE if place.stride > 1 else 1) if group.alone else [None]:
        here, there = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(target=suffer, args=(place, key, only, there))
        process.start()
        there.close()
        try:
            yield from here.recv()
        except EOFError:
            name = group.what if only is None else cases[only].name
            yield Outcome(name, accepted=False, writes=0, seconds=0.0, memory=0.0, fault="its process died")
        process.join()


# ── the table ────────────────────────────────────────────────────────────────


def rows(*, quick: bool) -> list[Row]:
    """Let every case happen; the quick form has a short timeout, and leaves out most of the places to cut."""
    chosen = groups(STRIDE if quick else 1)
    corpus = {key: list(group.cases()) for key, group in chosen.items()}
    with served(corpus, quick=quick) as (place, peers):
        found = {key: list(_outcomes(place, key, group, corpus[key])) for key, group in chosen.items()}
        canaries = sum(peer.canaries for peer in peers)
    most = place.timeout + SECONDS - TIMEOUT  # a drip ends at the deadline, and the quick form's is another one
    together = [outcome for outcomes in found.values() for outcome in outcomes]
    bad = [f"{o.name}: {', '.join(o.faults(SECONDS))}" for o in together if o.faults(SECONDS)]
    return [
        *(_row(group.what, found[key], most if group.together else SECONDS) for key, group in chosen.items()),
        _row("feed: all of it", together, SECONDS),
        Row("feed: redirects that were followed", canaries, f"{canaries}", "0", canaries == 0),
        *(Row("  BROKEN", 1, text) for text in bad[:20]),
    ]


def _row(what: str, outcomes: Sequence[Outcome], seconds: float) -> Row:
    accepted, writes = sum(o.accepted for o in outcomes), sum(o.writes for o in outcomes)
    slowest, largest = max(o.seconds for o in outcomes), max(o.memory for o in outcomes)
    reached = f"{accepted} accepted, {writes} writes, ≤ {slowest:.1f} s, ≤ {largest:.0f} MiB"
    to_reach = f"0 accepted, 0 writes, ≤ {seconds:g} s, ≤ {MIB:g} MiB each"
    return Row(what, len(outcomes), reached, to_reach, not any(o.faults(seconds) for o in outcomes))
