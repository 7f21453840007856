"""Measures whole processes: wall seconds, CPU seconds and peak memory, in turns, so that they share the machine's moods."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

IPSYNC = [sys.executable, "-m", "ipsync"]
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Cost:
    """One process: wall and CPU seconds, peak resident memory in MiB, and how much it printed."""

    seconds: float
    cpu: float
    mib: float
    printed: str = ""


def cost(command: Sequence[str], *, codes: Sequence[int] = (0,), env: Mapping[str, str] | None = None) -> Cost:
    """Run a process to its end; any other exit code than `codes` ends the benchmark."""
    launcher = [sys.executable, "-S", str(HERE / "child.py")]
    done = subprocess.run([*launcher, *command], capture_output=True, text=True, check=True, env=env)
    seconds, cpu, mib, code = done.stdout.split()
    if int(code) not in codes:
        raise SystemExit(f"{' '.join(command)} exited with {code}:\n{done.stderr}")
    return Cost(float(seconds), float(cpu), float(mib), done.stderr)


def fastest(*commands: Sequence[str], rounds: int, env: Mapping[str, str] | None = None) -> list[Cost]:
    """Run the commands in turns; keep each one's best of everything."""
    found: list[list[Cost]] = [[] for _ in commands]
    for _ in range(rounds):
        for costs, command in zip(found, commands, strict=True):
            costs.append(cost(command, env=env))
    return [best(costs) for costs in found]


def best(costs: Sequence[Cost]) -> Cost:
    """Return the least of each figure: noise only ever adds."""
    return Cost(min(c.seconds for c in costs), min(c.cpu for c in costs), min(c.mib for c in costs), costs[-1].printed)


def floor(name: str, *arguments: str) -> list[str]:
    """Return the command of a floor: the least that any tool must do for the same."""
    return [sys.executable, str(HERE / "floors" / f"{name}.py"), *arguments]
