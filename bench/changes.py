"""Changes of many groups beside the least that they take: a hand-written script's time, or what the throttle lets through.

The cloud throttles as EC2 does: 50 at once and 5 a second, each action that writes for itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from bench.processes import cost, floor
from bench.stage import Stage, stage
from bench.table import Row

BURST, RATE = 50, 5
WRITES = ("AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress")
ROUNDS = 2
OLD = [f"8.8.{i}.{i + 1}" for i in range(20)]
NEW = [*OLD[5:], *(f"9.9.{i}.{i}" for i in range(1, 6))]


def rows(*, quick: bool) -> Iterator[Row]:
    """Measure both, each on clouds of its own; the second takes minutes, and so isn't part of a quick run."""
    for measure in (swaps,) if quick else (swaps, thousand):
        with stage() as clouds:
            yield from measure(clouds)


def swaps(clouds: Stage) -> Iterator[Row]:
    """Five added and five removed in each of 50 groups, beside a script that does no more than that.

    Each has groups of its own; they take turns, there and back.
    """
    ours, theirs = clouds.groups(50), ",".join(clouds.aws.make_group(f"script-{i}") for i in range(50))
    commands = {
        "ours": [sys.executable, "-m", "ipsync", "sync", "-c", str(clouds.config("swaps", ours, grace="0s"))],
        "script": floor("changes", clouds.aws.endpoint_url),
    }
    best: dict[str, tuple[float, int]] = {}
    for number in range(ROUNDS + 1):
        clouds.feed.addresses = wanted = (OLD, NEW)[number % 2]
        for who, command in commands.items():
            more = [] if who == "ours" else [",".join(f"{address}/32" for address in wanted), theirs]
            found = _measured(clouds, [*command, *more])
            if number:  # the first fills the groups
                best[who] = min(best.get(who, found), found)
    clouds.feed.addresses = OLD
    (seconds, calls), (least, fewest) = best["ours"], best["script"]
    shown = f"{seconds / least:.2f} × ({seconds:.2f} s / {least:.2f} s)"
    yield Row("5 + 5 in 50 groups, beside a script: wall", shown, "≤ 1.5 ×", seconds / least <= 1.5)
    yield Row("5 + 5 in 50 groups: calls", f"{calls} ({fewest} of the script)", "≤ 3 more", calls <= fewest + 3)


def thousand(clouds: Stage) -> Iterator[Row]:
    """Five added in each of 1,000 groups of one account's region, beside what the throttle lets through."""
    clouds.feed.addresses = OLD[:5]
    config = clouds.config("thousand", clouds.groups(1000), grace="72h")
    command = [sys.executable, "-m", "ipsync", "sync", "-c", str(config)]
    cost(command)
    clouds.feed.addresses = [*OLD[:5], *NEW[-5:]]
    seconds, calls = _measured(clouds, command)
    sent = [c.operation for c in clouds.aws.calls]
    clouds.feed.addresses = OLD
    least, fewest = (1000 - BURST) / RATE, 1000 + 1000 * 5 // 1000
    ratio, more = seconds / least, calls / fewest - 1
    shown = f"{ratio:.2f} × ({seconds:.0f} s / {least:.0f} s)"
    yield Row("5 more in 1,000 groups: wall, to the throttle's floor", shown, "≤ 1.1 ×", ratio <= 1.1)
    yield Row("5 more in 1,000 groups: calls", f"{calls} ({fewest} are the fewest)", "≤ 5 % more", more <= 0.05)
    lost = sent.count(WRITES[0]) - 1000
    yield Row("5 more in 1,000 groups: throttled", str(lost), "0", lost == 0)


def _measured(clouds: Stage, command: Sequence[str]) -> tuple[float, int]:
    for action in WRITES:
        clouds.aws.throttle(action, burst=BURST, refill=RATE)
    clouds.aws.reset_calls()
    return cost(command).seconds, len(clouds.aws.calls)
