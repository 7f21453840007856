"""A status page with everything on it: good and broken feeds, and targets that wait, leave, fail and are fought over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from factory import NOW, Stage, aws_target, config, gcp_target, hosts

from ipsync.core.configured import Limits
from ipsync.core.errors import Denied
from ipsync.core.model import Entry
from ipsync.core.signals import Contested
from ipsync.observers.keeper import Keeper
from ipsync.observers.ledger import Ledger

EVIL = "</style><script>alert(1)</script><img src=x onerror=alert(1)> \u202egnp.exe\x1b[31m\nforged {{ 7*7 }}"
GROUPS = tuple(f"sg-{i:04d}" for i in range(5))
FOUGHT = "aws/1/eu-north-1/sg-1"


class Scene:
    """The stage and what keeps its status; `play` lets everything happen that a page may have to show."""

    def __init__(self) -> None:
        cdn, gone = (("cdn", Limits()),), (("gone", Limits()),)
        made = config(
            aws_target("staging-web", where={"groups": ("sg-1",)}),
            aws_target("fleet", where={"groups": GROUPS}, feeds=("cdn",), limits=cdn),
            aws_target("denied", where={"groups": ("sg-7",)}),
            aws_target("unreadable", where={"groups": ("sg-8",), "region": "us-east-1"}),
            gcp_target("staging-gcp"),
            gcp_target("frozen", feeds=("gone",), limits=gone, where={"rule": "allow-frozen"}),
        )
        made = replace(made, source="/etc/ipsync/ipsync.yaml", owner="acme-prod")
        self.stage = Stage(made, lists={"qatech": hosts(6), "cdn": hosts(12, first=600), "gone": hosts(3, first=900)})
        self.stage.cloud.groups = {f"aws/1/eu-north-1/{g}": {} for g in ("sg-1", "sg-7", *GROUPS)}
        self.stage.cloud.groups["aws/1/us-east-1/sg-8"] = {}
        self.stage.cloud.put("aws/1/eu-north-1/sg-1", Entry(hosts(1)[0], aws_target().services[0]))
        self.ledger = Ledger(made, clock=lambda: self.stage.now)
        self.keeper = Keeper(
            made, self.ledger, again="ipsync sync -c /etc/ipsync/ipsync.yaml", clock=lambda: self.stage.now
        )

    def sync(self, **more):
        return self.stage.watched(self.ledger, self.keeper, **more)

    def play(self) -> Scene:
        self.sync()
        self.stage.now = NOW + timedelta(minutes=15)
        self.stage.lists["qatech"] = [*hosts(6)[:4], "13.51.7.77", "2600:1f14:436:5801::10"]
        self.sync(seconds=83)
        self.stage.now = NOW + timedelta(minutes=30)
        self.stage.lists["gone"] = f"feed gone: https://gone.example/ips answered 503 {EVIL}"
        self.stage.lists["cdn"] = hosts(3, first=600)
        self.stage.cloud.unreadable = {self.stage.config.targets[3].scope}
        self.stage.cloud.before = self._deny
        self.stage.lists["qatech"] = [*self.stage.lists["qatech"], "13.51.7.78"]
        self.stage.config = replace(self.stage.config, grace=timedelta(0))
        self.stage.watched(self.ledger, self.keeper, self._fight, seconds=2.4)
        self.keeper.waits(self.stage.now + timedelta(minutes=15))
        return self

    def _fight(self, event, _recorded) -> None:
        """Say what the engine says after three runs."""
        if event == Contested({}):
            self.keeper(
                Contested({FOUGHT: f"staging-web: {FOUGHT} is contested: 8.0.0.2/32 443/tcp was put there in each …"}),
                None,
            )

    @staticmethod
    def _deny(operation) -> None:
        if operation.resource.endswith("sg-7"):
            raise Denied(f"AccessDenied: not allowed to ec2:AuthorizeSecurityGroupIngress {EVIL}")
