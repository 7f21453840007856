"""The whole job in a screenful, against the embedded clouds; and the same clouds kept up as a sandbox.

Everything runs through the real commands' code paths: only the endpoints differ from production.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

from ipsync import app as worker
from ipsync import audit as audit_log
from ipsync import config as configs
from ipsync import demo_waves
from ipsync.core.configured import Config
from ipsync.core.report import Report, exit_code
from ipsync.daemon import set_soon
from ipsync.observers import watch
from ipsync.observers.watch import Watched
from ipsync.render import render
from ipsync.sandbox.aws.cloud import AwsCloud
from ipsync.sandbox.doors import group_lets_in, network_lets_in
from ipsync.sandbox.feed import FeedServer
from ipsync.sandbox.gcp.cloud import GcpCloud
from ipsync.sandbox.qatech.vendor import Vendor

Say = Callable[[str], object]
LEFT_OUT = ("ipsync ", "\x1b[1mipsync ", "feed ", "Plan id", "Audit log checkpoint")
"""Lines that the demo leaves out of the reports, so that the story fits a screen."""

REGION, PROJECT, NETWORK = "eu-north-1", "acme-demo", "default"
LISTED = ["18.196.41.10", "18.196.41.11", "3.64.226.93", "13.50.118.20", "2600:1f14:436:5801::10"]
NEWCOMER = "13.51.7.77"
OFFICE = "62.40.32.33/32"

CONFIG = """\
version: 1
owner: demo

feeds:
  qatech:
    url: {feed}

removal:
  grace: 72h

targets:
  - name: staging-web
    kind: aws-security-group
    feed: qatech
    region: {region}
    groups: [{group}]
    ports: [443/tcp]

  - name: staging-gcp
    kind: gcp-firewall
    feed: qatech
    project: {project}
    network: {network}
    rule: allow-qatech
    ports: [443/tcp]
    target_tags: [web]

audit:
  path: {folder}/audit.jsonl

listen: 127.0.0.1:0         # any free port; `ipsync run` says which

aws: {{endpoint_url: "{aws}"}}
gcp: {{endpoint: "{gcp}"}}
"""


LISTS = """\
targets:
  - name: everywhere
    kind: aws-prefix-list
    feed: qatech
    region: {region}
    prefix_list: {v4}
    prefix_list_v6: {v6}

"""


@dataclass(frozen=True, slots=True)
class Stage:
    """The embedded clouds, seeded with entries that are not ours, and a config that uses them."""

    aws: AwsCloud
    gcp: GcpCloud
    feed: FeedServer
    group: str
    config_path: Path
    vendor: Vendor

    def load(self) -> Config:
        """Return the stage's config."""
        return configs.load(self.config_path, os.environ)

    def load_lists(self) -> Config:
        """Make two empty prefix lists, as whoever keeps them does, and return a config that fills them, without grace."""
        tags = {"ipsync:owner": "demo"}
        v4, v6 = (self.aws.make_list(family, size=20, tags=tags, region=REGION) for family in (4, 6))
        head, _, rest = self.config_path.read_text().replace("72h", "0s").partition("targets:")
        path = self.config_path.with_name("lists.yaml")
        path.write_text(head + LISTS.format(region=REGION, v4=v4, v6=v6) + "audit:" + rest.partition("audit:")[2])
        return configs.load(path, os.environ)


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Start the clouds on free loopback ports and write a config for them into `folder`."""
    with ExitStack() as stack:
        aws, gcp = stack.enter_context(AwsCloud()), stack.enter_context(GcpCloud())
        feed = stack.enter_context(FeedServer(LISTED))
        group = _seed(aws, gcp)
        text = CONFIG.format(
            feed=feed.url, region=REGION, group=group, project=PROJECT, network=NETWORK,
            folder=folder, aws=aws.endpoint_url, gcp=gcp.endpoint,
        )  # fmt: skip
        path = folder / "ipsync.yaml"
        path.write_text(text)
        aws.reset_calls()
        with _environment(aws.environment()):
            yield Stage(aws, gcp, feed, group, path, stack.enter_context(_vendor(aws, gcp, group)))


def _vendor(aws: AwsCloud, gcp: GcpCloud, group: str) -> Vendor:
    """Return a QA.tech whose runners get in where both clouds let them in."""

    def is_open(address: str) -> bool:
        rules = gcp.firewalls(PROJECT).values()
        return group_lets_in(aws.rules(group, region=REGION), address) and network_lets_in(rules, address)

    return Vendor(LISTED, is_open=is_open)


def _seed(aws: AwsCloud, gcp: GcpCloud) -> str:
    group = aws.make_group("staging-web", region=REGION)
    office = {"CidrIp": OFFICE, "Description": "office VPN, made by hand"}
    twin = {"CidrIp": f"{LISTED[0]}/32", "Description": "opened by hand last year"}
    aws.client("ec2", region=REGION).authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [office, twin]}],
    )
    ssh = {"name": "allow-office-ssh", "direction": "INGRESS", "sourceRanges": [OFFICE]}
    gcp.seed_firewall(PROJECT, {**ssh, "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}]})
    return str(group)


@contextmanager
def _environment(extra: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in extra}
    os.environ.update({k: v for k, v in extra.items() if k != "AWS_ENDPOINT_URL"})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


# ── the demo ─────────────────────────────────────────────────────────────────


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
    stop = _stopping()
    watched.waits(None)
    say(f"\nThe status page of `ipsync run` shows how it ended: {watched.url}  (Ctrl-C ends it)")
    stop.wait()


class _Teller:
    def __init__(self, clouds: Stage, say: Say, colour: bool, watched: Watched) -> None:  # noqa: FBT001 - one switch, passed on
        self.clouds, self.say, self.colour, self._watched = clouds, say, colour, watched

    def sync(self, config: Config, **more: Any) -> int:
        """Sync, and show the report."""
        report = worker.sync_once(config, observers=self._watched.observers, **more)
        return self.show("ipsync sync", report)

    def title(self, text: str) -> None:
        self.say(f"\n── {text}")

    def show(self, command: str, report: Report) -> int:
        code = exit_code(report, detailed="--detailed-exitcode" in command)
        self.say(f"$ {command}")
        for line in render(report, output="text", colour=self.colour).splitlines():
            if line and not line.startswith(LEFT_OUT):
                self.say(line)
        self.say(f"(exit code {code})")
        return code

    def writes(self) -> int:
        return self.clouds.aws.calls_made.writes + self.clouds.gcp.calls_made.writes


def _acts(teller: _Teller) -> Iterator[str | None]:
    clouds, config = teller.clouds, teller.clouds.load()

    teller.title("1. Dry run: what would change? A plan holds nothing that can write.")
    code = teller.show("ipsync plan --detailed-exitcode", worker.plan_once(config))
    yield _unless(code == 2 and not teller.writes(), "the dry run wrote, or saw nothing to do")  # noqa: PLR2004

    teller.title("2. Sync: the vendor's addresses get in; what others made is left alone.")
    code = teller.sync(config)
    yield _unless(code == 0 and teller.writes() > 0, "the sync did not apply its plan")
    yield _unless(_strangers_live(clouds), "an entry of others was changed")

    teller.title("3. The same again: nothing to do, nothing written.")
    before = teller.writes()
    code = teller.sync(config)
    yield _unless(code == 0 and teller.writes() == before, "the second sync wrote")

    teller.title("4. The feed changes: an address comes, one goes. The one that goes has 72 hours' grace.")
    clouds.feed.addresses = [*LISTED[:3], LISTED[4], NEWCOMER]
    code = teller.sync(config)
    yield _unless(code == 0, "the changed feed was not applied")

    teller.title("5. Three days later it leaves. (The demo moves the clock, not the addresses.)")
    later = lambda: worker.now() + timedelta(hours=73)  # noqa: E731 - one expression, used once
    code = teller.sync(config, clock=later)
    yield _unless(code == 0, "the removal was not applied")

    teller.title("6. The vendor's feed breaks: the doors stay as they are.")
    clouds.feed.addresses = []
    before = teller.writes()
    code = teller.sync(config)
    yield _unless(code == 3 and teller.writes() == before, "an empty feed was applied")  # noqa: PLR2004

    yield from _lists(teller)
    shop = demo_waves.Shop(clouds.aws, clouds.feed, clouds.vendor, REGION)
    yield from demo_waves.acts(teller, shop, clouds.config_path, LISTED, NEWCOMER)

    teller.title("11. And all of it can be proven.")
    result = audit_log.verify(Path(config.audit_path))
    teller.say("$ ipsync audit verify")
    teller.say(f"{result.records} records hold, head {result.head}" if result.ok else str(result.problem))
    yield _unless(result.ok, "the audit log does not verify")
    yield _unless(_strangers_live(clouds), "an entry of others was changed")


def _lists(teller: _Teller) -> Iterator[str | None]:
    clouds, config = teller.clouds, teller.clouds.load_lists()
    teller.title("7. One prefix list for many groups and accounts: the same addresses, in one call a family.")
    clouds.feed.addresses = LISTED
    code = teller.show("ipsync sync -c lists.yaml", worker.sync_once(config))
    yield _unless(code == 0, "the prefix lists were not filled")

    teller.title("8. The feed loses its only IPv6 address: that list isn't emptied, and the other goes on.")
    clouds.feed.addresses = [*LISTED[:4], NEWCOMER]
    code = teller.show("ipsync sync -c lists.yaml", worker.sync_once(config))
    yield _unless(code == 3 and not clouds.aws.lists.careless, "a list was emptied, or not held back")  # noqa: PLR2004


def _unless(held: bool, failure: str) -> str | None:  # noqa: FBT001 - reads as a sentence
    return None if held else failure


def _strangers_live(clouds: Stage) -> bool:
    rules = {r.get("Description") for r in clouds.aws.rules(clouds.group, region=REGION)}
    return {"office VPN, made by hand", "opened by hand last year"} <= rules and (
        "allow-office-ssh" in clouds.gcp.firewalls(PROJECT)
    )


# ── the sandbox ──────────────────────────────────────────────────────────────


def keep_up(say: Say, *, folder: Path | None) -> int:
    """Keep the clouds up until a signal, after saying how to use them."""
    made = folder or Path(tempfile.mkdtemp(prefix="ipsync-sandbox-"))
    made.mkdir(parents=True, exist_ok=True)
    stop = _stopping()
    try:
        with stage(made) as clouds:
            _how_to_use(clouds, say)
            stop.wait()
    finally:
        if folder is None:
            shutil.rmtree(made, ignore_errors=True)
    return 0


def _stopping() -> Event:
    """Return what a signal sets from now on."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: set_soon(stop))
    return stop


def _how_to_use(clouds: Stage, say: Say) -> None:
    say(f"# The feed is at {clouds.feed.url}; it lists {', '.join(LISTED)}.")
    say("# In another terminal:")
    env = {k: v for k, v in clouds.aws.environment().items() if k != "AWS_ENDPOINT_URL"}
    env |= {"QATECH_API_URL": clouds.vendor.url, "QATECH_API_TOKEN": clouds.vendor.token}
    for name, value in sorted({**env, "IPSYNC_CONFIG": str(clouds.config_path)}.items()):
        say(f"export {name}={shlex.quote(value)}")
    say("ipsync plan")
    say("# Ctrl-C ends the sandbox.")
