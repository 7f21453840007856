"""The demo's acts on waves: QA.tech's runners find the door shut, then open; a broken canary holds the rest."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from ipsync import app, config
from ipsync.core.configured import Config
from ipsync.core.report import Report
from ipsync.sandbox.aws.cloud import AwsCloud
from ipsync.sandbox.doors import group_lets_in
from ipsync.sandbox.feed import FeedServer
from ipsync.sandbox.qatech.vendor import TOKEN, Vendor

TARGETS = """\
waves:
  - {{name: canary, verify: [smoke]}}

verify:
  smoke:
    qatech: {{url: "{url}", token: {token}, test_plan: pln_smoke, rerun_failed: 0}}

targets:
  - name: shop-canary
    kind: aws-security-group
    feed: qatech
    region: {region}
    groups: [{canary}]
    ports: [443/tcp]
    wave: canary

  - name: shop
    kind: aws-security-group
    feed: qatech
    region: {region}
    groups: [{rest}]
    ports: [443/tcp]

"""
REFUSED, PARTIAL = 3, 4


class Teller(Protocol):
    """Who tells the story."""

    say: Callable[[str], object]

    def title(self, text: str) -> None:
        """Begin an act."""

    def show(self, command: str, report: Report) -> int:
        """Show a report, and return the exit code."""


class Shop:
    """A shop behind two security groups, and QA.tech, whose runners knock at the first."""

    def __init__(self, aws: AwsCloud, feed: FeedServer, vendor: Vendor, region: str) -> None:
        self.feed, self.vendor = feed, vendor
        self._region, self._aws = region, aws
        self.canary, self.rest, self.other = (
            aws.make_group(name, region=region) for name in ("shop-canary", "shop", "made-by-a-colleague")
        )
        self.door = self.canary
        vendor.is_open, vendor.project.polls = self.is_open, 0

    def is_open(self, address: str) -> bool:
        """Tell whether the group in front of the shop lets an address in."""
        return group_lets_in(self.rules(self.door), address)

    def rules(self, group: str) -> list[dict[str, Any]]:
        """Return a group's inbound rules."""
        return self._aws.rules(group, region=self._region)

    def listed(self, addresses: list[str]) -> None:
        """Let the feed list these addresses, and the runners connect from them."""
        self.feed.addresses = self.vendor.addresses = addresses

    def config(self, first: Path) -> Config:
        """Return a config like the demo's first one, with targets in waves."""
        head, _, rest = first.read_text().partition("targets:")
        text = TARGETS.format(url=self.vendor.url, token=TOKEN, region=self._region, canary=self.canary, rest=self.rest)
        path = first.with_name("waves.yaml")
        head = head.replace("owner: demo", "owner: shop")
        path.write_text(head + text + "audit:" + rest.partition("audit:")[2])
        return config.load(path, os.environ)


def acts(teller: Teller, shop: Shop, first: Path, listed: list[str], newcomer: str) -> Iterator[str | None]:
    """Tell both acts; yield what went wrong, or None."""
    made = shop.config(first)
    teller.title("9. QA.tech proves it: before the sync its runners find the door shut, after it they get in.")
    shop.listed(listed)
    code = _asked(teller, shop)
    yield None if code == REFUSED else "a test run passed although the door was shut"
    report = _synced(made)
    code = teller.show("ipsync sync -c waves.yaml", report)
    yield None if code == 0 and report.waves[0].proofs[0].passed else "the canary was not verified"

    teller.title("10. The canary's door breaks: a colleague puts another security group before it. The rest waits.")
    shop.listed([*listed, newcomer])
    shop.door = shop.other
    code = teller.show("ipsync sync -c waves.yaml", _synced(made))
    held = newcomer not in str(shop.rules(shop.rest))
    yield None if code == PARTIAL and held else "a broken canary did not hold the rest"


def _synced(made: Config) -> Report:
    """Sync, without the log's word that it waits: the report tells it a moment later."""
    log = logging.getLogger("ipsync.engine.proving")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        return app.sync_once(made)
    finally:
        log.setLevel(before)


def _asked(teller: Teller, shop: Shop) -> int:
    """Start a run and show how it ended, as `ipsync qatech run start --wait` does."""
    from ipsync.verification.qatech.bodies import RunRequest  # noqa: PLC0415 - the API is loaded where it is asked
    from ipsync.verification.qatech.client import Client  # noqa: PLC0415
    from ipsync.verification.qatech.verifier import QatechVerifier  # noqa: PLC0415

    verifier = QatechVerifier(Client(url=shop.vendor.url, token=TOKEN), RunRequest(test_plan="pln_smoke"))
    begun = verifier.start()
    ended = verifier.poll(begun.run_id)
    code = 0 if ended.state == "passed" else REFUSED
    teller.say("$ ipsync qatech run start --test-plan pln_smoke --wait")
    teller.say(f"run {begun.run_id}  {ended.state}  {begun.url}")
    for name in ended.failed:
        teller.say(f"    FAILED     {name}")
    teller.say(f"(exit code {code})\n")
    return code
