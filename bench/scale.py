"""Many accounts, and many groups in one: time and memory beside a bare loop over botocore that makes the same reads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Cost, best, cost, floor
from bench.servers import Canned
from bench.stage import ADDRESSES, surroundings, sync
from bench.table import Row, at_most, ratio
from ipsync.sandbox.feed import FeedServer

LATENCY = 0.02
THREADS = 32
GROUPS = 20
MOST_LINES = 12
"""The report of a no-op, and a line of the log for each stage that takes long."""
KEYS = {"AWS_ACCESS_KEY_ID": "AKIACANN000000000000", "AWS_SECRET_ACCESS_KEY": "s" * 40}


@dataclass(frozen=True, slots=True)
class Growth:
    """What a number of scopes costs: the bare loop, and ipsync."""

    scopes: int
    floor: Cost
    ours: Cost


GROWN: list[Growth] = []
"""What this run measured, for the plot."""


def rows(*, quick: bool) -> Iterator[Row]:
    """Yield what growth costs."""
    grown = growth((10, 50) if quick else (10, 100, 1000))
    GROWN[:] = grown
    for one in grown:
        yield from _beside(
            f"no-op, {one.scopes:,} accounts × {GROUPS} × 20", one, most=1.0 if one is grown[-1] else None
        )
    yield from _linear(grown)
    yield from one_scope(groups=500 if quick else 10_000)


def growth(counts: tuple[int, ...], *, rounds: int = 1) -> list[Growth]:
    """Measure a no-op over so many accounts, in turns with its floor."""
    with _cloud(GROUPS, LATENCY) as (canned, feed, folder):
        cost(sync(_config(folder, canned, feed, 1)))  # makes the cache of small models
        return [_measured(canned, feed, folder, n, rounds if n < 1000 else 1) for n in counts]


def _measured(canned: Canned, feed: FeedServer, folder: Path, scopes: int, rounds: int) -> Growth:
    config = _config(folder, canned, feed, scopes)
    canned.calls()
    floors, ours = [], []
    for _ in range(rounds):
        floors.append(cost(floor("many_accounts", canned.url, str(scopes), str(THREADS))))
        same = canned.calls()
        ours.append(cost(sync(config)))
        made = canned.calls()
        if made != same:
            raise SystemExit(f"the floor made other calls than ipsync: {same}, {made}")
    return Growth(scopes, best(floors), best(ours))


def _beside(what: str, one: Growth, *, most: float | None) -> Iterator[Row]:
    yield ratio(f"{what}: wall", one.ours.seconds, one.floor.seconds, most=most)
    yield ratio(f"{what}: CPU", one.ours.cpu, one.floor.cpu, most=None)
    yield ratio(f"{what}: memory", one.ours.mib, one.floor.mib, most=None, unit="MiB")
    printed = len(one.ours.printed.splitlines())
    yield Row(f"{what}: lines printed", f"{printed}", f"≤ {MOST_LINES}", printed <= MOST_LINES)


def _linear(grown: list[Growth]) -> Iterator[Row]:
    """Time that grows as the scopes do, memory that doesn't."""
    before, last = grown[-2:]
    yield at_most(f"memory of {last.scopes:,} accounts", last.ours.mib, 300, unit="MiB")
    what = f"{last.scopes:,} beside {before.scopes:,} accounts"
    yield ratio(f"{what}: memory", last.ours.mib, before.ours.mib, most=1.2, unit="MiB")
    each, of = (1000 * g.ours.seconds / g.scopes for g in (last, before))
    yield ratio(f"{what}: time an account", each, of, most=1.1, unit="ms")


def one_scope(*, groups: int) -> Iterator[Row]:
    """Many groups in one account: what reading and comparing costs, without a network to wait for."""
    with _cloud(groups, 0) as (canned, feed, folder):
        one = _measured(canned, feed, folder, 1, 1)
    what = f"no-op, 1 account × {groups:,} groups × 20"
    yield ratio(f"{what}: wall, beside botocore's parser", one.ours.seconds, one.floor.seconds, most=0.5)
    yield ratio(f"{what}: memory", one.ours.mib, one.floor.mib, most=None, unit="MiB")


@contextmanager
def _cloud(groups: int, latency: float) -> Iterator[tuple[Canned, FeedServer, Path]]:
    with (
        Canned("aws", groups, latency, *ADDRESSES) as canned,
        FeedServer(ADDRESSES) as feed,
        tempfile.TemporaryDirectory() as folder,
    ):
        surroundings(Path(folder), KEYS)
        yield canned, feed, Path(folder)


def _config(folder: Path, canned: Canned, feed: FeedServer, scopes: int) -> Path:
    accounts = "".join(f"      - {{role_arn: 'arn:aws:iam::{n:012d}:role/ipsync'}}\n" for n in range(1, scopes + 1))
    path = folder / f"{scopes}.yaml"
    path.write_text(
        f"version: 1\nowner: bench\nfeeds: {{qatech: {{url: '{feed.url}'}}}}\n"
        f"audit: {{path: '{folder}/{scopes}.jsonl'}}\naws: {{endpoint_url: '{canned.url}'}}\ntargets:\n"
        "  - name: web\n    kind: aws-security-group\n    feed: qatech\n    region: eu-north-1\n"
        "    match: {tags: {allow-qatech: 'true'}}\n    ports: [443/tcp]\n"
        f"    accounts:\n{accounts}"
    )
    return path
