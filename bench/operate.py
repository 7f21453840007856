"""`ipsync run` over time: what it costs at rest, whether memory grows, and how soon its page answers during passes.

Each is a real process against the embedded clouds; what a config can't ask for (a pass right after the other) is set inside it.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

from bench.stage import Stage, stage
from bench.table import Row

PASSES = 1000
WARM = 10
REST = 60.0
ASKED = 400
UNCEASING = """
from ipsync import daemon
from ipsync.cli import main
daemon.SteadyJob.should_run = True
daemon._Loop.left = 0.0
main()
"""
"""`ipsync run` with one pass after the other; a config can't ask for that."""


class Worker:
    """A process of `ipsync run`, its page, and what the kernel says of it."""

    def __init__(self, config: Path, *, program: Sequence[str]) -> None:
        self._said = config.with_suffix(".stderr")
        with self._said.open("w") as said:
            command = [sys.executable, *program, "run", "-c", str(config)]
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        self.url = self._url()

    def _url(self) -> str:
        while not (found := re.search(r"health are at (\S+)", self._said.read_text())):
            self._alive()
            time.sleep(0.05)
        return found[1]

    def _alive(self) -> None:
        if self.process.poll() is not None:
            raise SystemExit(f"ipsync run ended:\n{self._said.read_text()}")

    def passes(self) -> int:
        """Return how many passes are over."""
        self._alive()
        with urllib.request.urlopen(f"{self.url}metrics", timeout=60) as answer:
            text = answer.read().decode()
        return sum(int(float(n)) for n in re.findall(r"^ipsync_sync_total\{.*\} (\S+)$", text, re.MULTILINE))

    def until(self, passes: int) -> None:
        """Wait until so many are over."""
        while self.passes() < passes:
            time.sleep(0.1)

    def cpu(self) -> float:
        """Return the seconds that its threads were on a processor."""
        stats = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9

    def mib(self) -> float:
        """Return its resident memory."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0


@contextmanager
def running(config: Path, *, every: str = "1h", program: Sequence[str] = ("-m", "ipsync")) -> Iterator[Worker]:
    """Keep one up."""
    config.write_text(f"{config.read_text()}listen: 127.0.0.1:0\nschedule: {{every: {every}, jitter: 0s}}\n")
    worker = Worker(config, program=program)
    try:
        yield worker
    finally:
        worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(timeout=60)


def at_rest(clouds: Stage, *, seconds: float) -> Row:
    """Between two passes, with the web server up."""
    with running(clouds.config("rest", clouds.groups(1))) as worker:
        worker.until(1)
        time.sleep(2)
        before = worker.cpu()
        time.sleep(seconds)
        share = (worker.cpu() - before) / seconds
    return Row("ipsync run at rest: CPU", f"{share:.3%} of a core over {seconds:.0f} s", "≤ 0.1 %", share <= 0.001)


def memory(clouds: Stage, *, passes: int) -> Row:
    """Each pass adds and removes: the feed changes all the while."""
    config, over = clouds.config("long", clouds.groups(1), grace="0s"), Event()
    Thread(target=_changing, args=(clouds, over), daemon=True).start()
    try:
        with running(config, program=("-c", UNCEASING)) as worker:
            worker.until(WARM)
            early = worker.mib()
            worker.until(passes)
            late = worker.mib()
    finally:
        over.set()
    what = f"ipsync run after {passes:,} passes: memory to after {WARM}"
    return Row(what, f"{late / early:.3f} × ({late:.1f} MiB / {early:.1f} MiB)", "≤ 1.05 ×", late <= 1.05 * early)


def _changing(clouds: Stage, over: Event) -> None:
    before = list(clouds.feed.addresses)
    for number in count():
        clouds.feed.addresses = [*before, f"9.9.{number % 200}.9"]
        if over.wait(0.05):
            clouds.feed.addresses = before
            return


def page(clouds: Stage) -> Row:
    """Fifty groups, read and judged all the while."""
    with running(clouds.config("page", clouds.groups(50)), program=("-c", UNCEASING)) as worker:
        worker.until(2)
        split, began = urlsplit(worker.url), worker.passes()
        asker = [sys.executable, "-S", str(Path(__file__).with_name("asker.py"))]
        command = [*asker, str(split.hostname), str(split.port), "/", str(ASKED)]
        took = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        passes = worker.passes() - began
    slow = sorted(map(float, took))[int(ASKED * 0.95)]
    reached = f"{slow * 1000:.1f} ms (of {ASKED}, {passes} passes meanwhile)"
    return Row("status page while passes run: p95", reached, "≤ 50 ms", slow <= 0.05)


def rows(*, quick: bool) -> Iterator[Row]:
    """Yield all of it, each on a stage of its own."""
    if not Path("/proc/self/schedstat").exists():
        yield Row("ipsync run over time", "not measured: the figures are Linux's", "–", None)
        return
    measures = (
        partial(at_rest, seconds=REST / 10 if quick else REST),
        partial(memory, passes=PASSES // 10 if quick else PASSES),
        page,
    )
    for measure in measures:
        with stage() as clouds:
            yield measure(clouds)
