"""Many GCP projects: calls a second and memory beside a bare loop over google-cloud-compute."""

from __future__ import annotations

import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.processes import Cost, best, cost, floor
from bench.scale import LATENCY, THREADS
from bench.servers import Canned
from bench.stage import surroundings, sync
from bench.table import Row, at_most, ratio
from ipsync.sandbox.feed import FeedServer
from ipsync.sandbox.gcp.cloud import GcpCloud

RULES = 20
ADDRESSES = [f"8.8.{i}.{i + 1}" for i in range(50)]
FIRST = "bench-0001"


def rows(*, quick: bool) -> Iterator[Row]:
    """Yield what a no-op over many projects costs."""
    projects = 20 if quick else 200
    with tempfile.TemporaryDirectory() as folder, FeedServer(ADDRESSES) as feed:
        surroundings(Path(folder), {})
        answer = _answer(Path(folder), feed)
        with Canned("gcp", answer, FIRST, LATENCY) as canned:
            config = _config(Path(folder), feed, canned.url, [f"bench-{n:04d}" for n in range(1, projects + 1)])
            bare, ours = _measured(canned, config, projects, 1 if quick else 5)
    what = f"no-op, {projects} GCP projects × {RULES} × {len(ADDRESSES)}"
    fast, least = projects / ours.seconds, projects / bare.seconds
    shown = f"{fast / least:.2f} × ({fast:.0f}/s / {least:.0f}/s)"
    yield Row(f"{what}: calls a second, beside the library's", shown, "≥ 0.9 ×", fast / least >= 0.9)
    yield ratio(f"{what}: CPU", ours.cpu, bare.cpu, most=None)
    yield at_most(f"{what}: memory", ours.mib, 350, unit="MiB", note=f" (floor {bare.mib:.0f})")


def _measured(canned: Canned, config: Path, projects: int, rounds: int) -> tuple[Cost, Cost]:
    canned.calls()
    floors, ours = [], []
    for _ in range(rounds):
        floors.append(cost(floor("many_projects", canned.url, str(projects), str(THREADS))))
        same = canned.calls()
        ours.append(cost(sync(config)))
        if (made := canned.calls()) != same:
            raise SystemExit(f"the floor made other calls than ipsync: {same}, {made}")
    return best(floors), best(ours)


def _answer(folder: Path, feed: FeedServer) -> Path:
    """Let ipsync fill one project of the embedded cloud, and keep what that answers to a list."""
    path = folder / "answer.json"
    with GcpCloud() as gcp:
        cost(sync(_config(folder, feed, gcp.endpoint, [FIRST])))
        with urllib.request.urlopen(f"{gcp.endpoint}/compute/v1/projects/{FIRST}/global/firewalls") as answer:
            path.write_bytes(answer.read())
    return path


def _config(folder: Path, feed: FeedServer, endpoint: str, projects: Sequence[str]) -> Path:
    targets = "".join(
        f"  - {{name: r{i}, kind: gcp-firewall, feed: qatech, projects: [{', '.join(projects)}], "
        f"rule: allow-{i:02d}x, ports: [443/tcp]}}\n"
        for i in range(RULES)
    )
    path = folder / f"{len(projects)}.yaml"
    path.write_text(
        f"version: 1\nowner: bench\nfeeds: {{qatech: {{url: '{feed.url}'}}}}\nguards: {{max-additions: {{count: 100, percent: 100}}}}\n"
        f"audit: {{path: '{folder}/{len(projects)}.jsonl'}}\ngcp: {{endpoint: '{endpoint}'}}\ntargets:\n{targets}"
    )
    return path
