"""Small runs, where the start is most of the cost: whole processes beside a bare script that reads the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from bench.processes import IPSYNC, Cost, cost, fastest, floor
from bench.stage import ADDRESSES, Stage, stage, sync
from bench.table import Row, at_most, ratio
from ipsync.app import now
from ipsync.audit import AuditLog
from ipsync.core.contents import Contents, OwnedEntry
from ipsync.core.events import Intent


def rows(*, quick: bool) -> Iterator[Row]:
    """Yield what small runs cost."""
    rounds = 3 if quick else 11
    for measure in (one_group, fifty_groups, gcp_rules):
        with stage() as clouds:
            yield from measure(clouds, rounds)
    with stage() as clouds:
        yield from five_and_five(clouds)
    with stage() as clouds:
        yield from small_commands(clouds, rounds)


def one_group(clouds: Stage, rounds: int) -> Iterator[Row]:
    """No-op sync of one group × 20 addresses, whole process, against the floor."""
    yield from _no_op(clouds, 1, rounds)


def fifty_groups(clouds: Stage, rounds: int) -> Iterator[Row]:
    """No-op of 50 groups in one region."""
    yield from _no_op(clouds, 50, rounds)


def _no_op(clouds: Stage, groups: int, rounds: int) -> Iterator[Row]:
    config = clouds.config("no-op", clouds.groups(groups))
    cost(sync(config))
    bare, ours = fastest(floor("describe", clouds.aws.endpoint_url), sync(config), rounds=rounds)
    what = f"no-op, {groups} group{'s' * (groups > 1)} × 20, beside bare boto3"
    yield from _ratios(what, bare, ours, wall=1.0, memory=1.0)
    yield _calls(clouds, sync(config), what.partition(", beside")[0], reads=1, writes=0)


def five_and_five(clouds: Stage) -> Iterator[Row]:
    """Five added and five removed, without grace."""
    config = clouds.config("swap", clouds.groups(1), grace="0s")
    cost(sync(config))
    clouds.feed.addresses = [*ADDRESSES[5:], *(f"9.9.{i}.{i}" for i in range(1, 6))]
    yield _calls(clouds, sync(config), "5 added + 5 removed", reads=4, writes=2)


def gcp_rules(clouds: Stage, rounds: int) -> Iterator[Row]:
    """No-op of 20 GCP rules in one project, and what is imported for it."""
    targets = "".join(
        f"  - {{name: r{i}, kind: gcp-firewall, feed: qatech, project: bench-project, "
        f"rule: allow-{i:02d}x, ports: [443/tcp]}}\n"
        for i in range(20)
    )
    config = clouds.config("gcp", targets)
    cost(sync(config))
    bare, ours = fastest([sys.executable, "-c", "import google.cloud.compute_v1"], sync(config), rounds=rounds)
    yield from _ratios("no-op, 20 GCP rules, beside the library's import", bare, ours, wall=0.65, memory=None)
    clouds.gcp.reset_calls()
    cost(sync(config))
    calls = [c.operation for c in clouds.gcp.calls]
    yield Row("no-op, 20 GCP rules: calls", ", ".join(calls), "1 list", len(calls) == 1)
    aws = clouds.config("aws-only", clouds.groups(1))
    yield _imports("GCP-only run imports boto3", config, "boto3")
    yield _imports("AWS-only run imports google.cloud", aws, "google.cloud")


def small_commands(clouds: Stage, rounds: int) -> Iterator[Row]:
    """Commands that touch no cloud, in seconds, since there is no floor for them."""
    log = clouds.folder / "long.jsonl"
    _write_log(log, 10_000)
    (version,) = fastest([*IPSYNC, "--version"], rounds=rounds)
    (verify,) = fastest([*IPSYNC, "audit", "verify", "--path", str(log)], rounds=rounds)
    yield at_most("ipsync --version", version.seconds, 0.25, unit="s")
    yield at_most("audit verify, 10,000 records", verify.seconds, 0.6, unit="s")


def _ratios(what: str, bare: Cost, ours: Cost, *, wall: float, memory: float | None) -> Iterator[Row]:
    yield ratio(f"{what}: wall", ours.seconds, bare.seconds, most=wall)
    yield ratio(f"{what}: CPU", ours.cpu, bare.cpu, most=None)
    yield ratio(f"{what}: memory", ours.mib, bare.mib, most=memory, unit="MiB")


def _calls(clouds: Stage, command: list[str], what: str, *, reads: int, writes: int) -> Row:
    clouds.aws.reset_calls()
    cost(command)
    made = clouds.aws.calls_made
    ok = made.reads <= reads and made.writes <= writes
    return Row(f"{what}: calls", f"{made.reads} reads, {made.writes} writes", f"≤ {reads}, ≤ {writes}", ok)


def _imports(what: str, config: Path, module: str) -> Row:
    code = (
        "import sys\nfrom ipsync.cli import main\nsys.argv = ['ipsync', 'sync', '-c', sys.argv[1]]\n"
        f"try:\n    main()\nfinally:\n    sys.stderr.write('LOADED' if {module!r} in sys.modules else '')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(config)], capture_output=True, text=True, check=True)
    loaded = "LOADED" in done.stderr
    return Row(what, "yes" if loaded else "no", "no", not loaded)


def _write_log(path: Path, records: int) -> None:
    with (
        patch("os.fsync"),  # only this file's making is hurried, never the measured reading
        AuditLog.open(path, owner="bench", actor="bench", run="bench", clock=now) as audit_log,
    ):
        for i in range(records):
            after = Contents((OwnedEntry(f"8.8.8.{i % 250}/32"),))
            audit_log.record(Intent(resource="aws/1/r/sg-1", kind="add", target="web", before=Contents(), after=after))
