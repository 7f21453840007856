"""What is planned of a list at rest holds for those that are like it at other places, and for no others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch

from factory import LISTS, NOW, config, gcp_target, networks, rule_note, snapshot
from hypothesis import given
from hypothesis import strategies as st

from ipsync.core import planner
from ipsync.core.model import Entry, ManagedList, State, Status
from ipsync.core.plan import FeedResult, Observed
from ipsync.core.traits import Mark

A, B, C = networks("8.8.8.1", "8.8.8.2", "8.8.8.3")
SETTINGS = (("network", "default"), ("ports", "443/tcp"))
DAY = timedelta(days=1)


def state(place: int, *listed, name="allow-qatech", since=None, target="edge", blocker="", **changes) -> State:
    note = rule_note("acme", {n: Mark("acme", (target,), "qatech", since) for n in listed})
    managed = ManagedList(name, listed, note, SETTINGS, blocker)
    entries = tuple(Entry(n, None, note, name) for n in listed)
    more = {"wanted_settings": SETTINGS, "max_ranges": 256, "managed_lists": (managed,), **changes}
    return State("gcp-firewall", f"gcp/p{place}/{name}", ("edge",), entries, traits=LISTS, **more)


def planned(*states: State, selected=None):
    feeds = {"qatech": FeedResult("qatech", "u", snapshot([A, B]))}
    made = config(gcp_target(), gcp_target("other"))
    return planner.make_plan(made, Observed(feeds, states, [], NOW), selected=selected)


def compared(*states: State, **more) -> list[str]:
    """Return the resources that are compared mark by mark."""
    seen: list[str] = []
    whole = planner._Planner._resource
    with patch.object(planner._Planner, "_resource", lambda self, s: seen.append(s.resource) or whole(self, s)):
        planned(*states, **more)
    return seen


def test_alike_at_rest_is_compared_once():
    states = [state(i, A, B) for i in range(3)]
    assert compared(*states) == ["gcp/p0/allow-qatech"]
    told = [t for t in planned(*states).target_changes if t.target == "edge"]
    assert [(t.resource, t.status, t.held) for t in told] == [
        (f"gcp/p{i}/allow-qatech", Status.IN_SYNC, 2) for i in range(3)
    ]


def test_what_is_to_be_written_or_told_is_compared_each_time():
    for one in (
        state(0, A),
        state(0, A, B, C),
        state(0, A, B, C, since=NOW - DAY),
        state(0, A, B, conflict="it denies"),
        state(0, A, B, blocker="it is disabled"),
        state(0, A, B, target="gone"),
    ):
        assert len(compared(one, replace(one, resource="gcp/p1/allow-qatech"))) == 2, one


def test_a_name_that_may_be_an_overflow_is_compared_each_time():
    assert len(compared(state(0, A, B, name="allow-2"), state(1, A, B, name="allow-2"))) == 2


variants = st.builds(
    lambda listed, **more: (listed, more),
    st.sampled_from([(A, B)] * 4 + [(A,), (B, A), (A, B, C), ()]),
    name=st.sampled_from(["allow-qatech"] * 3 + ["allow-2", "web"]),
    since=st.sampled_from([None] * 4 + [NOW - DAY, NOW - 9 * DAY]),
    target=st.sampled_from(["edge"] * 4 + ["other", "gone"]),
    blocker=st.sampled_from([""] * 5 + ["it is disabled"]),
    conflict=st.sampled_from([None] * 5 + ["it denies"]),
    wanted_settings=st.sampled_from([SETTINGS] * 5 + [(("network", "default"), ("ports", "80/tcp"))]),
    taken=st.sampled_from([()] * 5 + [("allow-qatech-v6",)]),
)


@given(st.lists(variants, min_size=2, max_size=5), st.sampled_from([None, ("edge",), ("other",)]))
def test_the_plan_is_the_same_as_if_each_were_compared(found, selected):
    states = [state(i, *listed, **more) for i, (listed, more) in enumerate(found)]
    with patch.object(planner, "likeness", lambda *_: None):
        each = planned(*states, selected=selected)
    assert planned(*states, selected=selected) == each
