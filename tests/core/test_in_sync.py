"""What is in sync is seen at a glance, and the whole comparison says the same of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factory import ENTRIES, GROUP, HTTPS, NOW, aws_target, config, entry_note, networks, snapshot
from hypothesis import given
from hypothesis import strategies as st

from ipsync.core import planner
from ipsync.core.marks import STATIC
from ipsync.core.model import Entry, Service, State, Status
from ipsync.core.plan import FeedResult, Observed
from ipsync.core.traits import Mark

SSH = Service("tcp", 22, 22)
POOL = networks("8.8.8.8", "8.8.4.4", "9.9.9.0/24", "2600::1")
TIMES = [None, NOW - timedelta(days=9), NOW - timedelta(hours=1), NOW + timedelta(hours=1)]


def planned(made, entries, *, listed=POOL[:3], names=("web", "more"), selected=None, failures=(), **state):
    seen = State("aws-security-group", GROUP, names, tuple(entries), traits=ENTRIES, **state)
    feeds = {"qatech": FeedResult("qatech", "u", snapshot(listed)), "cdn": FeedResult("cdn", "u", None, "no answer")}
    return planner.make_plan(made, Observed(feeds, [seen], list(failures), NOW), selected=selected)


def entry(network=POOL[0], service=HTTPS, **mark) -> Entry:
    told = {"owner": "acme", "targets": ("web",), "origin": "qatech"} | mark
    return Entry(network, service, entry_note(Mark(**told)))


def glance(monkeypatch) -> list[str]:
    """Return the resources that were compared whole, as they come."""
    seen: list[str] = []
    whole = planner._Planner._resource
    monkeypatch.setattr(planner._Planner, "_resource", lambda self, s: seen.append(s.resource) or whole(self, s))
    return seen


WEB, MORE = aws_target(), aws_target("more", services=(HTTPS, SSH), static=(POOL[3],))

marks = st.builds(
    entry,
    st.sampled_from(POOL),
    st.sampled_from([HTTPS, SSH]),
    owner=st.sampled_from(["acme"] * 8 + ["umbrella"]),
    targets=st.sampled_from([("web",)] * 4 + [("more",), ("gone",), ()]),
    origin=st.sampled_from(["qatech"] * 6 + [STATIC, "cdn", ""]),
    since=st.sampled_from([None] * 8 + TIMES),
    added=st.sampled_from([None] * 4 + TIMES),
)


@given(
    st.lists(marks, max_size=8),
    st.sampled_from([(WEB,), (WEB, MORE), (MORE, WEB)]),
    st.booleans(),
    st.sampled_from([timedelta(0), timedelta(hours=72), None]),
)
def test_the_whole_comparison_says_the_same(entries, targets, complete, grace):
    made = config(*targets, grace=grace)
    wanted = [entry(n) for n in POOL[:3]]
    same = [Entry(n, HTTPS, e.note) for n, e in zip(POOL[:3], [*entries, *wanted], strict=False)]
    for held in (entries, [*wanted[len(entries) % 3 :], *entries], same):
        names = tuple(t.name for t in targets)
        quick = planned(made, held, names=names, complete=complete)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(planner._Planner, "_in_sync", lambda _self, _state: None)
            whole = planned(made, held, names=names, complete=complete)
        assert (quick.target_changes, quick.orphaned, quick.changes) == (
            whole.target_changes,
            whole.orphaned,
            whole.changes,
        )


def test_what_is_as_wanted_is_compared_no_further(monkeypatch):
    whole = glance(monkeypatch)
    plan = planned(config(WEB, MORE), [*(entry(n) for n in POOL[:3]), *_mores()])
    assert [(e.target, e.status, e.held) for e in plan.target_changes] == [
        ("web", Status.IN_SYNC, 3),
        ("more", Status.IN_SYNC, 5),
    ]
    assert whole == []


def _mores() -> list[Entry]:
    rest = [entry(n, SSH, targets=("more",)) for n in POOL[:3]]
    return [*rest, *(entry(POOL[3], s, targets=("more",), origin=STATIC) for s in (HTTPS, SSH))]


@pytest.mark.parametrize(
    "changes",
    [
        {"entries": [entry(POOL[0]), entry(POOL[1])]},
        {"entries": [entry(POOL[0]), entry(POOL[1]), entry(POOL[1])]},
        {"entries": [entry(POOL[0]), entry(POOL[1]), Entry(POOL[2], HTTPS)]},
        {"entries": [entry(POOL[0]), entry(POOL[1]), entry(POOL[2], since=NOW)]},
        {"entries": [entry(POOL[0]), entry(POOL[1]), entry(POOL[2], added=TIMES[1])]},
        {"entries": [entry(POOL[0]), entry(POOL[1]), entry(POOL[2], owner="umbrella")]},
        {"entries": [entry(POOL[0]), entry(POOL[1]), entry(POOL[2], targets=("gone",))]},
        {"entries": [entry(POOL[0]), entry(POOL[1]), entry(POOL[2], origin="cdn")]},
        {"conflict": "it can't be managed"},
        {"selected": ["more"], "names": ("web", "more")},
        {"made": config(WEB, aws_target("down", feeds=("cdn",))), "names": ("web", "down")},
        {"made": config(WEB, aws_target("ping", services=(Service("icmpv6"),))), "names": ("web", "ping")},
    ],
    ids=[
        "one is missing",
        "one is there twice",
        "one is foreign",
        "one is leaving",
        "one has an old time",
        "one is another owner's",
        "one has another target",
        "one has another feed",
        "a conflict",
        "a target that isn't selected",
        "a feed that is down",
        "a family that isn't let in",
    ],
)
def test_everything_else_is_compared_whole(monkeypatch, changes):
    whole = glance(monkeypatch)
    planned(**{"made": config(WEB, MORE), "entries": [entry(n) for n in POOL[:3]], "names": ("web",)} | changes)
    assert whole == [GROUP]


def test_the_plan_s_id_tells_what_is_wanted():
    ids = {planned(config(WEB), [entry(n) for n in POOL[:k]], listed=POOL[:k], names=("web",)).id for k in (2, 3)}
    assert len(ids) == 2
