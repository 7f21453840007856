"""Measure whole processes, alternating floor and ipsync, and print what was reached beside what is to reach."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import changes
from ipsync.app import now
from ipsync.audit import AuditLog
from ipsync.core.contents import Contents, OwnedEntry
from ipsync.core.events import Intent
from ipsync.sandbox.aws.cloud import AwsCloud
from ipsync.sandbox.feed import FeedServer
from ipsync.sandbox.gcp.cloud import GcpCloud

ROUNDS = 11
REGION = "eu-north-1"
IPSYNC = [sys.executable, "-m", "ipsync"]
ADDRESSES = [f"8.8.{i}.{i + 1}" for i in range(20)]


@dataclass(frozen=True, slots=True)
class Cost:
    """One process: wall seconds, and peak resident memory in MiB."""

    seconds: float
    mib: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `ok` is None where nothing was promised."""

    what: str
    reached: str
    to_reach: str
    ok: bool | None


def cost(command: Sequence[str], *, codes: Sequence[int] = (0,)) -> Cost:
    """Run a process to its end; any other exit code than `codes` ends the benchmark."""
    launcher = [sys.executable, "-S", str(Path(__file__).with_name("child.py"))]
    done = subprocess.run([*launcher, *command], capture_output=True, text=True, check=True)
    seconds, mib, code = done.stdout.split()
    if int(code) not in codes:
        raise SystemExit(f"{' '.join(command)} exited with {code}:\n{done.stderr}")
    return Cost(float(seconds), float(mib))


def fastest(*commands: Sequence[str]) -> list[Cost]:
    """Run the commands in turns, so that they share the machine's moods; keep each one's best time and memory."""
    found: list[list[Cost]] = [[] for _ in commands]
    for _ in range(ROUNDS):
        for costs, command in zip(found, commands, strict=True):
            costs.append(cost(command))
    return [Cost(min(c.seconds for c in costs), min(c.mib for c in costs)) for costs in found]


# ── the stages ───────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Clouds:
    """The embedded clouds and a folder for configs."""

    aws: AwsCloud
    gcp: GcpCloud
    feed: FeedServer
    folder: Path

    def config(self, name: str, targets: str, *, grace: str = "72h") -> Path:
        """Write a config with these targets."""
        path = self.folder / f"{name}.yaml"
        path.write_text(
            f"version: 1\nowner: bench\nfeeds: {{qatech: {{url: '{self.feed.url}'}}}}\nremoval: {{grace: {grace}}}\n"
            f"audit: {{path: '{self.folder}/{name}.jsonl'}}\naws: {{endpoint_url: '{self.aws.endpoint_url}'}}\n"
            f"gcp: {{endpoint: '{self.gcp.endpoint}'}}\ntargets:\n{targets}"
        )
        return path

    def groups(self, count: int) -> str:
        """Make groups and return a target that names them."""
        ids = ", ".join(self.aws.make_group(f"bench-{i}", region=REGION) for i in range(count))
        return (
            f"  - {{name: web, kind: aws-security-group, feed: qatech, region: {REGION}, "
            f"groups: [{ids}], ports: [443/tcp]}}\n"
        )


@contextmanager
def clouds() -> Iterator[Clouds]:
    """Start everything on free loopback ports."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        aws, gcp = stack.enter_context(AwsCloud()), stack.enter_context(GcpCloud())
        feed = stack.enter_context(FeedServer(ADDRESSES))
        os.environ.update({k: v for k, v in aws.environment().items() if k != "AWS_ENDPOINT_URL"})
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # made by each stage's first run, which isn't measured
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # users have bytecode; so have both that are measured
        yield Clouds(aws, gcp, feed, folder)


def sync(config: Path) -> list[str]:
    """Return the command under test."""
    return [*IPSYNC, "sync", "-c", str(config)]


# ── the measurements ─────────────────────────────────────────────────────────


def one_group(stage: Clouds) -> Iterator[Row]:
    """No-op sync of one group × 20 addresses, whole process, against the floor."""
    config = stage.config("one", stage.groups(1))
    cost(sync(config))
    floor, ours = fastest(floor_command(stage), sync(config))
    yield from _ratios("no-op, 1 group × 20", floor, ours, wall=1.0, memory=1.0)
    yield _calls(stage, sync(config), "no-op, 1 group × 20", reads=1, writes=0)
    stage.aws.reset_calls()


def five_and_five(stage: Clouds) -> Iterator[Row]:
    """Five added and five removed, without grace."""
    config = stage.config("swap", stage.groups(1), grace="0s")
    cost(sync(config))
    stage.feed.addresses = [*ADDRESSES[5:], *(f"9.9.{i}.{i}" for i in range(1, 6))]
    yield _calls(stage, sync(config), "5 added + 5 removed", reads=4, writes=2)
    stage.feed.addresses = ADDRESSES


def fifty_groups(stage: Clouds) -> Iterator[Row]:
    """No-op of 50 groups in one region."""
    config = stage.config("fifty", stage.groups(50))
    cost(sync(config))
    floor, ours = fastest(floor_command(stage), sync(config))
    yield from _ratios("no-op, 50 groups × 20", floor, ours, wall=1.0, memory=1.0)
    yield _calls(stage, sync(config), "no-op, 50 groups × 20", reads=1, writes=0)


def twenty_rules(stage: Clouds) -> Iterator[Row]:
    """No-op of 20 GCP rules in one project, and what is imported for it."""
    targets = "".join(
        f"  - {{name: r{i}, kind: gcp-firewall, feed: qatech, project: bench-project, "
        f"rule: allow-{i:02d}x, ports: [443/tcp]}}\n"
        for i in range(20)
    )
    config = stage.config("gcp", targets)
    cost(sync(config))
    floor, ours = fastest([sys.executable, "-c", "import google.cloud.compute_v1"], sync(config))
    yield from _ratios("no-op, 20 GCP rules, to a bare import", floor, ours, wall=0.65, memory=None)
    stage.gcp.reset_calls()
    cost(sync(config))
    calls = [c.operation for c in stage.gcp.calls]
    yield Row("no-op, 20 GCP rules: calls", ", ".join(calls), "1 list", len(calls) == 1)
    aws = stage.config("aws-only", stage.groups(1))
    yield _imports("GCP-only run imports boto3", config, "boto3")
    yield _imports("AWS-only run imports google.cloud", aws, "google.cloud")


def small_commands(stage: Clouds) -> Iterator[Row]:
    """Commands that touch no cloud, in seconds, since there is no floor for them."""
    log = stage.folder / "long.jsonl"
    _write_log(log, 10_000)
    (version,) = fastest([*IPSYNC, "--version"])
    (verify,) = fastest([*IPSYNC, "audit", "verify", "--path", str(log)])
    yield Row("ipsync --version", f"{version.seconds:.2f} s", "≤ 0.25 s", version.seconds <= 0.25)
    yield Row("audit verify, 10,000 records", f"{verify.seconds:.2f} s", "≤ 0.6 s", verify.seconds <= 0.6)


def floor_command(stage: Clouds) -> list[str]:
    """Return the floor's command."""
    return [sys.executable, str(Path(__file__).with_name("floor.py")), stage.aws.endpoint_url]


def _ratios(what: str, floor: Cost, ours: Cost, *, wall: float, memory: float | None) -> Iterator[Row]:
    ratio = ours.seconds / floor.seconds
    shown = f"{ratio:.2f} × ({ours.seconds:.2f} s / {floor.seconds:.2f} s)"
    yield Row(f"{what}: wall", shown, f"≤ {wall} ×", ratio <= wall)
    more = ours.mib / floor.mib
    shown = f"{more:.2f} × ({ours.mib:.0f} MiB / {floor.mib:.0f} MiB)"
    promised = f"≤ {memory} ×" if memory else "–"
    yield Row(f"{what}: memory", shown, promised, more <= memory if memory else None)


def _calls(stage: Clouds, command: list[str], what: str, *, reads: int, writes: int) -> Row:
    stage.aws.reset_calls()
    cost(command)
    made = stage.aws.calls_made
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
    original, os.fsync = os.fsync, lambda _fd: None  # only this file's making is hurried, never the measured reading
    try:
        with AuditLog.open(path, owner="bench", actor="bench", run="bench", clock=now) as audit_log:
            for i in range(records):
                after = Contents((OwnedEntry(f"8.8.8.{i % 250}/32"),))
                audit_log.record(
                    Intent(resource="aws/1/r/sg-1", kind="add", target="web", before=Contents(), after=after)
                )
    finally:
        os.fsync = original


def main() -> int:
    """Print the table; exit with 1 when something promised was not reached."""
    measurements: list[Callable[[Clouds], Iterator[Row]]] = [
        *(one_group, five_and_five, fifty_groups, twenty_rules, small_commands),
        *(
            lambda stage, measure=each: (Row(*row) for row in measure(stage, cost))
            for each in (changes.swaps, changes.thousand)
        ),
    ]
    rows: list[Row] = []
    for measure in measurements:
        with clouds() as stage:
            for row in measure(stage):
                rows.append(row)
                mark = {True: "ok", False: "MISSED", None: ""}[row.ok]
                print(f"{row.what:<46} {row.reached:<40} {row.to_reach:<12} {mark}", flush=True)
    return 1 if any(r.ok is False for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
