"""Changes of many groups beside the least that they take: a hand-written script's time, or what the throttle lets through.

The cloud throttles as EC2 does: 50 at once and 5 a second, each action that writes for itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.processes import cost
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
        with stage() as made:
            yield from measure(made)


def swaps(made: Stage) -> Iterator[Row]:
    """Five added and five removed in each of 50 groups, beside a script that does no more than that.

    Each has groups of its own; they take turns, there and back.
    """
    ours, theirs = made.groups(50), ",".join(made.aws.make_group(f"script-{i}") for i in range(50))
    commands = {
        "ours": [sys.executable, "-m", "ipsync", "sync", "-c", str(made.config("swaps", ours, grace="0s"))],
        "script": [sys.executable, str(Path(__file__).with_name("script.py")), made.aws.endpoint_url],
    }
    best: dict[str, tuple[float, int]] = {}
    for number in range(ROUNDS + 1):
        made.feed.addresses = wanted = (OLD, NEW)[number % 2]
        for who, command in commands.items():
            more = [] if who == "ours" else [",".join(f"{address}/32" for address in wanted), theirs]
            found = _measured(made, [*command, *more])
            if number:  # the first fills the groups
                best[who] = min(best.get(who, found), found)
    made.feed.addresses = OLD
    (seconds, calls), (floor, fewest) = best["ours"], best["script"]
    shown = f"{seconds / floor:.2f} × ({seconds:.2f} s / {floor:.2f} s)"
    yield Row("5 + 5 in 50 groups, beside a script: wall", shown, "≤ 1.5 ×", seconds / floor <= 1.5)
    yield Row("5 + 5 in 50 groups: calls", f"{calls} ({fewest} of the script)", "≤ 3 more", calls <= fewest + 3)


def thousand(made: Stage) -> Iterator[Row]:
    """Five added in each of 1,000 groups of one account's region, beside what the throttle lets through."""
    made.feed.addresses = OLD[:5]
    config = made.config("thousand", made.groups(1000), grace="72h")
    command = [sys.executable, "-m", "ipsync", "sync", "-c", str(config)]
    cost(command)
    made.feed.addresses = [*OLD[:5], *NEW[-5:]]
    seconds, calls = _measured(made, command)
    made = [c.operation for c in made.aws.calls]
    made.feed.addresses = OLD
    floor, fewest = (1000 - BURST) / RATE, 1000 + 1000 * 5 // 1000
    ratio, more = seconds / floor, calls / fewest - 1
    shown = f"{ratio:.2f} × ({seconds:.0f} s / {floor:.0f} s)"
    yield Row("5 more in 1,000 groups: wall, to the throttle's floor", shown, "≤ 1.1 ×", ratio <= 1.1)
    yield Row("5 more in 1,000 groups: calls", f"{calls} ({fewest} are the fewest)", "≤ 5 % more", more <= 0.05)
    lost = made.count(WRITES[0]) - 1000
    yield Row("5 more in 1,000 groups: throttled", str(lost), "0", lost == 0)


def _measured(made: Stage, command: Sequence[str]) -> tuple[float, int]:
    for action in WRITES:
        made.aws.throttle(action, burst=BURST, refill=RATE)
    made.aws.reset_calls()
    return cost(command).seconds, len(made.aws.calls)
