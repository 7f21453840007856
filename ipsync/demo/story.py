"""The whole job in a screenful, against the embedded clouds.

Everything runs through the real commands' code paths: only the endpoints differ from production.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

from ipsync import app
from ipsync import audit as audit_log
from ipsync.core.configured import Config
from ipsync.core.report import Report, exit_code
from ipsync.demo import waves
from ipsync.demo.kept_up import stopping
from ipsync.demo.stage import LISTED, NEWCOMER, PROJECT, REGION, Stage, stage
from ipsync.observers import watch
from ipsync.observers.watch import Watched
from ipsync.render import render

Say = Callable[[str], object]
LEFT_OUT = ("ipsync ", "\x1b[1mipsync ", "feed ", "Plan id", "Audit log checkpoint")
"""Lines that the demo leaves out of the reports, so that the story fits a screen."""


def tell(say: Say, *, colour: bool, keep: bool, serve: bool = False) -> int:
    """Tell the story; return 0 when every act went as it must, else 1.

    With `serve` the status page shows how it ended, until a signal.
    """
    folder = Path(tempfile.mkdtemp(prefix="ipsync-demo-"))
    try:
        with stage(folder) as clouds, _watched(clouds, serve=serve) as watched:
            failures = [act for act in _acts(_Teller(clouds, say, colour, watched)) if act]
            if watched.url:
                _show_page(watched, say)
    finally:
        if keep:
            say(f"\nKept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for failure in failures:
        say(f"NOT as promised: {failure}")
    return 1 if failures else 0


def _watched(clouds: Stage, *, serve: bool) -> AbstractContextManager[Watched]:
    return watch.worker(clouds.load(), again="ipsync sync") if serve else nullcontext(Watched())


def _show_page(watched: Watched, say: Say) -> None:
    stop = stopping()
    watched.waits(None)
    say(f"\nThe status page of `ipsync run` shows how it ended: {watched.url}  (Ctrl-C ends it)")
    stop.wait()


class _Teller:
    def __init__(self, clouds: Stage, say: Say, colour: bool, watched: Watched) -> None:  # noqa: FBT001 - one switch, passed on
        self.clouds, self.say, self.colour, self._watched = clouds, say, colour, watched

    def sync(self, config: Config, **more: Any) -> int:
        """Sync, and show the report."""
        report = app.sync_once(config, observers=self._watched.observers, **more)
        return self.show("ipsync sync", report)

    def title(self, text: str) -> None:
        self.say(f"\n── {text}")

    def show(self, command: str, report: Report) -> int:
        code = exit_code(report, detailed="--detailed-exitcode" in command)
        self.say(f"$ {command}")
        again = command.partition(" --")[0].replace("ipsync plan", "ipsync sync")
        for line in render(report, output="text", colour=self.colour, again=again).splitlines():
            if line and not line.startswith(LEFT_OUT):
                self.say(line)
        self.say(f"(exit code {code})")
        return code

    def writes(self) -> int:
        return self.clouds.aws.calls_made.writes + self.clouds.gcp.calls_made.writes


def _acts(teller: _Teller) -> Iterator[str | None]:
    clouds, config = teller.clouds, teller.clouds.load()

    teller.title("1. Dry run: what would change? A plan holds nothing that can write.")
    code = teller.show("ipsync plan --detailed-exitcode", app.plan_once(config))
    yield _unless(code == 2 and not teller.writes(), "the dry run wrote, or saw nothing to do")  # noqa: PLR2004

    teller.title("2. Sync: the vendor's addresses get in; what others made is left alone.")
    code = teller.sync(config)
    yield _unless(code == 0 and teller.writes() > 0, "the sync did not apply its plan")
    yield _unless(_strangers_live(clouds), "an entry of others was changed")

    teller.title("3. The same again: nothing to do, nothing written.")
    before = teller.writes()
    code = teller.sync(config)
    yield _unless(code == 0 and teller.writes() == before, "the second sync wrote")

    yield from _changes(teller)
    yield from _lists(teller)
    shop = waves.Shop(clouds.aws, clouds.feed, clouds.vendor, REGION)
    yield from waves.acts(teller, shop, clouds.config_path, LISTED, NEWCOMER)

    teller.title("11. And all of it can be proven.")
    result = audit_log.verify(Path(config.audit_path))
    teller.say("$ ipsync audit verify")
    teller.say(f"{result.records} records hold, head {result.head}" if result.ok else str(result.problem))
    yield _unless(result.ok, "the audit log does not verify")
    yield _unless(_strangers_live(clouds), "an entry of others was changed")


def _changes(teller: _Teller) -> Iterator[str | None]:
    clouds, config = teller.clouds, teller.clouds.load()
    teller.title("4. The feed changes: an address comes, one goes. The one that goes has 72 hours' grace.")
    clouds.feed.addresses = [*LISTED[:3], LISTED[4], NEWCOMER]
    code = teller.sync(config)
    yield _unless(code == 0, "the changed feed was not applied")

    teller.title("5. Three days later it leaves. (The demo moves the clock, not the addresses.)")
    later = lambda: app.now() + timedelta(hours=73)  # noqa: E731 - one expression, used once
    code = teller.sync(config, clock=later)
    yield _unless(code == 0, "the removal was not applied")

    teller.title("6. The vendor's feed breaks: the doors stay as they are.")
    clouds.feed.addresses = []
    before = teller.writes()
    code = teller.sync(config)
    yield _unless(code == 3 and teller.writes() == before, "an empty feed was applied")  # noqa: PLR2004


def _lists(teller: _Teller) -> Iterator[str | None]:
    clouds, config = teller.clouds, teller.clouds.load_lists()
    teller.title("7. One prefix list for many groups and accounts: the same addresses, in one call a family.")
    clouds.feed.addresses = LISTED
    code = teller.show("ipsync sync -c lists.yaml", app.sync_once(config))
    yield _unless(code == 0, "the prefix lists were not filled")

    teller.title("8. The feed loses its only IPv6 address: that list isn't emptied, and the other goes on.")
    clouds.feed.addresses = [*LISTED[:4], NEWCOMER]
    code = teller.show("ipsync sync -c lists.yaml", app.sync_once(config))
    yield _unless(code == 3 and not clouds.aws.lists.careless, "a list was emptied, or not held back")  # noqa: PLR2004


def _unless(held: bool, failure: str) -> str | None:  # noqa: FBT001 - reads as a sentence
    return None if held else failure


def _strangers_live(clouds: Stage) -> bool:
    rules = {r.get("Description") for r in clouds.aws.rules(clouds.group, region=REGION)}
    return {"office VPN, made by hand", "opened by hand last year"} <= rules and (
        "allow-office-ssh" in clouds.gcp.firewalls(PROJECT)
    )
