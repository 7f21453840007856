"""The referee knows prefix lists: each promise that is broken by a write on one is seen, and what is right passes.

What a list holds is what a cloud in memory holds; a write is one of the list's four operations, seen before it is sent.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from factory import NOW, config, hosts, list_target, networks

from ipsync.core.configured import Limits, Threshold
from ipsync.core.contents import Contents
from ipsync.core.errors import Rejected, Stale
from ipsync.core.marks import format_time
from ipsync.core.model import Entry, Network, Operation
from ipsync.testing.memory import MemoryCloud
from ipsync.testing.memory_prefix_lists import PrefixList
from proof.referee import Referee, Told, Write
from proof.referee.marks import of_prefix_list
from proof.watch import Watch

LIST, LIST_V6 = "aws/1/eu-north-1/pl-1", "aws/1/eu-north-1/pl-6"
OLD, KEPT, NEW, OTHER = hosts(4)
SIXTH = networks("2600::1")[0]
EDGE = list_target("edge", where={"prefix_list_v6": "pl-6"})
OPS = list_target("ops", feeds=("uptime",))
OURS = "ipsync owner=acme target=edge feed=qatech"
HOURS = timedelta(hours=1)


def entry(network: Network, text: str = OURS, since: timedelta | None = None) -> Entry:
    leaving = [("ipsync:leaving-since", format_time(NOW - since))] if since is not None else []
    return Entry(network, None, tuple(sorted([("description", text), *leaving])), str(network))


def judged(kind: str, *entries: Entry, held=(), targets=(EDGE,), most=100, grace=timedelta(hours=72), **told) -> str:
    """Return what the referee says of one write to a list that holds this."""
    resource = LIST_V6 if entries[0].network.version == 6 else LIST
    prefixes = {LIST: PrefixList(4, most), LIST_V6: PrefixList(6)}
    cloud = MemoryCloud(groups={LIST: {}, LIST_V6: {}}, prefixes=prefixes, conflicts=told.pop("conflicts", {}))
    for one in held:
        cloud.put(resource, one)
    watch = Watch(cloud, config(*targets, grace=grace))
    served = told.pop("served", {"qatech": (KEPT, NEW, SIXTH), "uptime": None})
    selected = told.pop("selected", [t.name for t in targets])
    known = watch.facts(selected, NOW, served, added=told.pop("added", {}))
    referee = Referee()
    referee.begin(replace(known, **told))
    write = watch.write(Operation(kind, resource, Contents(), Contents(), entries))
    assert isinstance(write, Write)
    sides = ([f"{h.hole.network} {h.hole.way}" for h in side.values()] for side in (write.before, write.after))
    referee.write(write, {"seq": 0, "resource": resource, **dict(zip(("before", "after"), sides, strict=True))})
    return "\n".join(referee.fouls)


# ── what is right passes ─────────────────────────────────────────────────────


def test_what_is_right_passes():
    stands = entry(KEPT)
    assert not judged("add", entry(NEW), held=[stands])
    assert not judged("add", entry(SIXTH))
    assert not judged("tag", entry(OLD, since=0 * HOURS), held=[stands, entry(OLD)])
    assert not judged("untag", entry(NEW, since=HOURS), held=[stands, entry(NEW, since=HOURS)])
    assert not judged("remove", entry(OLD), held=[stands, entry(OLD, since=72 * HOURS)])
    assert not judged("remove", entry(OLD), held=[stands, entry(OLD)], grace=timedelta(0))


def test_a_renamed_target_s_name_is_a_tag_s_word():
    was = entry(KEPT, "ipsync owner=acme target=door feed=qatech")
    named = replace(was, note=(("ipsync:feed", "qatech"), ("ipsync:target", "edge")))
    assert not judged("tag", named, held=[was])


# ── what is broken is seen ───────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["by hand", "", "ipsync owner=globex target=edge", "ipsync owner=acme owner=acme"])
def test_what_others_made_is_left_alone(text):
    cloud = [entry(KEPT), entry(OLD, text, 99 * HOURS)]
    known = {k: h for k, h in Watch(_cloud(cloud), config(EDGE)).contents()[LIST].items() if k != str(OLD)}
    write = Write(LIST, LIST, Watch(_cloud(cloud), config(EDGE)).contents()[LIST], known)
    assert "made it" in _said(write, cloud)


def test_an_orphan_is_left_alone():
    gone = entry(OLD, "ipsync owner=acme target=gone feed=qatech")
    assert "orphan" in judged("remove", entry(OLD), held=[entry(KEPT), gone])


def test_what_nobody_lists_is_not_let_in():
    assert "let in" in judged("add", entry(OLD), held=[entry(KEPT)])


def test_a_mark_names_who_asked():
    assert "mark that says" in judged(
        "add", entry(NEW, "ipsync owner=acme target=ops feed=uptime"), targets=(EDGE, OPS)
    )


@pytest.mark.parametrize("since", [None, 71 * HOURS, -HOURS])
def test_nothing_goes_before_its_time(since):
    assert "before its time" in judged("remove", entry(OLD), held=[entry(KEPT), entry(OLD, since=since)])


def test_what_is_wanted_is_not_closed():
    assert "edge wants it" in judged("remove", entry(NEW), held=[entry(KEPT), entry(NEW, since=99 * HOURS)])


def test_a_frozen_sibling_s_entry_stays():
    mine = entry(OTHER, "ipsync owner=acme target=ops feed=uptime", 99 * HOURS)
    both = {"held": [entry(KEPT), mine], "targets": (EDGE, OPS)}
    assert "ops" in judged("remove", entry(OTHER), **both)
    assert "ops" in judged("remove", entry(OTHER), **both, served={"qatech": (KEPT,), "uptime": ()})
    asked = {"served": {"qatech": (KEPT,), "uptime": (NEW,)}}
    assert "ops" in judged("remove", entry(OTHER), **both, **asked, selected=["edge"])
    assert not judged("remove", entry(OTHER), **both, **asked)


def test_a_list_that_is_somebody_else_s_is_not_written():
    assert "in the way" in judged("add", entry(NEW), held=[entry(KEPT)], conflicts={LIST: "kept for globex"})


def test_leaving_does_not_begin_anew():
    held = [entry(KEPT), entry(OLD, since=50 * HOURS)]
    assert "was leaving since" in judged("tag", entry(OLD, since=0 * HOURS), held=held)
    assert "no longer leaving" in judged("untag", entry(OLD, since=50 * HOURS), held=held)


def test_a_list_is_not_emptied():
    cloud = [entry(OLD, since=99 * HOURS)]
    held = Watch(_cloud(cloud), config(EDGE)).contents()[LIST]
    assert "emptied" in _said(Write(LIST, LIST, held, {}), cloud)


def test_the_guards_are_heard():
    many = [entry(n, since=99 * HOURS) for n in hosts(5, first=100)]
    assert "max-removals" in judged("remove", *many, held=[*many, *map(entry, hosts(5, first=200))])
    few = Limits(max_additions=Threshold(1, 10))
    strict = replace(EDGE, limits=(("qatech", few),))
    listed = {"served": {"qatech": (KEPT, NEW, OTHER)}}
    assert "max-additions" in judged("add", entry(NEW), entry(OTHER), held=[entry(KEPT)], targets=(strict,), **listed)


def test_the_list_s_size_holds():
    assert "where 1 fit" in judged("add", entry(NEW), held=[entry(KEPT)], most=1)


def test_each_list_is_asked_for_its_own_family():
    """What a target wants is not missed on the list of the other family."""
    cloud = _cloud([entry(KEPT), entry(NEW)])
    watch, referee = Watch(cloud, config(EDGE)), Referee()
    served = {"qatech": (KEPT, NEW, SIXTH)}
    referee.begin(watch.facts(["edge"], NOW, served, added={}))
    referee.end(Told((), 0), watch.contents())
    assert referee.fouls == [
        f"all is open or told: edge: {SIXTH} list of IPv6 is wanted on {LIST_V6} and neither open nor told as held"
    ]


def _cloud(held) -> MemoryCloud:
    cloud = MemoryCloud(groups={LIST: {}, LIST_V6: {}}, prefixes={LIST: PrefixList(4), LIST_V6: PrefixList(6)})
    for one in held:
        cloud.put(LIST, one)
    return cloud


def _said(write: Write, held) -> str:
    """Return what the referee says of a write that no writer of ours would make."""
    referee = Referee()
    referee.begin(Watch(_cloud(held), config(EDGE)).facts(["edge"], NOW, {"qatech": (KEPT,)}, added={}))
    referee.write(write, None)
    return "\n".join(referee.fouls)


# ── what it reads ────────────────────────────────────────────────────────────


def test_an_entry_s_words_are_read_and_a_tag_s_word_wins():
    assert of_prefix_list(OURS, None, None, None) == of_prefix_list(f"{OURS} added=x", None, None, "yesterday")
    named = of_prefix_list(OURS, "door", "cdn", "2026-01-31T08:00:00Z")
    assert named
    assert (named.targets, named.origins, named.since) == ({"door"}, {"cdn"}, NOW - HOURS)
    assert of_prefix_list("by hand", None, None, None) is None
    assert of_prefix_list(f"{OURS} target=edge", None, None, None) is None


# ── the cloud in memory ──────────────────────────────────────────────────────


def _sent(cloud, kind, *entries):
    return cloud.writer(EDGE).execute(Operation(kind, LIST, Contents(), Contents(), entries))


def test_a_list_in_memory_is_as_strict_as_ec2_and_its_writer():
    cloud = _cloud([entry(KEPT), entry(OTHER, "by hand")])
    cloud.prefixes[LIST] = PrefixList(4, 3)
    for kind, one, refused in [
        ("add", entry(OTHER), Stale),
        ("add", entry(SIXTH), Rejected),
        ("remove", entry(NEW), Stale),
        ("remove", entry(OTHER), Stale),
        ("tag", entry(OTHER), Stale),
    ]:
        with pytest.raises(refused):
            _sent(cloud, kind, one)
    _sent(cloud, "add", entry(NEW))
    with pytest.raises(Rejected, match="MaxEntries"):
        _sent(cloud, "add", entry(OLD))
    alone = _cloud([entry(KEPT)])
    with pytest.raises(Rejected, match="never emptied"):
        _sent(alone, "remove", entry(KEPT))


def test_a_description_stays_as_it_was_written():
    cloud = _cloud([entry(KEPT)])
    _sent(cloud, "tag", entry(KEPT, "something else", HOURS))
    assert cloud.groups[LIST][str(KEPT)] == replace(entry(KEPT, since=HOURS), provider_id=str(KEPT))
    assert dict(cloud.groups[LIST][str(KEPT)].note)["description"] == OURS
    _sent(cloud, "untag", Entry(KEPT, None, entry(KEPT, since=HOURS).note, str(KEPT)))
    assert dict(cloud.groups[LIST][str(KEPT)].note) == {"description": OURS}


def test_lists_are_read_whole_and_orphans_where_their_tags_say_so():
    cloud = _cloud([entry(KEPT)])
    cloud.put(LIST_V6, entry(SIXTH, since=HOURS))
    (state, stray) = cloud.reader(OPS).list_owned([OPS], owner="acme")
    assert (state.resource, state.complete, state.families, state.capacity[0].limit) == (LIST, True, {4}, 100)
    assert (stray.resource, stray.targets, len(stray.entries)) == (LIST_V6, (), 1)
    assert len(cloud.reader(OPS).list_owned([OPS], owner="globex")) == 1
