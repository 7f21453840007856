"""Promises that broke when things were composed: settings, selection, frozen siblings, shared resources, patience, renames.

Each of these was seen in the field, one dimension beside another that tests had played alone.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from factory import (
    GROUP,
    HTTPS,
    NOW,
    RULE,
    Log,
    Stage,
    aws_target,
    config,
    entry_note,
    gcp_target,
    hosts,
    list_target,
    networks,
    rule_note,
)
from hypothesis import given
from hypothesis import strategies as st

from ipsync import engine
from ipsync.core.configured import Limits, Threshold
from ipsync.core.errors import Denied
from ipsync.core.model import Entry, ManagedList, Service
from ipsync.core.report import exit_code, summarize
from ipsync.core.traits import Mark
from ipsync.targets import registry
from ipsync.targets.aws.where import AwsAccount
from ipsync.testing.memory import MemoryCloud
from ipsync.testing.memory_prefix_lists import PrefixList

A, B, C, D, E = "8.8.8.8/32", "8.8.4.4/32", "9.9.9.9/32", "1.1.1.1/32", "7.7.7.7/32"
V6 = "2600::1/128"
HTTP, ANY = Service("tcp", 80, 80), Service("tcp", 1, 65535)
SG2, RULE6, RULE2 = "aws/1/eu-north-1/sg-2", f"{RULE}-v6", f"{RULE}-2"
LIST = "aws/1/eu-north-1/pl-1"
ZERO, HOUR, GRACE = timedelta(0), timedelta(hours=1), timedelta(hours=72)


def statuses(report) -> dict[str, str]:
    return {e.target: e.status.value for e in report.plan.target_changes}


def with_list(most: int = 100) -> MemoryCloud:
    """Return a cloud with a group and a prefix list."""
    return MemoryCloud(groups={GROUP: {}, LIST: {}}, prefixes={LIST: PrefixList(4, most)})


def code(report) -> int:
    return exit_code(report, detailed=True)


def limited(removals: Threshold, *feeds: str) -> tuple[tuple[str, Limits], ...]:
    return tuple((feed, Limits(max_removals=removals)) for feed in feeds or ("qatech",))


def held_ids(report) -> dict[str, list[str]]:
    """Return the ids of what waits, by what it would do."""
    found: dict[str, list[str]] = {}
    for target_change in report.plan.target_changes:
        for held in target_change.waiting:
            found.setdefault(held.action, []).append(held.id)
    return found


def whose(resource: str, cloud) -> dict[str, tuple[str, str]]:
    """Return target and feed in each rule's tags."""
    tags = ((e.network, dict(e.note)) for e in cloud.groups[resource].values())
    return {str(n): (t.get("ipsync:target", ""), t.get("ipsync:feed", "")) for n, t in tags}


# ── what must not be touched now isn't, settings included ────────────────────

NOT_NOW = {
    "not selected": ({}, ("web",)),
    "its feed is down": ({"cdn": "feed cdn: no answer"}, ()),
    "its feed is empty": ({"cdn": []}, ()),
    "a guard refuses its feed": ({"cdn": ["10.1.2.3", C]}, ()),
}


@pytest.mark.parametrize("why", NOT_NOW)
def test_the_settings_of_a_rule_that_may_not_be_touched_now_stay(why):
    changes, only = NOT_NOW[why]
    edge = gcp_target(feeds=("cdn",), limits=())
    web = gcp_target("web", where={"rule": "front"})  # of the same project: its rules are read with the other's
    stage = Stage(config(web, edge), lists={"qatech": [A], "cdn": [C, D]})
    stage.sync()
    before = dict(stage.cloud.lists)
    stage.config = config(web, replace(edge, services=(ANY,)))
    stage.lists |= changes
    report = stage.sync(*only)
    assert stage.cloud.lists == before
    assert statuses(report)["web"] == "in-sync"
    assert report.plan.changes == ()


@pytest.mark.parametrize("why", NOT_NOW)
def test_the_settings_of_a_rule_that_is_shared_with_one_that_may_not_be_touched_stay_and_that_is_said(why):
    changes, only = NOT_NOW[why]
    web, edge = gcp_target("web"), gcp_target("edge", feeds=("cdn",), limits=())
    stage = Stage(config(web, edge), lists={"qatech": [A], "cdn": [C, D]})
    stage.sync()
    stage.config = config(replace(web, services=(ANY,)), replace(edge, services=(ANY,)))
    stage.lists = {"qatech": [A, B], "cdn": [C, D], **changes}
    report = stage.sync(*only)
    assert stage.ranges() == sorted([A, C, D])
    assert stage.ranges(f"{RULE}-2") == [B], "the healthy one's address is let in all the same, on today's ports only"
    assert dict(stage.cloud.lists[RULE].settings)["ports"] == "443/tcp"
    (target_change,) = [e for e in report.plan.target_changes if e.target == "web"]
    assert [v.guard for v in target_change.violations] == ["settings"]
    assert "edge" in target_change.violations[0].detail
    assert {rule for rule, *_ in target_change.settings} == {"allow-qatech-2"}
    stage.lists["cdn"] = [C, D]
    stage.sync()
    assert dict(stage.cloud.lists[RULE].settings)["ports"] == "1-65535/tcp"


@pytest.mark.parametrize(
    "changed",
    [{"priority": 5}, {"target_tags": ("db",)}, {"target_service_accounts": ("a@b.iam.gserviceaccount.com",)}],
)
@pytest.mark.parametrize("feed", ["down", []], ids=["down", "empty"])
def test_no_setting_of_a_frozen_rule_is_patched(gcp, changed, feed):
    where = {"endpoint": gcp.endpoint} | ({} if "target_tags" not in changed else {"target_tags": ("web",)})
    stage = Cloudy(config(gcp_target(where=where)), {"qatech": [A, B]})
    stage.sync()
    before = gcp.firewalls("acme")
    gcp.calls_made.clear()
    stage.config, stage.lists["qatech"] = config(gcp_target(where=where | changed)), feed
    report = stage.sync()
    assert (gcp.firewalls("acme"), gcp.calls_made.writes) == (before, 0)
    assert report.plan.changes == ()


class Cloudy:
    """A config over the embedded clouds, through the real providers."""

    def __init__(self, made, lists, now=NOW):
        self.config, self.lists, self.now, self.log = made, lists, now, Log()

    def run(self, *only: str) -> engine.Run:
        stage = Stage(self.config, lists=self.lists, now=self.now)
        clouds = engine.Clouds(stage.fetch, registry.open_reader, registry.open_writer, pause=lambda _s: None)
        return replace(stage.run(*only), clouds=clouds, recorder=self.log)

    def sync(self, *only: str):
        return engine.sync(self.run(*only))

    def plan(self, *only: str):
        return engine.plan(self.run(*only))


# ── nothing is written that nobody is shown ──────────────────────────────────


def renamed(stage: Stage, target) -> None:
    """Rename the only target: what is let in stays, and only whose it is changes."""
    stage.config = config(replace(target, name="new-name"))


@pytest.mark.parametrize(("target", "mark"), [(aws_target(), f"{A} 443/tcp"), (gcp_target(), "allow-qatech")])
def test_a_write_that_changes_marks_alone_is_shown_and_its_failure_told(target, mark):
    stage = Stage(config(target), lists={"qatech": [A]})
    stage.sync()
    renamed(stage, target)
    report = stage.plan()
    assert [e.marks for e in report.plan.target_changes] == [(mark,)]
    assert (statuses(report), code(report)) == ({"new-name": "change"}, 2)

    def denied(_step):
        raise Denied("no")

    stage.cloud.before = denied
    report = stage.sync()
    assert (statuses(report), code(report)) == ({"new-name": "error"}, 1)
    stage.cloud.before = lambda _step: None
    assert statuses(stage.sync()) == {"new-name": "applied"}
    assert code(stage.sync()) == 0


def test_a_rule_s_description_that_somebody_wrote_over_is_mended_and_that_is_shown():
    stage = Stage(config(gcp_target()), lists={"qatech": [A]})
    stage.sync()
    managed = stage.cloud.lists[RULE]
    stage.cloud.lists[RULE] = replace(managed, note=(("description", "ipsync owner=acme target=edge feed=renamed"),))
    report = stage.plan()
    assert ([e.marks for e in report.plan.target_changes], code(report)) == ([("allow-qatech",)], 2)
    stage.sync()
    assert stage.cloud.lists[RULE] == managed


def test_all_that_a_new_rule_will_open_is_shown(gcp):
    where = {"endpoint": gcp.endpoint, "priority": 900, "target_tags": ("web",)}
    stage = Cloudy(config(gcp_target(services=(HTTPS, HTTP), where=where)), {"qatech": [A, V6]})
    (target_change,) = stage.plan().plan.target_changes
    shown = {(rule, key): (old, new) for rule, key, old, new in target_change.settings}
    for rule in ("allow-qatech", "allow-qatech-v6"):
        assert set(shown[(rule, "ports")][1].split(",")) == {"443/tcp", "80/tcp"}
        assert shown[(rule, "priority")] == ("", "900")
        assert shown[(rule, "target_tags")] == ("", "web")
        assert "default" in shown[(rule, "network")][1]
    assert {old for old, _ in shown.values()} == {""}


def test_a_rule_that_goes_is_said():
    stage = Stage(config(gcp_target(limits=limited(Threshold(9, 0))), grace=ZERO), lists={"qatech": [A, V6]})
    stage.sync()
    stage.lists["qatech"] = [A]
    report = stage.sync()
    assert [e.deletes for e in report.plan.target_changes] == [("allow-qatech-v6",)]
    assert RULE6 not in stage.cloud.lists


# ── a match that can't be read ───────────────────────────────────────────────


def test_a_match_that_cannot_be_read_keeps_all_that_it_may_share(aws):
    aws_where = {"endpoint_url": aws.endpoint_url}
    group = aws.make_group("web", tags={"tier": "web"})
    tagged = aws_target("tagged", feeds=("cdn",), where={"groups": (), "match_tags": (("tier", "web"),), **aws_where})
    named = aws_target("named", where={"groups": (group,), **aws_where})
    stage = Cloudy(config(tagged, named, grace=ZERO), {"qatech": [A, B, D], "cdn": [B, C]})
    stage.sync()
    stage.lists["qatech"] = [A, D, E]
    aws.faults.plan("DescribeSecurityGroups", *["denied"])
    report = stage.sync()
    assert sorted(r["CidrIpv4"] for r in aws.rules(group)) == sorted([A, B, C, D, E])
    assert statuses(report) == {"tagged": "error", "named": "applied"}
    assert report.plan.orphaned == ()
    report = stage.sync()
    assert statuses(report) == {"tagged": "in-sync", "named": "in-sync"} or code(report) == 0


def test_a_match_of_groups_that_cannot_be_read_hinders_no_prefix_list_of_the_same_region():
    tagged = aws_target("tagged", where={"groups": (), "match_tags": (("tier", "web"),)})
    stage = Stage(config(list_target(), tagged, grace=ZERO), cloud=with_list(), lists={"qatech": [A, B, C]})
    stage.cloud.tags[GROUP] = {"tier": "web"}
    stage.sync()
    stage.lists["qatech"] = [A, B]
    stage.cloud.unreadable = {"tagged"}
    report = stage.sync()
    assert (statuses(report), code(report)) == ({"edge": "applied", "tagged": "error"}, 4)
    assert stage.held(LIST) == [B, A]


# ── one resource through several credentials ─────────────────────────────────


def through_two(grace: timedelta | None = GRACE) -> Stage:
    one = aws_target("one", where={"account": AwsAccount(profile="a")})
    two = aws_target("two", feeds=("cdn",), where={"account": AwsAccount(profile="b")})
    return Stage(config(one, two, grace=grace), lists={"qatech": [A, B], "cdn": [B, C]})


@pytest.mark.parametrize("grace", [ZERO, GRACE, None])
def test_a_group_that_is_reached_through_two_accounts_is_one_group(grace):
    stage = through_two(grace)
    report = stage.sync()
    assert statuses(report) == {"one": "applied", "two": "applied"}
    assert stage.held() == sorted([A, B, C])
    tags, writes = whose(GROUP, stage.cloud), stage.cloud.writes
    assert code(stage.sync()) == 0
    assert (whose(GROUP, stage.cloud), stage.cloud.writes) == (tags, writes)
    assert len(stage.sync().plan.target_changes) == 2


@pytest.mark.parametrize("changes", [{"qatech": [A]}, {"cdn": [C]}])
def test_what_one_credential_s_target_wants_is_not_removed_for_the_other_s(changes):
    stage = through_two(ZERO)
    stage.sync()
    stage.lists |= changes
    seen: list[list[str]] = []
    stage.cloud.after = lambda _step: seen.append(stage.held())
    stage.sync()
    assert all(B in held for held in seen)
    assert stage.held() == sorted([A, B, C])
    stage.lists = {"qatech": [A, D], "cdn": "feed cdn: no answer"}
    stage.sync()
    assert stage.held() == sorted([A, B, C, D])


@pytest.mark.parametrize("grace", [ZERO, GRACE])
def test_a_group_that_one_credential_cannot_read_keeps_all_that_its_target_may_want(grace):
    """It was dropped from the group: what it still wanted was removed for the other's sake, and called orphaned."""
    stage = through_two(grace)
    stage.sync()
    one, two = stage.config.targets
    stage.cloud.unreadable = {(two.scope, GROUP)}
    stage.lists["qatech"] = [A, D]
    report = stage.sync()
    assert statuses(report) == {"one": "applied", "two": "error"}
    assert (stage.held(), report.plan.orphaned, code(report)) == (sorted([A, B, C, D]), (), 4)
    stage.cloud.unreadable = {(one.scope, GROUP)}
    stage.lists |= {"qatech": [A, D], "cdn": [C]}
    stage.sync()
    assert {A, B, D} <= set(stage.held())
    stage.cloud.unreadable = set()
    stage.now += GRACE
    stage.sync()
    stage.now += GRACE
    assert code(stage.sync()) in {0, 2}
    assert stage.held() == sorted([A, C, D])


def test_only_one_of_two_credentials_is_asked_and_the_other_s_entries_stay():
    stage = through_two(ZERO)
    stage.sync()
    stage.lists = {"qatech": [A, D], "cdn": [C]}
    report = stage.sync("one")
    assert stage.held() == sorted([A, B, C, D])
    assert statuses(report) == {"one": "applied"}
    assert report.plan.orphaned == ()


# ── the union first: nothing closes before everything that can open is open ──


def failing(stage: Stage, resource: str) -> None:
    def refuse(operation):
        if operation.resource == resource:
            raise Denied("no")

    stage.cloud.before = refuse


@pytest.mark.parametrize(
    ("first", "then", "refused", "room"),
    [
        ([A, B], [A, V6], RULE6, 256),
        ([A, B], [A, C, V6], RULE6, 256),
        ([A, V6], [A, B, "2600::2"], RULE2, 1),
        ([A, B, C], [A, D, V6], RULE6, 256),
    ],
)
def test_a_rule_that_can_not_be_made_leaves_the_old_addresses_in(first, then, refused, room):
    where = {"max_ranges": room}
    made = config(gcp_target(limits=limited(Threshold(9, 0)), where=where), grace=ZERO)
    stage = Stage(made, lists={"qatech": first})
    stage.sync()
    there = {n for p in stage.cloud.lists.values() for n in p.networks}
    stage.lists["qatech"] = then
    failing(stage, refused)
    report = stage.sync()
    assert there <= {n for p in stage.cloud.lists.values() for n in p.networks}
    assert code(report) in {1, 4}
    stage.cloud.before = lambda _step: None
    assert statuses(stage.sync()) == {"edge": "applied"}
    assert {n for p in stage.cloud.lists.values() for n in p.networks} == set(networks(*then))


def test_a_narrower_port_waits_until_a_new_rule_is_made():
    """Settings close doors as well: what 1-65535 let in is gone when it becomes 443."""
    stage = Stage(config(gcp_target(services=(ANY,))), lists={"qatech": [A]})
    stage.sync()
    stage.config, stage.lists["qatech"] = config(gcp_target()), [A, V6]
    failing(stage, RULE6)
    stage.sync()
    assert dict(stage.cloud.lists[RULE].settings)["ports"] == "1-65535/tcp"


def test_everything_opens_everywhere_before_anything_closes_anywhere():
    targets = (
        aws_target("web", limits=limited(Threshold(9, 0))),
        aws_target("api", where={"groups": ("sg-2",)}, limits=limited(Threshold(9, 0))),
        gcp_target(limits=limited(Threshold(9, 0))),
    )
    stage = Stage(config(*targets, grace=ZERO), lists={"qatech": [A, B]})
    stage.cloud.groups[SG2] = {}
    stage.sync()
    stage.lists["qatech"] = [A, C, V6]
    held: list[list[set[str]]] = []

    def look(_step) -> None:
        listed = {str(n) for p in stage.cloud.lists.values() for n in p.networks}
        held.append([set(stage.held()), set(stage.held(SG2)), listed])

    stage.cloud.after = look
    stage.sync()
    closed = [i for i, places in enumerate(held) if any(B not in place for place in places)]
    opened = [i for i, places in enumerate(held) if all({C, V6} <= place for place in places)]
    assert opened
    assert closed
    assert min(opened) < min(closed)
    assert [sorted(p) for p in held[-1]] == [sorted([A, C, V6])] * 3


# ── two configs of one owner, and what others write into descriptions ────────


def test_another_config_s_rule_beside_ours_is_left_alone_and_reported():
    stage = Stage(config(gcp_target(), grace=ZERO), lists={"qatech": [A]})
    theirs = ManagedList(
        "allow-qatech-2", networks(C), rule_note("acme", {networks(C)[0]: Mark("acme", ("other",), "qatech")})
    )
    stage.cloud.lists[RULE2] = theirs
    for _ in range(2):
        report = stage.sync()
        assert stage.cloud.lists[RULE2] == theirs
        assert [(o.resource, str(o.entry.network), o.target) for o in report.plan.orphaned] == [(RULE2, C, "other")]
    assert stage.ranges() == [A]
    stage.config = config(gcp_target(where={"max_ranges": 1}), grace=ZERO)
    stage.lists["qatech"] = [A, B, D]
    stage.sync()
    assert stage.cloud.lists[RULE2] == theirs
    assert sorted(stage.ranges() + stage.ranges(f"{RULE}-3") + stage.ranges(f"{RULE}-4")) == sorted([A, B, D])


def test_our_own_overflow_is_no_stranger():
    stage = Stage(config(gcp_target(where={"max_ranges": 1}), grace=ZERO), lists={"qatech": [A, B]})
    stage.sync()
    stage.config = config(gcp_target("renamed", where={"max_ranges": 1}), grace=ZERO)
    report = stage.sync()
    assert report.plan.orphaned == ()
    assert sorted(stage.ranges() + stage.ranges(RULE2)) == sorted([A, B])
    assert code(stage.sync()) == 0


WORDS = st.lists(
    st.sampled_from(
        [
            "owner=acme",
            "owner=globex",
            "owner=",
            "target=",
            "target=edge",
            "target=,",
            "feed=",
            "feed=qatech",
            "static=x",
            "leaving=@",
            "leaving=8.8.8.8@",
            "leaving=8.8.8.8@2026-01-01T00:00:00Z",
            "added=;;@",
            "added=8.8.8.8@2099-01-01T00:00:00Z",
            "packed=",
            "packed=!!!",
            "=",
            "==",
        ]
    ),
    max_size=6,
)


@given(words=WORDS, name=st.sampled_from(["allow-qatech-2", "allow-qatech-v6", "allow-qatech-old"]))
def test_whatever_stands_in_a_description_stops_no_other_target(words, name):
    stage = Stage(config(aws_target(), gcp_target()), lists={"qatech": [A, B]})
    text = " ".join(["ipsync owner=acme", *words])
    network = networks("2600::9" if name.endswith("v6") else "9.9.9.9")
    stage.cloud.lists[f"gcp/acme/{name}"] = ManagedList(name, network, (("description", text),))
    report = stage.sync()
    assert statuses(report)["web"] == "applied"
    assert stage.held() == sorted([A, B])
    assert statuses(report)["edge"] in {"applied", "change", "blocked", "partial"}
    assert not any("a fault in ipsync" in (e.error or "") for e in report.plan.target_changes)


TAGS = st.dictionaries(
    st.sampled_from(["ipsync:target", "ipsync:feed", "ipsync:leaving-since", "ipsync:added-at", "description"]),
    st.sampled_from(["", ",", "web", "qatech", "static", "yesterday", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]),
)


@given(tags=TAGS)
def test_whatever_stands_in_a_rule_s_tags_stops_nobody(tags):
    stage = Stage(config(aws_target(), gcp_target()), lists={"qatech": [A, B]})
    stage.cloud.put(GROUP, Entry(networks(C)[0], HTTPS, tuple(sorted({"ipsync:owner": "acme", **tags}.items()))))
    report = stage.sync()
    assert set(statuses(report).values()) == {"applied"}
    assert {A, B} <= set(stage.held())


def test_a_rule_without_a_target_is_nobodys_and_ends_no_run(gcp):
    body = {"name": "legacy", "description": "ipsync owner=acme", "sourceRanges": ["9.9.9.9/32"]}
    gcp.seed_firewall("acme", body | {"allowed": [{"IPProtocol": "tcp", "ports": ["22"]}]})
    stage = Cloudy(config(gcp_target(where={"endpoint": gcp.endpoint})), {"qatech": [A]})
    report = stage.sync()
    assert statuses(report) == {"edge": "applied"}
    assert [o.resource for o in report.plan.orphaned] == ["gcp/acme/legacy"]
    assert gcp.firewalls("acme")["legacy"]["sourceRanges"] == ["9.9.9.9/32"]


# ── the operator's word is that of the target that the mark names ────────────


@pytest.mark.parametrize("grace", [GRACE, None])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (aws_target("one", services=(HTTPS, HTTP)), aws_target("one")),
        (aws_target("one", services=(HTTP,)), aws_target("one")),
        (aws_target("one", services=(HTTP,), feeds=("qatech", "spare")), aws_target("one", services=(HTTP,))),
        (aws_target("one", services=(HTTP,), static=networks(E)), aws_target("one", services=(HTTP,))),
    ],
    ids=["a port of two", "the only port", "a feed", "a static address"],
)
def test_what_one_target_gives_up_goes_though_a_sibling_opens_that_port_for_others(grace, before, after):
    two = aws_target("two", services=(HTTP,), feeds=("cdn", "spare"), limits=())
    loose = limited(Threshold(9, 0), "qatech", "spare")
    elsewhere = aws_target("elsewhere", feeds=("spare",), where={"groups": ("sg-2",)}, limits=())
    two = replace(two, feeds=("cdn",))
    stage = Stage(
        config(replace(before, limits=loose), two, elsewhere, grace=grace),
        lists={"qatech": [A], "cdn": [C], "spare": [D]},
    )
    stage.cloud.groups[SG2] = {}
    stage.sync()
    stage.config = config(replace(after, limits=loose), two, elsewhere, grace=grace)
    stage.sync()
    there = {(str(e.network), str(e.service)) for e in stage.cloud.groups[GROUP].values()}
    wanted = {(A, str(s)) for s in after.services} | {(C, "80/tcp")}
    assert there == wanted


# ── limits ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("only", "cdn"), [((), [E]), (("loose",), [E]), ((), "feed cdn: down"), ((), [])])
def test_the_strictest_limit_of_a_shared_group_holds_whoever_is_asked(only, cdn):
    loose = aws_target("loose", limits=limited(Threshold(100, 100)))
    strict = aws_target("strict", feeds=("cdn",), services=(HTTP,), limits=limited(Threshold(1, 0), "cdn"))
    stage = Stage(config(loose, strict, grace=ZERO), lists={"qatech": hosts(10), "cdn": [E]})
    stage.sync()
    stage.lists = {"qatech": hosts(7), "cdn": cdn}
    report = stage.sync(*only)
    assert len(held_ids(report)["remove"]) == 1
    assert len(stage.held()) == 11


def test_the_strictest_limit_of_a_shared_rule_holds():
    loose = gcp_target("loose", limits=limited(Threshold(100, 100)))
    strict = gcp_target("strict", feeds=("cdn",), limits=limited(Threshold(1, 0), "cdn"))
    stage = Stage(config(loose, strict, grace=ZERO), lists={"qatech": hosts(10), "cdn": [E]})
    stage.sync()
    stage.lists["qatech"] = hosts(7)
    assert (code(stage.sync()), len(stage.ranges())) == (3, 11)


def test_a_feed_s_own_looser_limit_has_its_effect():
    limits = (("qatech", Limits()), ("cdn", Limits(max_removals=Threshold(9, 0))))
    stage = Stage(
        config(aws_target(feeds=("qatech", "cdn"), limits=limits), grace=ZERO),
        lists={"qatech": hosts(4), "cdn": hosts(6, first=100)},
    )
    stage.sync()
    stage.lists["cdn"] = hosts(2, first=100)
    assert statuses(stage.sync()) == {"web": "applied"}
    assert len(stage.held()) == 6
    stage.lists["qatech"] = hosts(2)
    assert code(stage.sync()) == 3
    assert len(stage.held()) == 6


def test_orphans_do_not_loosen_the_limit():
    stage = Stage(config(aws_target(), grace=ZERO), lists={"qatech": hosts(4)})
    stage.sync()
    for network in hosts(20, first=500):
        stage.cloud.put(GROUP, Entry(network, HTTPS, entry_note(Mark("acme", ("of-another-config",), "qatech"))))
    stage.lists["qatech"] = hosts(2)
    report = stage.sync()
    assert (code(report), len(stage.held())) == (3, 24)


# ── patience ─────────────────────────────────────────────────────────────────


def pass_by_pass(stage: Stage, lists, every: timedelta, *, then: int = 40) -> list[int]:
    """Sync once for each list and then on; return the codes."""
    codes = []
    for listed in [*lists, *[lists[-1]] * then]:
        stage.lists["qatech"] = listed
        codes.append(code(stage.sync()))
        stage.now += every
    return codes


@pytest.mark.parametrize("make", [aws_target, gcp_target])
@pytest.mark.parametrize("hours", [1, 12, 24, 71])
def test_a_drip_does_not_walk_around_the_limit(make, hours):
    stage = Stage(config(make()), lists={"qatech": hosts(20)})
    stage.sync()
    stage.now += 100 * HOUR
    sizes = (14, 10, 7, 5, 4, 3, 2, 1)
    codes = pass_by_pass(stage, [hosts(n) for n in sizes], timedelta(hours=hours), then=100)
    there = stage.held() if make is aws_target else stage.ranges()
    assert 3 in codes
    assert len(there) >= 10


@pytest.mark.parametrize("make", [aws_target, gcp_target])
def test_a_list_that_is_blown_up_by_strangers_can_not_be_robbed_of_the_old(make):
    stage = Stage(config(make()), lists={"qatech": hosts(20)})
    stage.cloud.quota = 1000
    stage.sync()
    stage.now += 100 * HOUR
    real, strangers = hosts(20), hosts(60, first=5000)
    lists = [[*real, *strangers[:n]] for n in (20, 40, 60)] + [strangers]
    codes = pass_by_pass(stage, lists, HOUR, then=0)
    assert codes[:3] == [0, 0, 0]
    stage.now += GRACE
    report = stage.sync()
    assert code(report) == 3
    there = stage.held() if make is aws_target else stage.ranges()
    assert {str(n) for n in real} <= set(there)


def test_what_was_added_long_ago_does_count():
    stage = Stage(config(aws_target()), lists={"qatech": hosts(4)})
    stage.sync()
    stage.lists["qatech"] = hosts(10)
    stage.sync()
    stage.now += GRACE
    stage.lists["qatech"] = hosts(10)[3:]
    stage.sync()
    stage.now += GRACE
    assert statuses(stage.sync()) == {"web": "applied"}, "3 of 10, where 3 of 4 would be too many"
    assert len(stage.held()) == 7


def test_an_hour_too_young_it_does_not():
    stage = Stage(config(aws_target()), lists={"qatech": hosts(4)})
    stage.sync()
    stage.lists["qatech"] = hosts(10)
    stage.sync()
    stage.now += GRACE - HOUR
    stage.lists["qatech"] = hosts(10)[3:]
    stage.sync()
    stage.now += GRACE
    assert code(stage.sync()) == 3
    assert len(stage.held()) == 10


@pytest.mark.parametrize("make", [aws_target, gcp_target])
def test_single_addresses_do_not_become_networks_unasked(make):
    stage = Stage(config(make(), grace=ZERO), lists={"qatech": hosts(20)})
    stage.sync()
    before = stage.held() if make is aws_target else stage.ranges()
    stage.lists["qatech"] = [*(f"9.{i}.0.0/16" for i in range(2)), *hosts(20)[:18]]
    report = stage.sync()
    there = stage.held() if make is aws_target else stage.ranges()
    assert code(report) == 3
    assert not [n for n in there if n.endswith("/16")]
    assert set(there) == set(before) - {str(n) for n in hosts(20)[18:]}, "and the removals went on"


def test_a_first_sync_of_too_much_is_refused():
    wide = [f"{a}.{b}.0.0/16" for a in (8, 9) for b in range(200)]
    stage = Stage(config(aws_target()), lists={"qatech": wide})
    report = stage.sync()
    assert ([v.guard for e in report.plan.target_changes for v in e.violations], stage.held()) == (["max-coverage"], [])


@pytest.mark.parametrize("make", [aws_target, gcp_target])
def test_sixteen_addresses_that_become_one_network_are_neither_lost_nor_new(make):
    singles = [f"9.9.9.{i}" for i in range(16)]
    stage = Stage(config(make(), grace=ZERO), lists={"qatech": [*singles, A, B]})
    stage.sync()
    stage.lists["qatech"] = ["9.9.9.0/28", A, B]
    assert set(statuses(stage.sync()).values()) == {"applied"}
    there = stage.held() if make is aws_target else stage.ranges()
    assert there == sorted(["9.9.9.0/28", A, B])
    stage.lists["qatech"] = [*singles, A, B]
    assert set(statuses(stage.sync()).values()) == {"applied"}


# ── what waits waits alone ───────────────────────────────────────────────────


@pytest.mark.parametrize("make", [aws_target, gcp_target])
@pytest.mark.parametrize("grace", [ZERO, GRACE])
def test_a_vendor_that_moves_is_let_in_today_and_its_old_addresses_wait(make, grace):
    stage = Stage(config(make(), grace=grace), lists={"qatech": hosts(20)})
    stage.sync()
    stage.now += 100 * HOUR
    old, new = [str(n) for n in hosts(20)], [str(n) for n in hosts(20, first=300)]
    stage.lists["qatech"] = new
    there = stage.held if make is aws_target else stage.ranges
    stage.sync()
    assert there() == sorted([*old, *new])
    stage.now += grace
    report = stage.sync()
    assert (code(report), there()) == (3, sorted([*old, *new]))
    (waits,) = held_ids(report)["remove"]
    stage.lists["qatech"] = [*new, A]  # the feed moves on
    moved = stage.sync()
    assert A in there()
    assert held_ids(moved)["remove"] == [waits]
    done = stage.sync(approve=waits)
    assert there() == sorted([*new, A])
    assert code(done) == 0


def test_additions_that_wait_let_removals_and_small_additions_of_other_feeds_go():
    made = config(aws_target(feeds=("qatech", "cdn"), limits=()), grace=ZERO)
    stage = Stage(made, lists={"qatech": hosts(10), "cdn": hosts(2, first=100)})
    stage.cloud.quota = 1000
    stage.sync()
    stage.lists = {"qatech": [*hosts(9), "9.1.0.0/16"], "cdn": hosts(2, first=100)}
    report = stage.sync()
    assert code(report) == 3
    assert len(stage.held()) == 11, "the removal went"
    assert "9.1.0.0/16" not in stage.held()
    (waits,) = held_ids(report)["add"]
    report = stage.sync(approve=waits)
    assert "9.1.0.0/16" in stage.held()
    assert code(stage.sync()) == 0


def test_several_approvals_at_once_let_go_what_each_names():
    targets = (aws_target("web"), aws_target("api", where={"groups": ("sg-2",)}))
    stage = Stage(config(*targets, grace=ZERO), lists={"qatech": hosts(10)})
    stage.cloud.groups[SG2] = {}
    stage.sync()
    stage.lists["qatech"] = [*hosts(5), *hosts(21, first=100)]
    report = stage.sync()
    ids = held_ids(report)
    assert (len(set(ids["remove"])), len(set(ids["add"]))) == (2, 2)
    first = {e.target: e.waiting for e in report.plan.target_changes}["web"]
    done = engine.sync(stage.run(), approve=frozenset({h.id for h in first}))
    assert statuses(done)["web"] == "applied"
    assert (len(stage.held()), len(stage.held(SG2))) == (26, 10)
    assert {e.target: len(e.waiting) for e in done.plan.target_changes} == {"web": 0, "api": 2}
    assert code(done) == 3
    rest = {h.id for e in done.plan.target_changes for h in e.waiting}
    wrong = engine.sync(stage.run(), approve=frozenset({"change:0123456789abcdef0123", "sha256:0"}))
    assert (len(wrong.notices), len(stage.held(SG2))) == (2, 10)
    assert code(engine.sync(stage.run(), approve=frozenset(rest))) == 0
    assert len(stage.held(SG2)) == 26


@pytest.mark.parametrize("make", [aws_target, gcp_target])
def test_the_operators_word_goes_at_once_while_what_a_feed_dropped_waits(make):
    stage = Stage(config(make(static=networks(E)), grace=ZERO), lists={"qatech": hosts(10)})
    stage.sync()
    stage.config, stage.lists["qatech"] = config(make(), grace=ZERO), hosts(5)
    report = stage.sync()
    there = stage.held() if make is aws_target else stage.ranges()
    assert (code(report), there) == (3, sorted(str(n) for n in hosts(10)))


def test_the_id_of_what_is_taken_out_is_another_than_that_of_what_was_dropped():
    stage = Stage(config(aws_target(static=hosts(4, first=50)), grace=ZERO), lists={"qatech": hosts(6)})
    stage.sync()
    stage.config, stage.lists["qatech"] = config(aws_target(), grace=ZERO), hosts(2)
    report = stage.sync()
    assert len(held_ids(report)["remove"]) == 2
    dropped = next(
        h for e in report.plan.target_changes for h in e.waiting if hosts(6)[5] in {x.network for x in h.entries}
    )
    stage.sync(approve=dropped.id)
    assert stage.held() == sorted(str(n) for n in (*hosts(2), *hosts(4, first=50)))


def test_nothing_is_emptied_and_that_can_not_be_approved():
    stage = Stage(config(aws_target(), grace=ZERO), lists={"qatech": [A, B]})
    stage.sync()
    stage.cloud.put(GROUP, Entry(networks("5.5.0.0/16")[0], HTTPS))
    stage.lists["qatech"] = ["5.5.5.5"]  # a foreign entry covers it: nothing of ours would be left
    report = stage.sync()
    (waits,) = held_ids(report)["remove"]
    for approval in (waits, report.plan.id):
        assert code(stage.sync(approve=approval)) == 3
    assert stage.held() == sorted([A, B, "5.5.0.0/16"])


def full(make, number: int = 6) -> Stage:
    """Return a resource as full as it may be, of which all is to be replaced, removing first."""
    stage = Stage(config(make(remove_first=True), grace=ZERO), cloud=with_list(number), lists={"qatech": hosts(number)})
    stage.cloud.quota = number
    stage.sync()
    stage.lists["qatech"] = hosts(number, first=100)
    return stage


@pytest.mark.parametrize(("make", "resource"), [(aws_target, GROUP), (list_target, LIST)])
def test_what_fits_only_once_a_waiting_removal_is_approved_waits_with_it_and_the_cloud_is_not_asked(make, resource):
    stage = full(make)
    writes = stage.cloud.writes
    report = stage.sync()
    assert (stage.cloud.writes, exit_code(report, detailed=False)) == (writes, 3)
    (target_change,) = report.plan.target_changes
    assert {(v.guard, v.verdict.value) for v in target_change.violations} == {
        ("max-removals", "needs-approval"),
        ("capacity", "needs-approval"),
    }
    assert {h.action for h in target_change.waiting} == {"add", "remove"}
    report = stage.sync(approve={h.id for h in target_change.waiting})
    assert exit_code(report, detailed=False) == 0
    assert stage.held(resource) == sorted(map(str, hosts(6, first=100)))


@pytest.mark.parametrize(("make", "resource"), [(aws_target, GROUP), (list_target, LIST)])
def test_where_removing_may_come_first_what_leaves_a_full_resource_is_marked_and_makes_room(make, resource):
    stage = Stage(config(make(remove_first=True, limits=())), cloud=with_list(6), lists={"qatech": hosts(6)})
    stage.cloud.quota = 6
    stage.sync()
    stage.lists["qatech"] = [*hosts(5), C]
    report = stage.sync()
    assert (exit_code(report, detailed=False), stage.held(resource)) == (3, sorted(map(str, hosts(6))))
    (capacity,) = (v.detail for e in report.plan.target_changes for v in e.violations)
    assert capacity.endswith("or wait: what is leaving makes room")
    writes = stage.cloud.writes
    assert (exit_code(stage.sync(), detailed=False), stage.cloud.writes) == (3, writes)
    stage.now += GRACE
    assert exit_code(stage.sync(), detailed=False) == 0
    assert stage.held(resource) == sorted(map(str, [*hosts(5), C]))


@pytest.mark.parametrize("make", [aws_target, list_target])
def test_where_it_may_not_a_full_resource_is_left_alone(make):
    stage = Stage(config(make(limits=())), cloud=with_list(6), lists={"qatech": hosts(6)})
    stage.cloud.quota = 6
    stage.sync()
    stage.lists["qatech"], writes = [*hosts(5), C], stage.cloud.writes
    assert (exit_code(stage.sync(), detailed=False), stage.cloud.writes) == (3, writes)


@pytest.mark.parametrize(("make", "resource"), [(aws_target, GROUP), (list_target, LIST)])
def test_a_full_resource_of_which_all_is_replaced_is_never_empty_in_between(make, resource):
    stage, seen = full(make), []
    stage.cloud.after = lambda _step: seen.append(len(stage.held(resource)))
    stage.sync(approve=stage.plan().plan.id)
    assert (min(seen), seen[-1]) == (1, 6)


# ── renames ──────────────────────────────────────────────────────────────────


def test_a_static_address_that_goes_with_a_renamed_target_keeps_the_grace_that_was_told():
    fixed = gcp_target("edge", static=networks(E), limits=())
    stage = Stage(config(fixed), lists={"qatech": [A, B, C, D]})
    stage.sync()
    stage.config = config(gcp_target("side", limits=()))
    stage.sync()
    assert stage.ranges() == sorted([A, B, C, D, E])
    writes = stage.cloud.writes
    stage.sync()
    assert (stage.ranges(), stage.cloud.writes) == (sorted([A, B, C, D, E]), writes)
    stage.now += GRACE
    stage.sync()
    assert stage.ranges() == sorted([A, B, C, D])


@pytest.mark.parametrize("make", [aws_target, gcp_target])
def test_a_renamed_feed_keeps_the_grace_of_what_it_drops(make):
    stage = Stage(config(make()), lists={"qatech": [A, B, C, D]})
    stage.sync()
    stage.config = config(make(feeds=("vendor",), limits=()))
    stage.lists = {"vendor": [A, B, C]}
    there = stage.held if make is aws_target else stage.ranges
    stage.sync()
    assert there() == sorted([A, B, C, D])
    stage.now += GRACE - HOUR
    stage.sync()
    assert there() == sorted([A, B, C, D])
    stage.now += HOUR
    assert code(stage.sync()) == 0
    assert there() == sorted([A, B, C])


@pytest.mark.parametrize("make", [aws_target, gcp_target])
def test_what_was_leaving_a_renamed_target_goes_on_leaving(make):
    stage = Stage(config(make("was")), lists={"qatech": [A, B, C, D]})
    stage.sync()
    stage.lists["qatech"] = [A, B, C]
    stage.sync()
    stage.config = config(make("is"))
    stage.now += HOUR
    report = stage.sync()
    there = stage.held if make is aws_target else stage.ranges
    assert report.plan.orphaned == ()
    assert there() == sorted([A, B, C, D])
    stage.now += GRACE - HOUR
    stage.sync()
    assert there() == sorted([A, B, C])
    assert code(stage.sync()) == 0


@pytest.mark.parametrize("after", range(8))
@pytest.mark.parametrize(
    ("then", "changes"),
    [
        ([A, B, C], {}),
        ([A, B, C, D, E], {}),
        ([A, C, D, V6], {}),
        ([A, B, C], {"services": (HTTP,)}),
        ([A, C, D, E], {"services": (HTTP,), "where": {"max_ranges": 2}}),
    ],
)
def test_a_rename_that_ends_halfway_is_ended_by_the_next_run(after, then, changes):
    """Until all lists have the new name, the first one keeps the old: else the others were taken for another config's."""
    where = {"max_ranges": 1}
    loose = limited(Threshold(9, 0))
    stage = Stage(config(gcp_target("was", where=where, limits=loose), grace=ZERO), lists={"qatech": [A, B, C]})
    stage.sync()
    stage.config = config(gcp_target("is", **{"where": where, "limits": loose, **changes}), grace=ZERO)
    stage.lists["qatech"] = then
    left = [None] * after

    def end(_step) -> None:
        if not left:
            raise Denied("no")
        left.pop()

    stage.cloud.before = end
    stage.sync()
    stage.cloud.before = lambda _step: None
    report = stage.sync()
    assert report.plan.orphaned == ()
    assert sorted(n for managed in stage.cloud.lists.values() for n in managed.networks if n.version == 4) == sorted(
        n for n in networks(*then) if n.version == 4
    )
    assert code(stage.sync()) == 0


@pytest.mark.parametrize("there", [[A], []], ids=["ours is there", "ours is to be made"])
@pytest.mark.parametrize("name", ["allow-qatech-2", "allow-qatech-v6", "allow-qatech-v6-2", "allow-qatech-7"])
@pytest.mark.parametrize("by", ["other", ""])
def test_a_rule_that_names_nobody_of_ours_is_left_alone_whatever_number_it_has(there, name, by):
    stage = Stage(config(gcp_target(where={"max_ranges": 1}), grace=ZERO), lists={"qatech": [A]})
    if there:
        stage.sync()
    network = networks("2600::9" if "v6" in name else "9.9.9.9")[0]
    marks = {network: Mark("acme", (by,) if by else (), "qatech", NOW - 1000 * HOUR)}
    theirs = stage.cloud.lists[f"gcp/acme/{name}"] = ManagedList(name, (network,), rule_note("acme", marks))
    stage.lists["qatech"] = [A, B, V6, "2600::2"]
    for _ in range(2):
        report = stage.sync()
        assert stage.cloud.lists[f"gcp/acme/{name}"] == theirs
        assert [(o.resource, o.target) for o in report.plan.orphaned] == [(f"gcp/acme/{name}", by)]
    assert code(report) == 0
    ours = sorted(str(n) for p in stage.cloud.lists.values() if p != theirs for n in p.networks)
    assert ours == sorted([A, B, V6, "2600::2/128"])


def test_what_leaves_for_another_config_s_target_on_another_port_is_left_alone():
    stage = Stage(config(aws_target()), lists={"qatech": [A]})
    gone = Mark("acme", ("theirs",), "qatech", NOW - 1000 * HOUR)
    stage.cloud.put(GROUP, Entry(networks(C)[0], HTTP, entry_note(gone)))
    report = stage.sync()
    assert stage.held() == sorted([A, C])
    assert [str(o.entry.network) for o in report.plan.orphaned] == [C]


# ── shared rules ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cdn", [[B, C], [A, B], [C]])
@pytest.mark.parametrize("static", [(), networks(E)])
def test_the_second_sync_of_a_rule_that_two_share_is_quiet(cdn, static):
    one, two = gcp_target("one", static=static), gcp_target("two", feeds=("cdn",))
    stage = Stage(config(two, one), lists={"qatech": [A, B], "cdn": cdn})
    stage.sync()
    writes = stage.cloud.writes
    for _ in range(3):
        assert code(stage.sync()) == 0
    assert stage.cloud.writes == writes
    assert code(stage.sync("one")) == 0
    assert stage.cloud.writes == writes


@pytest.mark.parametrize(
    ("only", "qatech"), [(("two",), [A, B]), ((), "feed qatech: down"), ((), [])], ids=["unselected", "down", "empty"]
)
def test_a_frozen_target_s_entry_keeps_its_name(only, qatech):
    one, two = aws_target("one"), aws_target("two", feeds=("cdn",))
    stage = Stage(config(one, two), lists={"qatech": [A, B], "cdn": [C]})
    stage.sync()
    stage.lists = {"qatech": qatech, "cdn": [A, C]}
    stage.sync(*only)
    assert whose(GROUP, stage.cloud) == {A: ("one", "qatech"), B: ("one", "qatech"), C: ("two", "cdn")}


def test_a_frozen_target_keeps_its_name_in_a_rule_that_two_share():
    one, two = gcp_target("one"), gcp_target("two", feeds=("cdn",))
    stage = Stage(config(one, two), lists={"qatech": [A], "cdn": [B]})
    stage.sync()
    stage.lists = {"qatech": "feed qatech: down", "cdn": [B, C]}
    stage.sync()
    text = dict(stage.cloud.lists[RULE].note)["description"]
    assert "target=one,two feed=cdn,qatech" in text
    assert stage.ranges() == sorted([A, B, C])


def test_a_frozen_target_s_range_that_stands_in_two_rules_keeps_each_one_s_mark():
    one, two = gcp_target("one", where={"max_ranges": 2}), gcp_target("two", feeds=("cdn",), where={"max_ranges": 2})
    stage = Stage(config(one, two), lists={"qatech": [A, B, C], "cdn": [A]})
    stage.sync()
    stage.lists = {"qatech": [B, C], "cdn": [B]}
    stage.sync()
    further = stage.cloud.lists[RULE2]
    stage.cloud.lists[RULE2] = replace(further, networks=networks(A, *map(str, further.networks)))  # by hand
    before = dict(stage.cloud.lists)
    stage.lists["cdn"] = "feed cdn: down"
    stage.sync()
    assert stage.cloud.lists == before
    stage.lists["cdn"] = [B]
    stage.sync()
    assert all(
        f"leaving={A.partition('/')[0]}@" in dict(stage.cloud.lists[r].note)["description"] for r in (RULE, RULE2)
    )


def test_a_range_that_stands_in_two_rules_goes_on_naming_a_frozen_target_that_one_of_them_names():
    stage = Stage(config(gcp_target("one"), gcp_target("two", feeds=("cdn",))), lists={"qatech": [A], "cdn": [A]})
    stage.sync()
    further = (("description", "ipsync owner=acme target=one feed=qatech"),)  # by hand
    stage.cloud.lists[RULE2] = replace(stage.cloud.lists[RULE], name="allow-qatech-2", note=further)
    stage.lists["cdn"] = "feed cdn: down"
    stage.sync()
    assert all("target=one,two" in dict(stage.cloud.lists[r].note)["description"] for r in (RULE, RULE2))


def test_what_comes_goes_into_a_further_rule_of_ours_that_has_room():
    stage = Stage(config(gcp_target(where={"max_ranges": 2})), lists={"qatech": [A, B, C]})
    stage.sync()
    stage.lists["qatech"] = [A, B, C, D]
    stage.sync()
    assert sorted(stage.cloud.lists) == [RULE, RULE2]


# ── grace, and families ──────────────────────────────────────────────────────


@pytest.mark.parametrize("make", [aws_target, gcp_target])
@pytest.mark.parametrize(("grace", "gone"), [(ZERO, 0), (GRACE, 72), (None, None)])
def test_a_shared_resource_s_grace_is_the_config_s(make, grace, gone):
    one, two = make("one"), make("two", feeds=("cdn",))
    stage = Stage(config(one, two, grace=grace), lists={"qatech": [A, B, D, E], "cdn": [A, B, C]})
    stage.sync()
    stage.lists["qatech"] = [A, B, D]
    there = stage.held if make is aws_target else stage.ranges
    for hours in (0, 71, 1, 9999):
        stage.now += hours * HOUR
        stage.sync()
        passed = (stage.now - NOW) // HOUR
        assert (E in there()) == (gone is None or passed < gone)
    assert set(there()) >= {A, B, C, D}


@pytest.mark.parametrize("make", [aws_target, gcp_target])
def test_icmp_is_for_its_own_family_and_the_other_ports_are_for_both(make):
    services = (HTTPS, Service("icmp"), Service("icmpv6"))
    stage = Stage(config(make(services=services)), lists={"qatech": [A, V6]})
    stage.sync()
    if make is aws_target:
        there = {(str(e.network), str(e.service)) for e in stage.cloud.groups[GROUP].values()}
        assert there == {(A, "443/tcp"), (A, "icmp"), (V6, "443/tcp"), (V6, "icmpv6")}
    else:
        ports = {n: set(dict(p.settings)["ports"].split(",")) for n, p in stage.cloud.lists.items()}
        assert ports == {RULE: {"443/tcp", "icmp"}, RULE6: {"443/tcp", "icmpv6"}}
    assert code(stage.sync()) == 0


@pytest.mark.parametrize("make", [aws_target, gcp_target])
def test_a_family_that_no_port_exists_in_is_said_and_opens_nothing(make):
    stage = Stage(config(make(services=(Service("icmp"),))), lists={"qatech": [A, V6]})
    report = stage.sync()
    assert [v.guard for e in report.plan.target_changes for v in e.violations] == ["family"]
    assert (stage.held() if make is aws_target else stage.ranges()) == [A]
    assert RULE6 not in stage.cloud.lists
    assert code(stage.sync()) == 0


def test_a_rule_that_only_an_approval_deletes_is_blocked_and_its_sharers_are_not():
    """It was told as `change` after a sync that had changed nothing, and so was a sibling that nothing of it concerned."""
    web, edge = gcp_target("web", where={"max_ranges": 4}), gcp_target("edge", feeds=("cdn",), where={"max_ranges": 4})
    stage = Stage(config(web, edge, grace=ZERO), lists={"qatech": [A, B, C, D, V6, "2600::2"], "cdn": [A]})
    stage.sync()
    stage.lists["qatech"] = [A, B, C, D]
    report = stage.sync()
    assert statuses(report) == {"web": "blocked", "edge": "in-sync"}
    assert code(report) == 3
    (waits,) = report.plan.target_changes[0].waiting
    assert report.plan.target_changes[0].deletes == ("allow-qatech-v6",)
    assert summarize(report.plan.target_changes).in_sync == 1
    report = stage.sync(approve=waits.id)
    assert statuses(report) == {"web": "applied", "edge": "in-sync"}
    assert [v.guard for v in report.plan.target_changes[0].violations] == []
    assert (code(report), f"{RULE}-v6" in stage.cloud.lists) == (0, False)
