"""Coverage-guided fuzzing of what reads other people's bytes: a feed's body and the config file.

Each runs in a process of its own, where only ipsync is instrumented. Two things count as a find: an exception that
isn't declared, and a document that ipsync takes and that the slow reading in oracle.py doesn't take, or takes for
something else. atheris brings libFuzzer; it is needed for nothing else and imported only where it runs.
"""

from __future__ import annotations

import importlib.util
import json
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proof import ROOT, seeds
from proof.table import Row

TO_REACH = 600
LONGEST = 6144
SAVE_EVERY = 512
"""Executions between two writings of the counts: the fuzzer ends its process without a last word."""
MISSING = "not run: pip install 'ipsync[prove]' brings atheris"


@dataclass(slots=True)
class Counts:
    """What came of the inputs."""

    path: Path
    runs: int = 0
    accepted: int = 0

    def note(self, *, accepted: bool) -> None:
        """Count one input."""
        self.runs += 1
        self.accepted += accepted
        if self.runs % SAVE_EVERY == 0:
            self.path.write_text(json.dumps({"runs": self.runs, "accepted": self.accepted}))


class Find(Exception):
    """ipsync and the oracle read the same bytes differently."""


# ── (a) a feed's bytes to networks ───────────────────────────────────────────

SELECTIONS = ("", "@", "ipAddresses", "prefixes[].ip")
"""The first byte of an input chooses one; "" is a text feed."""


def feed_harness(counts: Counts) -> Callable[[bytes], None]:
    """Return what is called with each input; imports ipsync, so call it where imports are instrumented."""
    from ipsync import feeds
    from ipsync.core.errors import FeedError
    from ipsync.feeds import formats
    from proof import oracle

    def read(select: str, body: bytes) -> set[oracle.Address] | None:
        try:
            listed = formats.read_json(body, select=select) if select else formats.read_text(body)
            networks = feeds._networks(listed)
        except FeedError:
            return None
        return {(n.version, int(n.network_address), n.prefixlen) for n in networks}

    def one(data: bytes) -> None:
        select, body = SELECTIONS[data[0] % len(SELECTIONS)] if data else "", data[1:]
        found = read(select, body)
        counts.note(accepted=found is not None)
        if found is not None:
            _same(found, lambda: oracle.feed(body, select))
        else:
            _refused(lambda: oracle.feed(body, select))

    return one


# ── (b) a config's bytes to a Config ─────────────────────────────────────────

ENVIRON = {"TOKEN": "t0p", "DIR": "d", "CDN_TOKEN": "x", "IPSYNC_AUDIT_KEY": "x", "EMPTY": "", "CIDR": "9.9.9.9/32"}


def config_harness(counts: Counts) -> Callable[[bytes], None]:
    """Return what is called with each input; imports ipsync, so call it where imports are instrumented."""
    from ipsync import config
    from proof import oracle

    path = counts.path.with_name("ipsync.yaml")
    schema = config.schema()

    def one(data: bytes) -> None:
        path.write_bytes(data)
        try:
            made = config.load(path, ENVIRON)
        except config.ConfigError as error:
            made = None
            if not all(line.startswith(f"{path}:") for line in str(error).split("\n")):
                raise Find(f"an error without its place: {error}") from None
        counts.note(accepted=made is not None)
        if made is not None:
            _same(_facts(made), lambda: oracle.config(data, ENVIRON, schema))

    return one


def _facts(made: Any) -> Any:
    from proof import oracle

    return oracle.Facts(
        owner=made.owner,
        grace=None if made.grace is None else made.grace.total_seconds(),
        every=made.every,
        jitter=made.jitter,
        feeds=frozenset(
            (f.name, f.url, "text" if f.format == "text" else f"select {f.select}", f.timeout, f.max_bytes)
            for f in made.feeds
        ),
        targets=tuple(
            (
                t.name,
                t.kind,
                frozenset(t.feeds),
                frozenset(str((s.protocol, 1 if s.first is None else s.first, s.last or 65535)) for s in t.services),
                frozenset((n.version, int(n.network_address), n.prefixlen) for n in t.static),
            )
            for t in made.targets
        ),
    )


def _refused(reading: Callable[[], set[tuple[int, int, int]]]) -> None:
    """Find what ipsync refuses without need."""
    from proof import oracle

    with suppress(oracle.Refused, oracle.Undecided):
        raise Find(f"refused, but the oracle reads {reading()}")


def _same(found: object, reading: Callable[[], object]) -> None:
    from proof import oracle

    try:
        expected = reading()
    except oracle.Undecided:
        return
    except oracle.Refused as error:
        raise Find(f"taken, but the oracle refuses it: {error}") from None
    if found != expected:
        raise Find(f"taken for {found}, but the oracle reads {expected}")


# ── a fuzzer's process ───────────────────────────────────────────────────────

ODD = b"\0\t\n\r \"#$%&'*+,-./09:<=>?@[\\]_`aFz{|}~\x7f\x80\xbb\xbf\xc3\xed\xef\xff"
TOKEN = re.compile(rb'"[^"\n]*"|[^\s"\[\]{},]+')


@dataclass(frozen=True, slots=True)
class Subject:
    """What is fuzzed, from which inputs on, with which words."""

    what: str
    harness: Callable[[Counts], Callable[[bytes], None]]
    seeds: Callable[[], Sequence[bytes]]
    words: Sequence[str] = field(repr=False)


SUBJECTS = {
    "feed": Subject(
        "fuzz: a feed's bytes to networks", feed_harness, lambda: seeds.FEEDS, [*seeds.JSON_WORDS, *seeds.ADDRESSES]
    ),
    "config": Subject("fuzz: a config's bytes to a Config", config_harness, seeds.configs, seeds.CONFIG_WORDS),
}


def mutator(subject: Subject) -> Callable[[bytes, int, int], bytes]:
    """Return a mutation that often begins with a sound document and puts known words in place of others.

    libFuzzer's own mutations leave next to nothing that is taken, and so nothing to compare with the oracle.
    """
    known, sound = [word.encode() for word in subject.words], subject.seeds()

    def changed(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < 0.5:
            data = chance.choice(sound)
        for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5))):
            way = chance.random()
            if way < 0.3:
                data = _bytes(data, chance)
            elif way < 0.5:
                data = _line(data, chance)
            else:
                data = _word(data, chance.choice(known), chance)
        return data[:most]

    return changed


def _bytes(data: bytes, chance: random.Random) -> bytes:
    """Change, take away, double or insert a few bytes."""
    at = chance.randint(0, len(data))
    to = min(len(data), at + chance.choice((0, 1, 1, 1, 2, 4, 8, 32)))
    new = chance.choice((b"", data[at:to] * 2, chance.randbytes(to - at or 1), bytes([chance.choice(ODD)])))
    return data[:at] + new + data[to:]


def _word(data: bytes, word: bytes, chance: random.Random) -> bytes:
    places = list(TOKEN.finditer(data, 1))
    if not places:
        return data + word
    place = chance.choice(places)
    return data[: place.start()] + word + data[place.end() if chance.random() < 0.8 else place.start() :]


def _line(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
    line = lines[at] if chance.random() < 0.5 else lines.pop(at)
    if chance.random() < 0.7:
        lines.insert(to, line)
    return b"\n".join(lines)


def fuzz(name: str, folder: Path, seconds: int) -> None:
    """Fuzz until the time is over or something is found; never returns."""
    import atheris

    subject = SUBJECTS[name]
    corpus = folder / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(subject.seeds()):
        (corpus / f"seed-{i}").write_bytes(seed)
    with atheris.instrument_imports(include=["ipsync"]):
        one = subject.harness(Counts(folder / "counts.json"))
    options = {
        "max_total_time": seconds,
        "max_len": LONGEST,
        "timeout": 20,
        "rss_limit_mb": 2048,
        "reduce_inputs": 0,
        "print_final_stats": 1,
        "artifact_prefix": f"{folder}/",
    }
    arguments = [sys.argv[0], str(corpus), *(f"-{key}={value}" for key, value in options.items())]
    atheris.Setup(arguments, one, custom_mutator=mutator(subject))
    atheris.Fuzz()


# ── the table ────────────────────────────────────────────────────────────────


def rows(seconds: int) -> list[Row]:
    """Fuzz both, side by side, for so many seconds; judged against the promised time where that long was asked for."""
    if importlib.util.find_spec("atheris") is None:
        return [Row(subject.what, 0, MISSING, _to_reach(seconds), ok=False) for subject in SUBJECTS.values()]
    with tempfile.TemporaryDirectory(prefix="ipsync-proof-") as place:
        running = [_Child(name, Path(place) / name, seconds) for name in SUBJECTS]
        return [row for child in running for row in child.rows()]


def _to_reach(seconds: int) -> str:
    return f"{min(seconds, TO_REACH)} s each, nothing found"


class _Child:
    """A fuzzer in a process of its own."""

    def __init__(self, name: str, folder: Path, seconds: int) -> None:
        folder.mkdir()
        self.name, self.folder, self.seconds = name, folder, seconds
        self.log = folder / "log"
        command = [sys.executable, "-m", "proof.fuzz", name, str(folder), str(seconds)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def rows(self) -> list[Row]:
        """Wait for its end and tell what came of it."""
        code = self.process.wait()
        said = self.log.read_text(errors="replace")
        runs = _last(r"stat::number_of_executed_units:\s+(\d+)|^#(\d+)\t", said)
        counted = self.folder / "counts.json"
        accepted = json.loads(counted.read_text())["accepted"] if counted.exists() else 0
        covered = _last(r"cov: (\d+)", said)
        reached = f"{self.seconds} s, {accepted:,} accepted, coverage {covered:,}, "
        found = [] if code == 0 else [Row("  FOUND", 1, text) for text in self._finds(said)]
        reached += "nothing found" if code == 0 else "something found"
        return [Row(SUBJECTS[self.name].what, runs, reached, _to_reach(self.seconds), code == 0), *found]

    def _finds(self, said: str) -> list[str]:
        told = [line for line in said.splitlines() if re.match(r"[\w.]*(?:Error|Find|Exception)\b|SUMMARY", line)]
        inputs = [f"with the bytes {p.read_bytes()!r}" for p in self.folder.glob("*-*") if p.is_file()]
        return [text[:2000] for text in told[:2] + inputs] or [said[-500:]]


def _last(pattern: str, said: str) -> int:
    numbers = [
        next(n for n in match if n) if isinstance(match, tuple) else match
        for match in re.findall(pattern, said, re.MULTILINE)
    ]
    return int(numbers[-1]) if numbers else 0


if __name__ == "__main__":
    fuzz(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
