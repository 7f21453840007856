"""What of ours a resource holds, in records of both versions: written as objects, read from objects and from texts."""

from __future__ import annotations

import pytest

from ipsync.core.contents import Contents, OwnedEntry, contents, is_as

SINCE = "2026-01-31T09:00:00Z"
WEB = OwnedEntry("8.8.8.8/32", "443/tcp", "acme", ("web",), "qatech")
LEAVES = OwnedEntry("2600::/32", "all", "acme", ("ops", "web"), "cdn,qatech", SINCE)
RANGE = OwnedEntry("8.8.8.8/32", None, "acme", ("edge",), "static")
LOST = OwnedEntry("8.8.4.4/32", "443/tcp", "acme")
SETTINGS = (("network", "default"), ("ports", "443/tcp,80/tcp"))


def test_an_entry_is_an_object_without_keys_that_have_no_value():
    assert WEB.written() == {
        "cidr": "8.8.8.8/32",
        "ports": "443/tcp",
        "owner": "acme",
        "target": ["web"],
        "origin": "qatech",
    }
    assert LEAVES.written()["target"] == ["ops", "web"]
    assert LEAVES.written()["leaving_since"] == SINCE
    assert RANGE.written().keys() == {"cidr", "owner", "target", "origin"}
    assert LOST.written() == {"cidr": "8.8.4.4/32", "ports": "443/tcp", "owner": "acme"}


def test_a_list_s_settings_stand_in_a_field_of_their_own():
    assert Contents((RANGE,), SETTINGS).written("after") == {
        "after": [RANGE.written()],
        "after_settings": {"network": "default", "ports": "443/tcp,80/tcp"},
    }
    assert Contents().written("before") == {"before": []}


@pytest.mark.parametrize("held", [Contents(), Contents((WEB, LEAVES, LOST)), Contents((RANGE,), SETTINGS)])
def test_what_was_written_is_read_again(held):
    assert contents(held.written("now"), "now") == held
    assert is_as(held, held.written("now"), "now")
    assert is_as(held, {"now": held.texts()}, "now"), "version 1"
    if held != Contents():
        assert not is_as(Contents(), held.written("now"), "now")
        assert not is_as(held, {"now": []}, "now")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("8.8.8.8/32 443/tcp for web from qatech", OwnedEntry("8.8.8.8/32", "443/tcp", "", ("web",), "qatech")),
        ("8.8.8.8/32 for a,b from static", OwnedEntry("8.8.8.8/32", None, "", ("a", "b"), "static")),
        (
            f"2600::/32 all for a from qatech leaving since {SINCE}",
            OwnedEntry("2600::/32", "all", "", ("a",), "qatech", SINCE),
        ),
        ("8.8.8.8/32 443/tcp for ? from ?", OwnedEntry("8.8.8.8/32", "443/tcp")),
        ("8.8.8.8/32 443/tcp", OwnedEntry("8.8.8.8/32", "443/tcp")),
        (f"8.8.8.8/32 leaving since {SINCE}", OwnedEntry("8.8.8.8/32", None, leaving_since=SINCE)),
        ("8.8.8.8/32", OwnedEntry("8.8.8.8/32")),
    ],
)
def test_a_text_of_version_1_is_read(text, read):
    assert contents({"after": [text]}, "after") == Contents((read,))


def test_a_setting_of_version_1_is_no_entry():
    texts = ["ports 443/tcp", "description for web from qatech", "priority 1000"]
    held = contents({"after": texts}, "after")
    assert held.entries == ()
    assert held.texts() == texts


def test_who_owns_it_is_not_in_version_1_and_settles_nothing_there():
    assert is_as(Contents((WEB,)), {"after": ["8.8.8.8/32 443/tcp for web from qatech"]}, "after")
    assert not is_as(Contents((WEB,)), {"after": ["8.8.8.8/32 443/tcp for ops from qatech"]}, "after")
    other = OwnedEntry("8.8.8.8/32", "443/tcp", "umbrella", ("web",), "qatech")
    assert not is_as(Contents((WEB,)), {"after": [other.written()]}, "after")


@pytest.mark.parametrize("settings", [{}, {"ports": "80/tcp"}])
def test_a_list_with_other_settings_is_not_as_it_was(settings):
    record = Contents((RANGE,), SETTINGS).written("after") | {"after_settings": settings}
    assert not is_as(Contents((RANGE,), SETTINGS), record, "after")


@pytest.mark.parametrize("held", [None, "8.8.8.8/32", 7, {"cidr": "8.8.8.8/32"}])
def test_what_is_no_list_holds_nothing_and_is_like_nothing(held):
    assert contents({"after": held}, "after") == Contents()
    assert not is_as(Contents(), {"after": held}, "after")
    assert not is_as(Contents(), {}, "after")


def test_what_a_later_version_may_add_is_passed_over():
    items = [{"cidr": "8.8.8.8/32", "target": "web", "more": 1}, {"cidr": 7}, {"ports": "443/tcp"}, 7, None]
    assert contents({"now": items, "now_settings": 7}, "now") == Contents((OwnedEntry("8.8.8.8/32", targets=("web",)),))


def test_what_one_holds_and_the_other_doesn_t():
    before, after = Contents((WEB, LEAVES), SETTINGS), Contents((WEB,), (SETTINGS[0], ("ports", "80/tcp")))
    assert before.without(after) == Contents((LEAVES,), (SETTINGS[1],))
    assert after.without(before) == Contents((), (("ports", "80/tcp"),))
    marked = OwnedEntry(WEB.cidr, WEB.ports, "acme", ("ops",), "qatech")
    assert Contents((marked,)).without(Contents((WEB,))) == Contents((marked,))
    assert Contents((marked,)).let_in() == Contents((WEB,)).let_in() == {"8.8.8.8/32 443/tcp"}
