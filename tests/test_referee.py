"""The referee sees each promise of the contract that is broken by a write or by a report, and lets what is right pass.

The broken ones are those that the field has seen: what wasn't selected was written, a match that couldn't be read lost
addresses, another config's rule was deleted, patience walked around a guard, and so on.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from factory import HTTPS, NOW, aws_target, config, gcp_target, hosts, networks

from ipsync import app as worker
from ipsync.core.configured import Limits, Threshold
from ipsync.core.model import ManagedList, Network, Service
from ipsync.demo import story
from ipsync.testing.memory import MemoryCloud
from proof.referee import Facts, Held, Hole, Line, Referee, Told, Write
from proof.referee.facts import Mark
from proof.referee.limits import refusal, too_many_added, too_many_removed
from proof.referee.marks import of_description, of_tags
from proof.referee.wanted import ways
from proof.watch import Watch
from proof.watch_sandbox import SandboxWatch

GROUP, RULE = "aws/1/eu-north-1/sg-1", "gcp/acme/allow-qatech"
HOURS = timedelta(hours=1)
ANY = Service("tcp", 1, 65535)
SSH = Service("tcp", 22, 22)
OLD, KEPT, NEW, OTHER, SIXTH = networks("8.8.0.1", "8.8.0.2", "8.8.0.3", "8.8.0.4", "2600::1")
WEB, OPS = aws_target("web"), aws_target("ops", feeds=("uptime",))
EDGE, SIDE = gcp_target("edge"), gcp_target("side", feeds=("uptime",))
FEW = Limits(max_additions=Threshold(2, 50))
LOOSE = Limits(max_removals=Threshold(100, 100), max_additions=Threshold(1000, 100))


def mark(*targets: str, feed: str = "qatech", owner: str = "acme", since: timedelta | None = None) -> Mark:
    return Mark(owner, frozenset(targets or ("web",)), frozenset({feed}), NOW - since if since is not None else None)


def rules(*held: tuple[Network, Mark | None], way: str = "443/tcp") -> dict[str, Held]:
    return {f"sgr-{n} {way} {m and m.owner}": Held(Hole(n, way), m) for n, m in held}


def ranges(target, *held: tuple[Network, Mark | None], name: str = "allow-qatech") -> dict[str, Held]:
    (way,) = ways(target, 4)
    return {f"{name}|{n}": Held(Hole(n, way), m) for n, m in held}


def facts(*targets, **changes) -> Facts:
    targets = targets or (WEB,)
    naming: dict[str, frozenset[str]] = {}
    for target in targets:
        place = GROUP if target.kind.startswith("aws") else RULE
        naming[place] = naming.get(place, frozenset()) | {target.name}
    given = {
        "config": config(*targets),
        "selected": frozenset(t.name for t in targets),
        "now": NOW,
        "served": {"qatech": networks(str(KEPT), str(NEW)), "uptime": networks(str(KEPT), str(OTHER))},
        "naming": naming,
        "held": {},
    }
    return Facts(**{**given, **changes})


def judged(known: Facts, *writes: tuple[dict[str, Held], dict[str, Held]], place: str = "", **more) -> str:
    """Return the referee's words about writes of one pass, each from what was held to what would be held."""
    referee = Referee(added=dict(known.added))
    resource = next(iter(known.naming), GROUP)
    referee.begin(known if known.held else replace(known, held={resource: writes[0][0]}))
    for seq, (before, after) in enumerate(writes):
        write = Write(resource, place or resource, before, after, **more)
        referee.write(write, intent(write, seq))
        referee.answered(write, carried_out=True)
    return "\n".join(referee.fouls)


def intent(write: Write, seq: int = 0) -> dict[str, object]:
    before, after = ([f"{h.hole.network} {h.hole.way}" for h in c.values()] for c in (write.before, write.after))
    return {"seq": seq, "resource": write.place, "before": before, "after": after}


# ── what is right passes ─────────────────────────────────────────────────────

STANDS = (KEPT, mark())


def test_what_a_target_wants_is_let_in():
    assert not judged(facts(), (rules(STANDS), rules(STANDS, (NEW, mark()))))


def test_what_is_dropped_is_marked_and_goes_after_its_grace():
    held = rules((OLD, mark()), STANDS)
    assert not judged(facts(), (held, rules((OLD, mark(since=0 * HOURS)), STANDS)))
    assert not judged(facts(), (rules((OLD, mark(since=72 * HOURS)), STANDS), rules(STANDS)))


def test_without_grace_it_goes_at_once():
    known = replace(facts(), config=config(WEB, grace=timedelta(0)))
    assert not judged(known, (rules((OLD, mark()), STANDS), rules(STANDS)))


@pytest.mark.parametrize(
    ("gone", "way"),
    [(mark(feed="static"), "443/tcp"), (mark(), "22/tcp"), (mark(feed="uptime"), "443/tcp")],
    ids=["static address", "port", "feed"],
)
def test_the_operators_word_goes_at_once(gone, way):
    held = rules((OLD, gone), way=way)
    assert not judged(facts(WEB, SIDE), (held | rules(STANDS), rules(STANDS)))


def test_what_comes_back_loses_its_mark():
    held = rules((NEW, mark(since=9 * HOURS)), STANDS)
    assert not judged(facts(), (held, rules((NEW, mark()), STANDS)))


def test_a_renamed_target_takes_over_what_it_wants():
    assert not judged(facts(), (rules((KEPT, mark("was-web"))), rules(STANDS)))


def test_a_rule_is_made_then_widened_then_narrowed():
    first = ranges(EDGE, (KEPT, mark("edge")))
    both = ranges(EDGE, (KEPT, mark("edge")), (OLD, mark("edge", since=72 * HOURS)))
    assert not judged(facts(EDGE), ({}, first))
    assert not judged(facts(EDGE), (both, both | ranges(EDGE, (NEW, mark("edge")))))
    assert not judged(facts(EDGE), (both, first))


def test_new_settings_take_leavers_along():
    wide = replace(EDGE, services=(ANY,))
    held = [(KEPT, mark("edge")), (OLD, mark("edge", since=9 * HOURS))]
    assert not judged(facts(wide), (ranges(EDGE, *held), ranges(wide, *held)))


@pytest.mark.parametrize(("names", "said"), [(("edge", "side"), ""), (("edge",), "belongs to side")])
def test_a_renamed_target_says_its_new_name_beside_who_can_not_be_asked(names, said):
    known = facts(EDGE, SIDE, selected=frozenset({"edge"}))
    held = ranges(EDGE, (KEPT, mark("was-edge", "side")))
    found = judged(known, (held, ranges(EDGE, (KEPT, mark(*names)))))
    assert said in found if said else not found


@pytest.mark.parametrize(("name", "owner"), [("was-edge", "acme"), ("edge", "globex")])
def test_new_settings_take_a_renamed_target_s_leavers_along_and_no_stranger_s(name, owner):
    wide, said = replace(EDGE, services=(ANY,)), "no target that may be touched wants it"
    held = [(KEPT, mark("edge")), (OLD, mark(name, owner=owner, since=9 * HOURS))]
    assert (said in judged(facts(wide), (ranges(EDGE, *held), ranges(wide, *held)))) == (owner != "acme")


# ── may it be touched now? ───────────────────────────────────────────────────

FROZEN = {
    "not selected": {"selected": frozenset({"web"})},
    "its feed is down": {"served": {"qatech": networks(str(KEPT)), "uptime": None}},
    "its feed is refused": {"served": {"qatech": networks(str(KEPT)), "uptime": networks("10.1.2.3")}},
    "its match can't be read": {"unread": frozenset({"ops", "side"})},
}


@pytest.mark.parametrize("why", FROZEN)
def test_the_settings_of_a_frozen_rule_are_left_alone(why):
    wide = replace(SIDE, services=(ANY,))
    before, after = ranges(SIDE, (OTHER, mark("side"))), ranges(wide, (OTHER, mark("side")))
    assert "no target that may be touched" in judged(facts(wide, **FROZEN[why]), (before, after))


@pytest.mark.parametrize("why", FROZEN)
def test_what_a_frozen_target_wants_is_not_let_in_beside_a_healthy_one(why):
    known = facts(WEB, OPS, **FROZEN[why])
    said = judged(known, (rules(STANDS), rules(STANDS, (OTHER, mark("ops", feed="uptime")))))
    assert "no target that may be touched wants it" in said


@pytest.mark.parametrize("why", FROZEN)
def test_a_frozen_entry_is_neither_removed_nor_marked_nor_given_to_its_sibling(why):
    known = facts(WEB, OPS, **FROZEN[why])
    frozen = mark("ops", feed="uptime")
    for before, after in (
        (rules((OLD, replace(frozen, since=NOW - 99 * HOURS)), STANDS), rules(STANDS)),
        (rules((OLD, frozen), STANDS), rules((OLD, replace(frozen, since=NOW)), STANDS)),
        (rules((KEPT, frozen)), rules(STANDS)),
    ):
        assert "may not be touched in this pass" in judged(known, (before, after))


def test_a_rule_that_two_share_keeps_the_name_of_the_frozen_one():
    known = facts(EDGE, SIDE, selected=frozenset({"edge"}))
    before, after = ranges(EDGE, (KEPT, mark("edge", "side"))), ranges(EDGE, (KEPT, mark("edge")))
    assert "taken from side" in judged(known, (before, after))


def test_a_sibling_whose_match_cannot_be_read_keeps_what_it_may_want():
    tagged = aws_target("tagged", feeds=("uptime",), where={"groups": (), "match_tags": (("tier", "web"),)})
    known = facts(WEB, tagged, naming={GROUP: frozenset({"web"})}, unread=frozenset({"tagged"}))
    held = rules((OLD, mark("tagged", since=99 * HOURS)), STANDS)
    assert "may not be touched" in judged(known, (held, rules(STANDS)))
    known = replace(known, served={"qatech": (KEPT,), "uptime": (OLD,)})
    held = rules((OLD, mark(since=99 * HOURS)), STANDS)
    assert "tagged wants it or may want it" in judged(known, (held, rules(STANDS)))


def test_what_cannot_be_managed_is_not_written():
    known = facts(EDGE, blocked=frozenset({RULE}))
    assert "in the way" in judged(known, ({}, ranges(EDGE, (KEPT, mark("edge")))))


# ── is it ours? ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("other", [None, mark(owner="globex")])
def test_what_others_made_is_left_alone(other):
    assert "made it" in judged(facts(), (rules((OLD, other), STANDS), rules(STANDS)))
    held = rules((OLD, other), STANDS)
    taken = {k: replace(h, mark=mark()) for k, h in held.items()}
    assert "made it" in judged(facts(), (held, taken))


def test_another_configs_rule_is_an_orphan():
    stranger = ranges(EDGE, (OTHER, mark("web-2")), name="allow-qatech-2")
    held = ranges(EDGE, (KEPT, mark("edge")))
    assert "orphan" in judged(facts(EDGE), (held | stranger, held))


def test_a_description_without_a_target_is_nobodys():
    odd = of_description("ipsync owner=acme feed=qatech", OLD)
    held = ranges(EDGE, (KEPT, mark("edge")))
    assert odd is not None
    assert "orphan" in judged(facts(EDGE), (held | ranges(EDGE, (OLD, odd), name="allow-qatech-2"), held))


def test_a_mark_is_not_taken_away():
    assert "was taken away" in judged(
        facts(), (rules(STANDS), {k: replace(h, mark=None) for k, h in rules(STANDS).items()})
    )


# ── was it wanted, and due? ──────────────────────────────────────────────────


def test_what_nobody_lists_is_not_let_in():
    assert "let in" in judged(facts(), (rules(STANDS), rules(STANDS, (OLD, mark()))))
    assert "let in" in judged(facts(), (rules(STANDS), rules(STANDS) | rules((NEW, mark()), way="22/tcp")))


def test_icmp_is_not_opened_for_ipv6():
    ping = replace(WEB, services=(HTTPS, Service("icmp")))
    known = facts(ping, served={"qatech": (KEPT, SIXTH), "uptime": None})
    said = judged(known, (rules(STANDS), rules(STANDS) | rules((SIXTH, mark()), way="icmp")))
    assert "let in" in said


def test_what_is_wanted_is_not_closed():
    assert "web wants it" in judged(facts(), (rules(STANDS, (NEW, mark(since=99 * HOURS))), rules(STANDS)))


@pytest.mark.parametrize("grace", [timedelta(hours=72), None], ids=["72h", "never"])
@pytest.mark.parametrize("since", [None, 71 * HOURS, -HOURS])
def test_nothing_goes_before_its_time(grace, since):
    known = replace(facts(), config=config(WEB, grace=grace))
    assert "before its time" in judged(known, (rules((OLD, mark(since=since)), STANDS), rules(STANDS)))


def test_an_address_that_stands_in_two_rules_has_one_grace():
    first, further = (
        ranges(EDGE, (KEPT, mark("edge")), (OLD, mark("edge", since=72 * HOURS))),
        ranges(EDGE, (OLD, mark("edge")), (NEW, mark("edge")), name="allow-qatech-2"),
    )
    left, narrowed = (
        ranges(EDGE, (KEPT, mark("edge"))),
        ranges(EDGE, (NEW, mark("edge")), name="allow-qatech-2"),
    )
    both = {**first, **further}
    assert not judged(facts(EDGE), (both, {**left, **further}), ({**left, **further}, {**left, **narrowed}))
    young = {**ranges(EDGE, (KEPT, mark("edge")), (OLD, mark("edge", since=71 * HOURS))), **further}
    told = judged(facts(EDGE), (young, {**left, **further}), ({**left, **further}, {**left, **narrowed}))
    assert "before its time" in told


def test_never_is_never():
    known = replace(facts(), config=config(WEB, grace=None))
    assert "before its time" in judged(known, (rules((OLD, mark(since=9999 * HOURS)), STANDS), rules(STANDS)))


def test_a_renamed_feed_keeps_the_grace_of_its_leavers():
    held = rules((OLD, mark(feed="was-qatech", since=HOURS)), STANDS)
    assert "before its time" in judged(facts(), (held, rules(STANDS)))


def test_a_siblings_wish_is_no_reason_to_close_a_port():
    ssh = replace(OPS, services=(SSH,), feeds=("qatech",))
    known = facts(WEB, ssh, selected=frozenset({"web"}), served={"qatech": None})
    assert "wants it or may want it" in judged(
        known, (rules(STANDS) | rules((OLD, mark()), way="22/tcp"), rules(STANDS))
    )


# ── are the marks true? ──────────────────────────────────────────────────────


def test_a_mark_says_since_when():
    assert "leaving since" in judged(facts(), (rules((OLD, mark()), STANDS), rules((OLD, mark(since=HOURS)), STANDS)))
    later = rules((OLD, mark(since=0 * HOURS)), STANDS)
    assert "was leaving since" in judged(facts(), (rules((OLD, mark(since=9 * HOURS)), STANDS), later))
    assert "no longer leaving" in judged(facts(), (later, rules((OLD, mark()), STANDS)))
    assert "leaving, and web" in judged(facts(), (rules(STANDS), rules((KEPT, mark(since=0 * HOURS)))))


def test_a_mark_names_who_asked():
    assert "says something else" in judged(facts(WEB, OPS), (rules(STANDS), rules(STANDS, (NEW, mark("ops")))))
    assert "says something else" in judged(facts(WEB, OPS), (rules(STANDS), rules(STANDS, (NEW, mark(feed="uptime")))))
    assert "doesn't name it" in judged(facts(), (rules(STANDS), rules((KEPT, mark("elsewhere")))))


# ── the order, and what is never sent ────────────────────────────────────────


def test_a_patch_that_closes_does_not_go_before_a_create():
    gone, kept = (OLD, mark("edge", since=99 * HOURS)), (KEPT, mark("edge"))
    start, less = ranges(EDGE, gone, kept), ranges(EDGE, kept)
    sixth = ranges(EDGE, (NEW, mark("edge")), name="allow-qatech-v6")
    assert "is let in after" in judged(facts(EDGE), (start, less), (less, less | sixth))
    assert not judged(facts(EDGE), (start, start | sixth), (start | sixth, less | sixth))


def test_nothing_is_closed_when_what_comes_first_failed():
    referee, known = Referee(), facts(held={GROUP: rules((OLD, mark(since=99 * HOURS)), STANDS)})
    start = known.held[GROUP]
    referee.begin(known)
    for number, (after, carried_out) in enumerate(
        ((rules(STANDS, (NEW, mark())) | start, False), (rules(STANDS), True))
    ):
        write = Write(GROUP, GROUP, start, after)
        referee.write(write, intent(write, number))
        referee.answered(write, carried_out=carried_out)
    assert "what was to be let in before isn't in" in "\n".join(referee.fouls)


def test_with_remove_first_the_order_may_turn():
    swaps = replace(WEB, remove_first=True)
    gone = rules((OLD, mark(since=99 * HOURS)), STANDS)
    assert not judged(facts(swaps), (gone, rules(STANDS)), (rules(STANDS), rules(STANDS, (NEW, mark()))))


def test_nothing_is_emptied_or_opened_to_everybody():
    assert "emptied" in judged(facts(), (rules((OLD, mark(since=99 * HOURS))), {}))
    everybody = networks("0.0.0.0/0")[0]
    assert "whole internet" in judged(facts(), (rules(STANDS), rules(STANDS, (everybody, mark()))))
    assert "whole internet" in judged(facts(EDGE), (ranges(EDGE, (OLD, mark("edge"))), {}), whole=True)


def test_among_others_in_a_full_group_the_only_one_may_go_first_where_the_config_says_so():
    theirs = [(net, mark("theirs", owner="globex")) for net in hosts(3, first=50)]
    going = (rules((OLD, mark(since=99 * HOURS)), *theirs), rules(*theirs))
    swaps = replace(WEB, remove_first=True)
    assert not judged(facts(swaps), going, limit=4)
    assert "emptied" in judged(facts(), going, limit=4)
    assert "emptied" in judged(facts(swaps), going, limit=5)
    assert "emptied" in judged(facts(swaps), going)


# ── the guards' words ────────────────────────────────────────────────────────

TEN = hosts(10)
LEFT = hosts(6)


def many(found, since: timedelta | None = None) -> list[tuple[Network, Mark]]:
    return [(n, mark(since=since)) for n in found]


def test_too_much_does_not_go_unasked():
    known = facts(served={"qatech": LEFT})
    write = (rules(*many(LEFT), *many(TEN[6:], 99 * HOURS)), rules(*many(LEFT)))
    assert "max-removals" in judged(known, write)
    asked = frozenset(("remove", GROUP, n) for n in TEN[6:])
    assert not judged(replace(known, approved=asked), write)
    assert "max-removals" in judged(replace(known, approved=frozenset(list(asked)[:2])), write)


def test_a_drip_counts_together():
    held = rules(*many(TEN[:2]), *many(TEN[2:4], 99 * HOURS), *many(TEN[4:], 9 * HOURS))
    left = rules(*many(TEN[:2]), *many(TEN[4:], 9 * HOURS))
    assert "max-removals" in judged(facts(served={"qatech": TEN[:2]}), (held, left))


def test_strangers_who_came_lately_hide_nobody():
    strangers = hosts(20, first=500)
    came = dict.fromkeys(((GROUP, key) for key in rules(*many(strangers))), NOW - 100 * HOURS)
    known = facts(served={"qatech": strangers}, added=came)
    held = rules(*many(TEN[:3], 72 * HOURS), *many(strangers))
    assert "max-removals" in judged(known, (held, rules(*many(strangers))))
    old = replace(known, added={})
    assert not judged(old, (held, rules(*many(strangers))))


def test_what_another_config_adds_makes_nothing_of_ours_younger():
    sixteen = hosts(16)
    referee, known = Referee(), facts(served={"qatech": sixteen[:12]})
    ours = rules(*many(sixteen[:12]), *many(sixteen[12:], 72 * HOURS))
    theirs = rules(*((n, mark("elsewhere")) for n in sixteen[:12]), way="80/tcp")
    for held, after in ((ours, {**ours, **theirs}), ({**ours, **theirs}, {**rules(*many(sixteen[:12])), **theirs})):
        write = Write(GROUP, GROUP, held, after)
        referee.begin(replace(known, held={GROUP: held}, added=dict(referee.added)))
        referee.passes[-1][1].disturbed = len(after) > len(held)  # theirs is another's to answer for
        referee.write(write, intent(write, len(referee.used)))
        referee.answered(write, carried_out=True)
    assert not [foul for foul in referee.fouls if "max-removals" in foul]


def test_orphans_do_not_count_as_held():
    orphans = [(n, mark("elsewhere")) for n in hosts(20, first=500)]
    known = facts(served={"qatech": TEN[:3]})
    write = (rules(*many(TEN[:3]), *many(TEN[3:5], 99 * HOURS), *orphans), rules(*many(TEN[:3]), *orphans))
    assert "max-removals: 2 of 5" in judged(known, write)


@pytest.mark.parametrize("why", FROZEN)
def test_the_limits_of_a_frozen_sibling_hold(why):
    loose, strict = (
        replace(WEB, limits=(("qatech", LOOSE),)),
        replace(OPS, limits=(("uptime", Limits()),), services=(SSH,)),
    )
    changes = {**FROZEN[why], "served": {"uptime": None, **FROZEN[why].get("served", {}), "qatech": LEFT}}
    write = (rules(*many(LEFT), *many(TEN[6:], 99 * HOURS)), rules(*many(LEFT)))
    assert not judged(facts(loose, **changes), write)
    assert "by ops" in judged(facts(loose, strict, **changes), write)


def test_too_much_does_not_come_unasked():
    more = hosts(31, first=10)
    write = (rules(*many(TEN)), rules(*many(TEN), *many(more)))
    assert "max-additions: 31" in judged(facts(served={"qatech": (*TEN, *more)}), write)
    assert not judged(facts(served={"qatech": (*TEN, *more)}), ({}, rules(*many((*TEN, *more)))))


def test_another_port_for_what_a_renamed_target_takes_over_lets_no_new_address_in():
    known = facts(replace(WEB, services=(HTTPS, SSH)), served={"qatech": TEN})
    before = [(n, mark("was-web")) for n in TEN]
    others = rules(*many(LEFT[:1]), way="80/tcp")
    ports = rules(*many(TEN), way="22/tcp")
    both = replace(known, config=config(replace(WEB, services=(HTTPS, SSH), limits=(("qatech", FEW),))))
    held = {**rules(*before), **others}
    assert not judged(both, (held, {**held, **ports}))
    elsewhere = {**rules(*before, way="80/tcp"), **others}
    assert "max-additions: 9 come to 1" in judged(both, (elsewhere, {**elsewhere, **ports}))


def test_an_address_that_becomes_a_network_grows():
    wide = networks(*(f"9.{i}.0.0/16" for i in range(3)))
    write = (rules(*many(TEN)), rules(*many(TEN), *many(wide)))
    assert "max-growth" in judged(facts(served={"qatech": (*TEN, *wide)}), write)


def test_what_stays_covered_is_not_lost_and_what_was_covered_is_not_new():
    sixteen, one = networks(*(f"9.9.9.{i}" for i in range(16))), networks("9.9.9.0/28")
    assert not too_many_removed(frozenset((*sixteen, *one)), frozenset(sixteen), Limits())
    assert not too_many_added(frozenset(one), frozenset(sixteen), Limits(max_additions=Threshold(1, 0)))
    assert "addresses" in too_many_removed(frozenset((*one, *TEN)), frozenset(one), Limits())


@pytest.mark.parametrize(
    "listed",
    [
        (),
        ("10.1.2.3",),
        ("8.0.0.0/15",),
        ("fe80::1",),
        tuple(f"9.{i}.0.0/16" for i in range(5)),
        ("9.9.9.9", "127.0.0.1"),
    ],
)
def test_what_no_vendor_lists_is_not_believed(listed):
    assert refusal(networks(*listed), Limits())
    assert not refusal(networks("9.9.9.9", "9.0.0.0/16", "2600::/32"), Limits())


def test_what_does_not_fit_is_not_sent():
    assert "where 1 fit" in judged(facts(), (rules(STANDS), rules(STANDS, (NEW, mark()))), limit=1)
    assert "holds as many as it may" in judged(facts(), (rules(STANDS), rules(STANDS, (NEW, mark()))), crowded=True)


# ── the log ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "foul"),
    [
        (None, "without an intent"),
        ({"seq": 1, "resource": RULE, "before": [], "after": []}, "without an intent"),
        ({"seq": 1, "resource": GROUP, "before": [], "after": [f"{KEPT} 443/tcp"]}, "something else of 8.8.0.3/32"),
        ({"seq": 1, "resource": GROUP, "before": [], "after": [{"cidr": str(KEPT)}]}, "something else of 8.8.0.3/32"),
    ],
)
def test_a_write_is_announced(said, foul):
    referee = Referee()
    referee.begin(facts())
    referee.write(Write(GROUP, GROUP, rules(STANDS), rules(STANDS, (NEW, mark()))), said)
    assert foul in "\n".join(referee.fouls)


def test_an_intent_announces_one_write():
    referee, write = Referee(), Write(GROUP, GROUP, rules(STANDS), rules(STANDS, (NEW, mark())))
    referee.begin(facts())
    referee.write(write, intent(write))
    assert not referee.fouls
    referee.write(write, intent(write))
    assert "twice on one intent" in referee.fouls[0]


# ── what was shown, and how it ended ─────────────────────────────────────────


def ended(
    known: Facts, said: Told, *writes: tuple[dict[str, Held], dict[str, Held]], failed: bool = False, place: str = ""
) -> str:
    referee = Referee(added=dict(known.added))
    resource = next(iter(known.naming))
    after = writes[-1][1 - failed] if writes else known.held.get(resource, {})
    referee.begin(replace(known, held={resource: writes[0][0]}) if writes else known)
    for seq, (before, then) in enumerate(writes):
        write = Write(resource, place or resource, before, then)
        referee.write(write, intent(write, seq))
        referee.answered(write, carried_out=not failed)
    referee.end(said, {resource: after})
    return "\n".join(referee.fouls)


def line(target: str = "web", resource: str = GROUP, status: str = "applied", **more) -> Line:
    return Line(target, resource, status, **more)


IN = (rules(STANDS), rules(STANDS, (NEW, mark())))
SHOWN = Told((line(add=frozenset({(NEW, "443/tcp")})),), 0)


def test_what_is_shown_and_done_passes():
    assert not ended(facts(), SHOWN, IN)


@pytest.mark.parametrize(
    "said", [Told((), 0), Told((line(status="in-sync"),), 0), Told((line(resource=RULE, add=SHOWN.lines[0].add),), 0)]
)
def test_what_is_written_is_shown(said):
    assert "no element of the report shows" in ended(facts(), said, IN)


def test_the_entry_is_listed_not_only_the_resource():
    assert "doesn't list it" in ended(facts(), Told((line(),), 0), IN)
    out = (rules((OLD, mark(since=99 * HOURS)), (KEPT, mark()), (NEW, mark())), rules((KEPT, mark()), (NEW, mark())))
    assert "doesn't list it" in ended(facts(), Told((line(),), 0), out)


def test_settings_are_shown_when_a_rule_is_made():
    made = ({}, ranges(EDGE, (KEPT, mark("edge")), (NEW, mark("edge"))))
    shown = line("edge", RULE, add=frozenset({(KEPT, None), (NEW, None)}))
    assert "with which ports" in ended(facts(EDGE), Told((shown,), 0), made)
    assert not ended(facts(EDGE), Told((replace(shown, settings=True),), 0), made)


def test_a_rule_that_is_deleted_is_said():
    sixth = ranges(EDGE, (OLD, mark("edge", since=99 * HOURS)), name="allow-qatech-2")
    left = ranges(EDGE, (KEPT, mark("edge")), (NEW, mark("edge")))
    shown = line("edge", RULE, remove=frozenset({(OLD, None)}))
    assert "deleted, and" in ended(facts(EDGE), Told((shown,), 0), (left | sixth, left), place=f"{RULE}-2")
    said = replace(shown, deletes=frozenset({"allow-qatech-2"}))
    assert not ended(facts(EDGE), Told((said,), 0), (left | sixth, left), place=f"{RULE}-2")


def test_a_new_setting_is_shown():
    wide = replace(EDGE, services=(ANY,))
    held = [(KEPT, mark("edge")), (NEW, mark("edge"))]
    write = (ranges(EDGE, *held), ranges(wide, *held))
    assert "doesn't list it" in ended(facts(wide), Told((line("edge", RULE),), 0), write)
    assert not ended(facts(wide), Told((line("edge", RULE, settings=True),), 0), write)


def test_what_failed_is_told():
    assert "a write to" in ended(facts(), Told((line(status="in-sync"),), 0), IN, failed=True)
    assert "a write to" in ended(facts(), Told((line(status="in-sync"),), 1), IN, failed=True)
    assert not ended(facts(), Told((line(status="error", error="denied"),), 1), IN, failed=True)


def test_what_was_touched_is_not_told_as_untouched():
    assert "says that nothing was touched" in ended(facts(), replace(SHOWN, code=1), IN)


@pytest.mark.parametrize("why", ["its feed is down", "its match can't be read"])
def test_what_could_not_be_read_is_told(why):
    known = facts(WEB, OPS, **FROZEN[why], held={GROUP: rules(STANDS, (NEW, mark()))})
    assert "be read" in ended(known, Told((line(status="in-sync"),), 0))
    assert not ended(known, Told((line(status="in-sync"), line("ops", status="error")), 4))


def test_what_is_wanted_is_open_or_told():
    known = facts(held={GROUP: rules(STANDS)})
    assert "neither open nor told" in ended(known, Told((line(status="in-sync"),), 0))
    assert not ended(known, Told((line(status="error", error="denied"),), 1))
    wide = {"f": Held(Hole(networks("8.8.0.0/16")[0], "all"))}
    assert not ended(replace(known, held={GROUP: wide}), Told((line(status="in-sync"),), 0))


def test_a_removal_that_waits_keeps_nobody_out():
    known = facts(held={GROUP: rules(STANDS, *many(TEN, 99 * HOURS))})
    waits = Told((line(status="blocked", guards=frozenset({("max-removals", "needs-approval")})),), 3)
    assert "for the sake of a removal" in ended(known, waits)
    inside = replace(known, held={GROUP: rules(STANDS, (NEW, mark()), *many(TEN, 99 * HOURS))})
    assert not ended(inside, waits)


@pytest.mark.parametrize(
    ("left", "foul"),
    [
        ((OLD, mark()), "isn't marked as leaving"),
        ((OLD, mark(since=72 * HOURS)), "is still there"),
        ((OLD, mark(feed="static")), "is still there"),
    ],
)
def test_what_nobody_wants_is_on_its_way(left, foul):
    known = facts(held={GROUP: rules(STANDS, (NEW, mark()), left)})
    assert foul in ended(known, Told((line(status="in-sync"),), 0))


def test_a_port_goes_at_once_although_a_sibling_has_it():
    known = facts(
        WEB,
        replace(OPS, services=(SSH,)),
        held={GROUP: rules(STANDS, (NEW, mark())) | rules((OLD, mark()), way="22/tcp")},
    )
    known = replace(known, served={**known.served, "uptime": (NEW,)})
    held = known.held[GROUP] | rules((NEW, mark("ops", feed="uptime")), way="22/tcp")
    in_sync = Told((line(status="in-sync"), line("ops", status="in-sync")), 0)
    assert "is still there" in ended(replace(known, held={GROUP: held}), in_sync)


def test_what_belongs_to_a_target_is_no_orphan():
    known = facts(held={GROUP: rules(STANDS, (NEW, mark()))})
    said = Told((line(status="in-sync"),), 0, orphaned=frozenset({(GROUP, KEPT)}))
    assert "told as orphaned" in ended(known, said)


def second(*more: Line, **changes) -> str:
    """Play a pass that lets NEW in and says `more` beside it, then another that changes its mark."""
    referee, known = Referee(), replace(facts(WEB, OPS, held={GROUP: IN[0]}), **changes)
    write = Write(GROUP, GROUP, *IN)
    referee.begin(known)
    referee.write(write, intent(write))
    referee.answered(write, carried_out=True)
    referee.end(replace(SHOWN, lines=(*SHOWN.lines, *more)), {GROUP: IN[1]})
    referee.begin(replace(known, held={GROUP: IN[1]}))
    again = Write(GROUP, GROUP, IN[1], rules(STANDS, (NEW, mark(feed="static"))))
    referee.write(again, intent(again, 1))
    return "\n".join(referee.fouls)


def test_the_second_run_is_quiet():
    assert "a second run is quiet" in second()


def test_the_second_run_may_do_what_an_error_kept_the_first_from():
    assert "a second run is quiet" not in second(line("ops", status="error"))


def test_the_second_run_is_quiet_while_an_error_s_reason_stays():
    error = line("ops", status="error")
    assert "a second run is quiet" in second(error, unread=frozenset({"ops"}))
    assert "a second run is quiet" in second(error, served={"qatech": networks(str(KEPT), str(NEW)), "uptime": None})


# ── the marks, as they are documented ────────────────────────────────────────


def test_tags_are_read():
    tags = {"ipsync:owner": "acme", "ipsync:target": "web", "ipsync:feed": "qatech"}
    assert of_tags(tags) == mark()
    assert of_tags({**tags, "ipsync:leaving-since": "2026-01-31T08:00:00Z"}) == mark(since=HOURS)
    assert of_tags({**tags, "ipsync:leaving-since": "yesterday"}) == mark()
    assert of_tags({"description": "ipsync owner=acme"}) is None


def test_descriptions_are_read():
    text = "ipsync owner=acme target=edge,side feed=qatech static=9.9.9.9 leaving=8.8.0.1,2600::1@2026-01-31T08:00:00Z"
    assert of_description(text, OLD) == mark("edge", "side", since=HOURS)
    assert of_description(text, networks("9.9.9.9")[0]) == mark("edge", "side", feed="static")
    assert of_description("made by hand", OLD) is None
    assert of_description("ipsync target=edge", OLD) is None


# ── what it is told of the clouds ────────────────────────────────────────────


@pytest.mark.parametrize(("named", "blocked"), [("edge", {RULE}), ("web", set()), ("gone", set())])
def test_a_disabled_rule_blocks_only_whom_its_marks_name_there(named, blocked):
    text = f"ipsync owner=acme target={named} feed=qatech"
    sixth = ManagedList("allow-qatech-v6", networks("2600::1"), (("description", text),))
    cloud = MemoryCloud(lists={f"{RULE}-v6": sixth}, conflicts={f"{RULE}-v6": "disabled"})
    known = Watch(cloud, config(WEB, EDGE)).facts(["edge"], NOW, {}, added={})
    assert known.blocked == blocked


# ── over the embedded clouds ─────────────────────────────────────────────────


@pytest.mark.slow
def test_the_demo_keeps_every_promise(monkeypatch):
    """Every write of every act reaches the embedded clouds under the referee's eyes."""
    stages, watches, plain, begun = [], [], worker.sync_once, story.stage

    @contextmanager
    def stage(folder):
        with begun(folder) as clouds:
            stages.append(clouds)
            yield clouds

    def sync_once(loaded, *, clock=worker.now, **given):
        if not watches:
            watches.append(SandboxWatch(stages[0], loaded, Path(loaded.audit_path)))
        if loaded.source != watches[0].config.source:  # other acts' configs, over other resources
            return plain(loaded, clock=clock, **given)
        with watches[0].passing(clock()) as said:
            report = plain(loaded, clock=clock, **given)
            said(report)
        return report

    monkeypatch.setattr(story, "stage", stage)
    monkeypatch.setattr(worker, "sync_once", sync_once)
    assert story.tell(lambda _text: None, colour=False, keep=False) == 0
    assert watches[0].referee.judged >= 8
    assert not watches[0].referee.fouls
