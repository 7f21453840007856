"""What a mark shall say: of an entry, of a list's range, and of what a frozen target shares."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factory import NOW, aws_target, gcp_target

from ipsync.core.marking import Policy, kept_mark, list_mark, why
from ipsync.core.marks import STATIC
from ipsync.core.traits import Mark


def policy(*targets, frozen=(), owner="acme"):
    return Policy(owner, NOW, timedelta(hours=72), targets, frozenset(frozen))


def wanted(**by):
    return {name: frozenset(origins.split()) for name, origins in by.items()}


def mark(*targets, origin="qatech", since=None):
    return Mark("acme", targets, origin, since)


# ── an entry of its own ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("held", "by", "expected"),
    [
        (mark("web"), {"web": "qatech", "api": "qatech"}, mark("web")),
        (mark("web", since=NOW), {"web": "qatech"}, mark("web")),
        (mark("old"), {"web": "qatech"}, mark("web")),
        (mark("web", "api"), {"api": "qatech"}, mark("api")),
        (mark("web", origin="gone"), {"web": "cdn qatech"}, mark("web", origin="cdn")),
        (mark("web", origin="gone"), {"web": f"{STATIC} qatech"}, mark("web", origin="qatech")),
        (mark("web", origin="gone"), {"web": STATIC}, mark("web", origin=STATIC)),
    ],
)
def test_the_mark_names_a_target_and_an_origin_that_still_want_it(held, by, expected):
    assert kept_mark(held, wanted(**by), policy(aws_target("web"), aws_target("api"))) == expected


def test_what_is_marked_for_a_frozen_target_keeps_its_name_and_stops_leaving():
    held = mark("web", origin="cdn", since=NOW - timedelta(hours=1))
    frozen = policy(aws_target("web"), aws_target("api"), frozen=["web"])
    assert kept_mark(held, wanted(api="qatech"), frozen) == mark("web", origin="cdn")


def test_a_frozen_name_that_does_not_stand_here_keeps_nothing():
    elsewhere = policy(aws_target("api"), frozen=["web"])
    assert kept_mark(mark("web"), wanted(api="qatech"), elsewhere) == mark("api")


# ── a range of a list ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("held", "by", "expected"),
    [
        (None, {"web": "qatech"}, mark("web", origin="qatech")),
        (None, {"web": STATIC}, mark("web", origin=STATIC)),
        (mark("old", origin="gone", since=NOW), {"web": "qatech"}, mark("web", origin="qatech")),
        (mark("web", origin=STATIC), {"web": "qatech"}, mark("web", origin="qatech")),
        (mark("web", origin="qatech"), {"web": STATIC}, mark("web", origin=STATIC)),
    ],
)
def test_a_range_says_what_the_config_says_of_its_list(held, by, expected):
    assert list_mark(held, wanted(**by), policy(gcp_target("web"))) == expected


def test_a_range_that_is_new_is_this_owner_s():
    assert list_mark(None, wanted(web="qatech"), policy(gcp_target("web"), owner="other")).owner == "other"


@pytest.mark.parametrize(("origin", "named"), [("cdn", "cdn,qatech"), (STATIC, "qatech")])
def test_a_range_keeps_a_frozen_target_s_name_and_feeds_and_takes_static_for_no_feed(origin, named):
    frozen = policy(gcp_target("web"), gcp_target("api"), frozen=["api"])
    assert list_mark(mark("api", origin=origin), wanted(web="qatech"), frozen) == mark("api", "web", origin=named)


def test_what_asks_for_an_entry_is_said_with_who_else_does():
    assert why(wanted(web="qatech cdn", api="qatech"), "web") == "cdn, qatech; also for api"
    assert why(wanted(web="qatech"), "web") == "qatech"
