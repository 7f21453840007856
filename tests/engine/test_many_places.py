"""One target at many places: one that can't be read or listed leaves the others alone, and is left as it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from factory import Log, Stage, aws_target, config, gcp_target, hosts

from ipsync import engine
from ipsync.core import places
from ipsync.core.at_rest import AtRest
from ipsync.core.configured import Where
from ipsync.core.errors import Denied
from ipsync.core.plan import Observed
from ipsync.core.planner import make_plan
from ipsync.core.report import exit_code
from ipsync.core.rollout import Wave
from ipsync.core.signals import PlanMade
from ipsync.engine import preflight
from ipsync.engine.expand import expand
from ipsync.engine.read import list_all
from ipsync.targets.aws.where import AwsAccount, AwsGroups, AwsMany, AwsOrganization
from ipsync.targets.base import Places, Unlisted

TAGS = (("allow", "qatech"),)
EU, US = "eu-north-1", "us-east-1"
ORGANIZATION = AwsOrganization("ipsync", "ou-ab12-11112222")
MANY = AwsMany(AwsGroups("", match_tags=TAGS), (ORGANIZATION,), (EU,))
NEVER = timedelta(0)


def role(account: str, name: str = "ipsync") -> AwsAccount:
    return AwsAccount(role_arn=f"arn:aws:iam::{account}:role/{name}")


def group(account: str, region: str = EU) -> str:
    return f"aws/{account}/{region}/sg-{account}"


@dataclass
class World(Stage):
    """A stage whose targets named `web` are at the accounts that an organization has in this run."""

    accounts: list[str] = field(default_factory=lambda: ["1", "2", "3"])
    regions: tuple[str, ...] = (EU,)
    more: tuple[Where, ...] = ()
    broken: Exception | None = None
    asked: int = 0

    def __post_init__(self) -> None:
        everywhere = {group(a, r) for a in "12345" for r in (EU, US)}
        self.cloud.groups = {g: {} for g in everywhere}
        self.cloud.tags = {g: dict(TAGS) for g in everywhere}
        self.cloud.accounts = {role(a, n): a for a in "12345" for n in ("ipsync", "other")}

    def places(self, targets) -> list[Places]:
        self.asked += 1
        if self.broken:
            raise self.broken
        return [self._places(t) for t in targets]

    def _places(self, target) -> Places:
        if not isinstance(target.where, AwsMany):
            return Places((target.where,))
        found = [target.where.at(role(a), r) for a in self.accounts for r in self.regions]
        return Places((*found, *self.more), (f"target {target.name}: {len(self.accounts)} accounts",))

    def run(self, *only: str) -> engine.Run:
        made = super().run(*only)
        ended = self.log.events("run-ended")
        known = places.read(ended[-1].get("places", ())) if ended else ()
        return replace(made, clouds=replace(made.clouds, places=self.places), places=known)


def world(*targets, grace=NEVER, listed=3, **changes) -> World:
    made = config(replace(aws_target(), where=MANY), *targets, grace=grace)
    return World(made, lists={"qatech": hosts(listed)}, **changes)


def statuses(report) -> dict[str, str]:
    return {e.resource: e.status.value for e in report.plan.target_changes}


def here(account: str, **changes):
    """Return a sibling in one account, which wants an address of its own of the same groups."""
    where = {"groups": (), "match_tags": TAGS, "account": role(account)}
    return aws_target("other", where=where, static=hosts(1, first=99), feeds=(), **changes)


def test_one_entry_is_one_element_a_resource_and_listed_once_a_run():
    stage = world()
    report = stage.sync()
    assert [(e.target, e.resource, e.status.value) for e in report.plan.target_changes] == [
        ("web", group(a), "applied") for a in "123"
    ]
    assert (report.notices, stage.asked) == (("target web: 3 accounts",), 1)
    assert statuses(stage.sync()) == {group(a): "in-sync" for a in "123"}
    assert all(len(stage.held(group(a))) == 3 for a in "123")


def test_a_place_that_is_denied_leaves_the_others_alone():
    """It is the only one that is frozen: with grace 0 the others lose what the feed drops at once."""
    stage = world()
    stage.sync()
    stage.lists["qatech"] = hosts(2)
    (denied,) = [t.scope for t in expanded(stage) if t.where.account == role("2")]
    stage.cloud.unreadable = {denied}
    report = stage.sync()
    assert statuses(report) == {group("1"): "applied", f"aws/2/{EU}": "error", group("3"): "applied"}
    assert [len(stage.held(group(a))) for a in "123"] == [2, 3, 2]
    assert exit_code(report, detailed=False) == 4
    stage.cloud.unreadable = set()
    assert statuses(stage.sync())[group("2")] == "applied"


def expanded(stage: World):
    run, _ = expand(stage.run())
    return run.config.targets


@pytest.mark.parametrize("way", ["a place", "all of them", "a fault"])
def test_what_can_not_be_listed_is_an_error_and_nothing_there_is_touched(way):
    stage = world()
    stage.sync()
    stage.lists["qatech"] = hosts(2)
    if way == "a place":
        stage.accounts, stage.more = ["1"], (Unlisted(MANY, "listing the accounts: denied"),)
    else:
        stage.broken = (
            Denied("listing the accounts: denied") if way == "all of them" else ValueError("accounts: denied")
        )
    report = stage.sync()
    known = {group("1"): "applied"} if way == "a place" else {}
    assert statuses(report) == {**known, f"aws/-/{EU}": "error"}
    (error,) = [e.error for e in report.plan.target_changes if e.error]
    assert "accounts: denied" in error
    assert ("a fault in ipsync" in error) == (way == "a fault")
    assert [len(stage.held(group(a))) for a in "123"] == [2 if known else 3, 3, 3]
    assert not [n for n in report.notices if "no longer in" in n]


def test_a_sibling_doesn_t_take_what_a_listing_would_have_wanted():
    """The sibling's scope is read, and what is marked there for the frozen target is neither removed nor an orphan."""
    stage = world(here("1"))
    stage.sync()
    stage.lists["qatech"], stage.accounts, stage.more = hosts(2), [], (Unlisted(MANY, "denied"),)
    report = stage.sync()
    assert statuses(report) == {f"aws/-/{EU}": "error", group("1"): "in-sync"}
    assert (len(stage.held(group("1"))), report.plan.orphaned) == (4, ())


def test_what_a_target_left_at_one_place_is_an_orphan_though_another_can_not_be_read():
    """The place was read, so it is known that the target doesn't name that group there any more."""
    stage = world()
    stage.sync()
    stage.cloud.tags[group("1")] = {}
    stage.cloud.unreadable = {t.scope for t in expanded(stage) if t.where.account == role("2")}
    assert {o.resource for o in stage.sync().plan.orphaned} == {group("1")}


def test_a_sibling_goes_on_where_another_place_is_denied():
    """The group is named by both, and only the target's place in another account can't be read."""
    stage = world(here("1"))
    stage.sync()
    stage.lists["qatech"] = hosts(2)
    stage.cloud.unreadable = {t.scope for t in expanded(stage) if t.where.account == role("2")}
    changes = {(e.target, e.resource): e.status.value for e in stage.sync().plan.target_changes}
    assert changes[("web", group("1"))] == "applied"
    assert len(stage.held(group("1"))) == 3


def test_an_account_that_leaves_is_told_and_its_doors_stay():
    stage = world()
    stage.sync()
    stage.accounts, stage.lists["qatech"] = ["1", "2"], hosts(2)
    report = stage.sync()
    assert statuses(report) == {group("1"): "applied", group("2"): "applied"}
    assert len(stage.held(group("3"))) == 3
    told = f"aws/3/{EU} is no longer in the config, nor in what it lists, but earlier runs let addresses in at {group('3')}. Those doors stay"
    assert any(n.startswith(told) for n in report.notices)


def test_many_that_leave_are_told_in_one_line():
    stage = world(accounts=list("12345"))
    stage.sync()
    stage.accounts = ["1"]
    (said,) = [n for n in stage.sync().notices if "no longer in" in n]
    assert said.startswith(
        "4 places are no longer in the config, nor in what it lists (aws/2/eu-north-1, aws/3/eu-north-1, aws/4/eu-north-1 and 1 more)"
    )


def test_an_account_that_comes_is_told_until_something_is_let_in_there():
    stage = world(accounts=["1", "2"])
    assert not [n for n in stage.sync().notices if "no earlier run" in n]
    stage.accounts.append("3")
    new = f"target web is in 1 place where no earlier run let anything in: aws/3/{EU}"
    assert new in stage.plan().notices
    assert new in stage.sync().notices
    assert new not in stage.sync().notices


def test_a_group_that_is_gone_at_one_place_says_nothing_of_the_place():
    """The config has it still: its account is in the role's ARN, whatever is found there."""
    stage = world()
    stage.sync()
    del stage.cloud.groups[group("2")]
    report = stage.sync()
    assert statuses(report) == {group("1"): "in-sync", group("3"): "in-sync"}
    assert not [n for n in report.notices if "no longer in" in n]


def test_one_resource_through_two_places_of_one_target_is_one():
    stage = world(accounts=["1"])
    stage.more = (MANY.at(role("1", "other"), EU),)
    assert statuses(stage.sync()) == {group("1"): "applied"}
    assert statuses(stage.sync()) == {group("1"): "in-sync"}
    stage.lists["qatech"] = hosts(2)
    stage.cloud.unreadable = {t.scope for t in expanded(stage) if t.where.account == role("1", "other")}
    report = stage.sync()
    assert statuses(report) == {group("1"): "applied", f"aws/1/{EU}": "error"}
    assert len(stage.held(group("1"))) == 2


def test_a_target_that_names_nothing_anywhere_or_is_nowhere_is_an_error():
    stage = world()
    stage.cloud.tags = {}
    (nothing,) = stage.sync().plan.target_changes
    assert (nothing.resource, "nothing in its places fits this target" in nothing.error) == (f"aws/1/{EU}", True)
    stage.accounts = []
    (nowhere,) = stage.sync().plan.target_changes
    assert nowhere.resource == f"aws/-/{EU}"
    assert "leads to none now, and nothing was touched: check what that list selects" in nowhere.error


def test_what_a_wave_lacks_in_many_places_is_said_once():
    stage = world(aws_target("last", where={"groups": ("sg-9",), "account": role("5")}))
    stage.cloud.groups[f"aws/5/{EU}/sg-9"] = {}
    targets = (replace(stage.config.targets[0], wave="canary"), *stage.config.targets[1:])
    stage.config = replace(stage.config, targets=targets, waves=(Wave("canary"),))
    stage.cloud.unreadable = {t.scope for t in expanded(stage) if t.name == "web"}
    (canary, _) = stage.sync().waves
    assert canary.detail == "not every target of it is as wished: web (error) on 3 resources"


def test_each_place_is_written_with_its_own_credentials():
    stage, wrote = world(), []
    run = stage.run()
    clouds = replace(run.clouds, writer=lambda t: wrote.append(t.where) or stage.cloud.writer(t))
    engine.sync(replace(run, clouds=clouds))
    assert {(w.account, w.region) for w in wrote} == {(role(a), EU) for a in "123"}


def test_a_target_that_is_not_selected_is_listed_and_not_told():
    stage = world(gcp_target())
    report = stage.sync("edge")
    assert {e.target for e in report.plan.target_changes} == {"edge"}
    assert report.notices == ()


def test_a_write_that_was_left_open_where_the_target_is_no_more_is_told():
    stage = world()
    stage.open_intents = [
        {"seq": 7, "resource": group("5"), "target": "web", "before": [], "after": [], "at": "t", "run": "r0"}
    ]
    assert any(f"{group('5')}: what became of the write #7" in n for n in stage.sync().notices)


def test_check_has_a_row_a_place_and_one_for_what_could_not_be_listed():
    stage = world()
    stage.more = (Unlisted(MANY, "listing the accounts: denied"),)
    run = stage.run()
    found = preflight.check(run)
    assert [(f.subject, f.ok) for f in found if f.subject.startswith("web for")] == [("web for acme", True)] * 3
    assert [(f.subject, f.detail) for f in found if not f.ok] == [("target web", "listing the accounts: denied")]
    assert "target web: 3 accounts" in [f.detail for f in found]
    assert ("config", "1 target, 1 feed") in [(f.subject, f.detail) for f in found]


def test_the_log_of_a_plan_holds_what_was_listed():
    stage = world()
    stage.plan()
    assert stage.log.events("run-ended")[-1]["notices"] == ["target web: 3 accounts"]
    assert isinstance(stage.log, Log)


# ── what is at rest is let go ────────────────────────────────────────────────


def observed(stage: World, run: engine.Run):
    """Plan, and return what was read, as an observer sees it."""
    seen = []
    hears = lambda event, _recorded: seen.append(event.observed) if isinstance(event, PlanMade) else None  # noqa: E731
    report = engine.plan(replace(run, subscribers=(hears,)))
    return report, {s.resource: s for s in seen[-1].states}


def test_what_is_at_rest_shares_its_entries_and_is_asked_no_more():
    stage = world()
    stage.sync()
    run = stage.run()
    report, states = observed(stage, run)
    assert set(statuses(report).values()) == {"in-sync"}
    assert len({id(states[group(a)].entries) for a in "123"}) == 1
    assert [len(states[group(a)].entries) for a in "123"] == [3, 3, 3]
    assert run.progress.readers == {}


def test_where_something_is_to_do_each_entry_is_known_and_the_reader_stays():
    stage = world()
    stage.sync()
    stage.cloud.groups[group("2")].popitem()
    run = stage.run()
    report, states = observed(stage, run)
    assert statuses(report)[group("2")] == "change"
    assert all(e.provider_id for e in states[group("2")].entries)
    assert [scope[1] for scope in run.progress.readers] == [role("2")]


def test_a_plan_s_id_does_not_depend_on_what_was_let_go():
    stage = world()
    stage.sync()
    planned = stage.plan().plan
    run, _ = expand(stage.run())
    whole = [s for t in run.config.targets for s in stage.cloud.reader(t).list_owned([t], owner="acme")]
    feeds = {f.name: f for f in planned.feeds}
    assert make_plan(run.config, Observed(feeds, whole, [], stage.now)).id == planned.id


def test_what_another_scope_names_too_is_read_again():
    """It was let go as the first target's alone; the second one wants more of it, through another role."""
    stage = world(accounts=["1"])
    stage.sync()
    sibling = here("1")
    sibling = replace(sibling, where=replace(sibling.where, account=role("1", "other")))
    stage.config = replace(stage.config, targets=(*stage.config.targets, sibling))
    run, _ = expand(stage.run())
    feeds = {f.name: f for f in stage.plan().plan.feeds}
    found = list_all(run, lambda: AtRest(run.config, feeds, stage.now))
    assert [(s.targets, all(e.provider_id for e in s.entries)) for s in found] == [(("web",), True), (("other",), True)]
    stage.sync()
    assert len(stage.held(group("1"))) == 4
