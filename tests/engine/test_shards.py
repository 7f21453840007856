"""A run of one shard: what another shard holds is neither read nor planned nor written, nor said to be gone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from factory import Log, Stage, aws_target, config, gcp_target, hosts

from ipsync import engine
from ipsync.core import places
from ipsync.core.errors import CloudError, PlanFileError, Unreachable
from ipsync.core.planfile import dump, load
from ipsync.core.report import exit_code
from ipsync.core.sharding import Shard, Share, holder
from ipsync.engine import preflight
from ipsync.render.json import document
from ipsync.targets.aws.where import AwsAccount, AwsGroups, AwsMany
from ipsync.targets.base import Places, Unlisted
from ipsync.targets.gcp.where import GcpRule

EU, US = "eu-north-1", "us-east-1"
ACCOUNTS, REGIONS = "12345", (EU, US)
PROJECTS = ("acme-a", "acme-b", "acme-c")
PLACES = [*(f"aws/{a}/{r}" for a in ACCOUNTS for r in REGIONS), *(f"gcp/{p}" for p in PROJECTS)]
N = 3


def role(account: str, name: str = "ipsync") -> AwsAccount:
    return AwsAccount(role_arn=f"arn:aws:iam::{account}:role/{name}")


MANY = AwsMany(AwsGroups("", match_tags=(("allow", "qatech"),)), tuple(map(role, ACCOUNTS)), REGIONS)


def place_of(resource: str) -> str:
    return resource.rpartition("/")[0]


def group(place: str) -> str:
    return f"{place}/sg-1"


@dataclass
class Fleet(Stage):
    """One cloud and one config for all shards; each shard has a log of its own."""

    shard: Shard | None = None
    logs: dict[Shard | None, Log] = field(default_factory=dict)
    where: tuple = ()
    nameless: set[str] = field(default_factory=set)
    asked: int = 0

    def __post_init__(self) -> None:
        self.cloud.groups = {group(p): {} for p in PLACES if p.startswith("aws/")}
        self.cloud.tags = {g: {"allow": "qatech"} for g in self.cloud.groups}
        self.cloud.accounts = {role(a, n): a for a in ACCOUNTS for n in ("ipsync", "other")}

    def places(self, targets) -> list[Places]:
        return [self._places(t) for t in targets]

    def _places(self, target) -> Places:
        if not isinstance(target.where, AwsMany):
            return Places((target.where,))
        return Places((*(target.where.at(a, r) for a in target.where.accounts for r in REGIONS), *self.where))

    def homes(self, targets) -> list[str | CloudError]:
        self.asked += 1
        return [self._home(t) for t in targets]

    def _home(self, target) -> str | CloudError:
        if target.name in self.nameless:
            return Unreachable("asking whose account this is: no answer")
        if isinstance(target.where, GcpRule):
            return f"gcp/{target.where.project}"
        return f"aws/{self.cloud.account_of(target)}/{target.where.region}"

    def run(self, *only: str) -> engine.Run:
        self.log = self.logs.setdefault(self.shard, Log())
        made = super().run(*only)
        ended = self.log.events("run-ended")
        known = places.read(ended[-1].get("places", ())) if ended else ()
        clouds = replace(made.clouds, places=self.places, homes=self.homes)
        return replace(made, config=replace(made.config, shard=self.shard), clouds=clouds, places=known)

    def of(self, index: int, count: int = N) -> Fleet:
        """Return the same, as one shard sees it."""
        self.shard = Shard(index, count)
        return self


def rules() -> list:
    return [gcp_target(f"edge-{p}", where={"project": p}) for p in PROJECTS]


def fleet(*more, listed: int = 3, **changes) -> Fleet:
    made = config(replace(aws_target(), where=MANY), *rules(), *more, grace=timedelta(0))
    return Fleet(made, lists={"qatech": hosts(listed)}, **changes)


def doors(stage: Fleet) -> dict[str, list[str]]:
    groups = {g: stage.held(g) for g in stage.cloud.groups}
    return groups | {name: stage.ranges(name) for name in stage.cloud.lists}


def touched(report) -> set[str]:
    return {c.resource for c in report.plan.target_changes if c.status.value == "applied"}


def test_all_shards_together_write_what_one_sync_writes_and_nothing_twice():
    whole, stage = fleet(), fleet()
    all_at_once = touched(whole.sync())
    parts = [touched(stage.of(i).sync()) for i in range(N)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(PLACES)
    assert set().union(*parts) == all_at_once
    assert doors(stage) == doors(whole)
    assert stage.cloud.writes == whole.cloud.writes
    again = [stage.of(i).sync() for i in range(N)]
    assert stage.cloud.writes == whole.cloud.writes, "the second run writes nothing"
    assert {exit_code(r, detailed=True) for r in again} == {0}


def test_a_shard_reads_and_plans_its_own_places_alone():
    stage = fleet()
    for index in range(N):
        mine = {p for p in PLACES if holder(p, N) == index}
        report = stage.of(index).plan()
        assert {place_of(c.resource) for c in report.plan.target_changes} == mine
        assert report.share == Share(Shard(index, N), len(mine), len(PLACES))
        assert document(report)["shard"] == {"index": index, "count": N, "scopes": len(mine), "of": len(PLACES)}
        assert stage.log.events("run-started")[-1]["shard"] == f"{index}/{N}"


def test_what_another_shard_cant_read_is_not_this_one_s_trouble():
    stage = fleet()
    lost = next(p for p in PLACES if p.startswith("aws/"))
    account, region = lost.split("/")[1:]
    stage.cloud.unreadable = {("aws-security-group", role(account), region, None)}
    codes = [exit_code(stage.of(i).sync(), detailed=False) for i in range(N)]
    assert [c for i, c in enumerate(codes) if i != holder(lost, N)] == [0] * (N - 1)
    assert codes[holder(lost, N)] == 4
    assert {r for r, held in doors(stage).items() if not held} == {group(lost)}


def test_one_account_in_two_spellings_is_in_one_shard():
    """By role, by another role, and by the ambient credentials of account 1: one resource, with one state."""
    twins = [
        aws_target("twin", where={"account": role("1", "other")}, static=hosts(1, first=99)),
        aws_target("ambient", where={}, static=hosts(1, first=98)),
    ]
    stage, place = fleet(*twins), f"aws/1/{EU}"
    told = [{c.target for c in stage.of(i).sync().plan.target_changes if c.resource == group(place)} for i in range(N)]
    assert [bool(names) for names in told] == [i == holder(place, N) for i in range(N)]
    assert told[holder(place, N)] == {"web", "twin", "ambient"}
    assert len(stage.held(group(place))) == 5
    assert not [o for i in range(N) for o in stage.of(i).plan().plan.orphaned]


def test_where_nobody_can_tell_the_account_no_shard_touches_anything():
    stage = fleet(aws_target("ambient", where={"region": "eu-west-1"}), nameless={"ambient"})
    stage.cloud.groups["aws/1/eu-west-1/sg-1"] = {}
    for index in range(N):
        (error,) = [c.error for c in stage.of(index).sync().plan.target_changes if c.target == "ambient"]
        assert "no answer; so nobody knows which shard holds aws/-/eu-west-1, and none touches it" in error
    assert stage.held("aws/1/eu-west-1/sg-1") == []


def test_a_fault_in_a_kind_is_its_targets_error_in_every_shard(monkeypatch):
    stage = fleet()
    monkeypatch.setattr(stage, "_home", lambda _t: 1 / 0)
    statuses = [{c.status.value for c in stage.of(i).sync().plan.target_changes} for i in range(N)]
    assert statuses == [{"error"}] * N


def test_what_cant_be_listed_is_an_error_in_every_shard():
    stage = fleet(where=(Unlisted(MANY, "listing the accounts: denied"),))
    codes = [exit_code(stage.of(i).sync(), detailed=False) for i in range(N)]
    assert codes == [4] * N


def test_a_resource_that_another_account_only_shows_is_its_own_shard_s(monkeypatch):
    """A shared group carries its owner's account in its name; through whatever credentials, one shard has it."""
    shown = next(a for a in "678" if holder(f"aws/{a}/{EU}", N) != holder(f"aws/1/{EU}", N))
    stage = fleet(aws_target("shared", where={"groups": ("sg-7",), "account": AwsAccount(profile="shared")}))
    stage.cloud.accounts = {**stage.cloud.accounts, AwsAccount(profile="shared"): shown}
    stage.cloud.groups[f"aws/{shown}/{EU}/sg-7"] = {}
    real = stage._home
    monkeypatch.setattr(stage, "_home", lambda t: f"aws/1/{EU}" if t.name == "shared" else real(t))
    index = holder(f"aws/1/{EU}", N)
    (error,) = [c.error for c in stage.of(index).sync().plan.target_changes if c.target == "shared"]
    assert f"shard {holder(f'aws/{shown}/{EU}', N)} works on aws/{shown}/{EU}: this shard leaves it alone" in error
    assert stage.held(f"aws/{shown}/{EU}/sg-7") == []


def test_a_place_of_another_shard_has_not_left_the_config():
    """Even where this shard's log knows of it, as after a run of another number of shards with one log."""
    stage = fleet()
    stage.sync()
    stage.logs = {Shard(i, N): stage.logs[None] for i in range(N)}
    assert not [n for i in range(N) for n in stage.of(i).sync().notices if "no longer in" in n]


def test_a_place_that_left_the_config_is_told_by_the_shard_that_held_it():
    stage = fleet()
    for index in range(N):
        stage.of(index).sync()
    stage.config = config(
        replace(aws_target(), where=replace(MANY, accounts=tuple(map(role, "2345")))), *rules(), grace=timedelta(0)
    )
    told = [[n for n in stage.of(i).sync().notices if "no longer in" in n] for i in range(N)]
    left = {holder(f"aws/1/{r}", N) for r in REGIONS}
    assert {i for i, said in enumerate(told) if said} == left


def test_a_target_with_nothing_here_is_told_and_no_error():
    stage = fleet()
    for resource in stage.cloud.tags:
        if not resource.startswith("aws/1/"):
            stage.cloud.tags[resource] = {}
    reports = [stage.of(i).sync() for i in range(N)]
    assert {exit_code(r, detailed=False) for r in reports} == {0}
    nothing = {i for i in range(N) if i not in {holder(f"aws/1/{r}", N) for r in REGIONS}}
    told = {
        i
        for i, r in enumerate(reports)
        if any(n.startswith("target web names nothing at the places") for n in r.notices)
    }
    assert told == nothing
    assert nothing


def test_an_empty_shard_is_done():
    stage = Fleet(config(aws_target()), lists={"qatech": hosts(1)})
    reports = [stage.of(i).sync() for i in range(N)]
    assert {exit_code(r, detailed=True) for r in reports} == {0}
    assert sorted(len(r.plan.target_changes) for r in reports) == [0] * (N - 1) + [1]
    assert [[f.name for f in r.plan.feeds] for r in reports] == [["qatech"]] * N, "each says what it would go by"


def test_check_tries_the_shard_s_own_scopes():
    stage = fleet()
    found = [preflight.check(stage.of(i).run()) for i in range(N)]
    for index, findings in enumerate(found):
        mine = sum(holder(p, N) == index for p in PLACES)
        (said,) = [f.detail for f in findings if f.subject == "shard"]
        assert said == f"shard {index} of {N}: {mine} of {len(PLACES)} scopes"
        assert len([f for f in findings if f.subject not in {"shard", "config", "feed qatech", "places"}]) >= mine


def saved(stage: Fleet, shard: Shard | None) -> bytes:
    stage.shard = shard
    report = stage.plan()
    names = frozenset(t.name for t in stage.config.targets)
    return dump(document(report), report.plan, replace(stage.config, shard=shard), selected=names)


@pytest.mark.parametrize(
    ("made", "applied", "said"),
    [
        (Shard(0, 3), Shard(1, 3), "of shard 0 of 3, and this run is of shard 1 of 3. Apply it with --shard 0/3"),
        (Shard(0, 3), Shard(0, 4), "Apply it with --shard 0/3"),
        (Shard(2, 3), None, "and this run is of all shards together. Apply it with --shard 2/3"),
        (None, Shard(1, 3), "of all shards together, and this run is of shard 1 of 3. Apply it without --shard"),
    ],
)  # fmt: skip
def test_a_plan_of_another_shard_is_refused(made, applied, said):
    stage = fleet()
    data = saved(stage, made)
    with pytest.raises(PlanFileError, match=said.replace(".", r"\.")):
        load(data, replace(stage.config, shard=applied), now=stage.now)
    assert load(data, replace(stage.config, shard=made), now=stage.now)


def test_a_shard_applies_its_own_plan():
    stage = fleet()
    data = saved(stage, Shard(1, N))
    run = stage.of(1).run()
    report = engine.apply(run, load(data, run.config, now=stage.now))
    assert {place_of(r) for r in touched(report)} == {p for p in PLACES if holder(p, N) == 1}
