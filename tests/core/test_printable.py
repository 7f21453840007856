"""Text from outside: shown whole, on one line, and nothing in it acts on a terminal."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsync.core.model import Service
from ipsync.core.printable import json_text, plain, printable

FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
ANY = st.text(st.characters(), max_size=30)  # lone surrogates too


def harmless(text: str) -> bool:
    return not any(unicodedata.category(c) in FORBIDDEN for c in text) and len(text.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("eu-north-1 – ätt · 東京", "eu-north-1 – ätt · 東京"),
        ("a\nb\r\tc\x00", r"a\nb\r\tc\x00"),
        ("\x1b[2J\x9b31m\x7f", r"\x1b[2J\x9b31m\x7f"),
        ("\u202e\u2066\u200e\u200f\u061c", r"\u202e\u2066\u200e\u200f\u061c"),
        ("a\u200b\u200d\ufeff\u2060\xad", r"a\u200b\u200d\ufeff\u2060\xad"),
        ("\u2028\u2029\x85\x0b\x0c\x1c", r"\u2028\u2029\x85\x0b\x0c\x1c"),
        ("\ud800\udcff", r"\ud800\udcff"),
        ("\U000e0041\ufe0f\U000e0100", r"\U000e0041\ufe0f\U000e0100"),
        ("\u3164\u115f\u2800\u00a0\u3000", r"\u3164\u115f\u2800\xa0\u3000"),
    ],
)
def test_what_can_not_be_seen_is_shown_by_its_code(text, shown):
    assert printable(text) == shown


@given(ANY)
def test_any_text_is_one_harmless_line_that_stays_as_it_is(text):
    shown = printable(text)
    assert harmless(shown)
    assert printable(shown) == shown
    if text.isascii() and text.isprintable():
        assert shown == text


@given(st.recursive(ANY, lambda inner: st.lists(inner) | st.dictionaries(ANY, inner), max_leaves=8), st.booleans())
def test_json_means_the_same_and_shows_nothing_raw(value, indent):
    text = json_text(value, indent=2 if indent else None)
    assert json.loads(text) == value
    assert all(harmless(line) for line in text.split("\n"))
    assert indent or "\n" not in text


@dataclass(frozen=True)
class Held:
    name: str
    inner: tuple[object, ...] = ()


def test_every_text_in_a_value_is_reached_and_what_is_plain_stays_itself():
    held = Held("a", (Held("\x1b"), {"k\n": ["v\u202e"]}, 7, None))
    assert plain(held) == Held("a", (Held(r"\x1b"), {r"k\n": [r"v\u202e"]}, 7, None))
    assert str(plain(Service("tcp\n", 1, 2))) == r"1-2/tcp\n", "what it works out itself is worked out anew"
    clean = Held("a", (Held("b"), 7))
    assert plain(clean) is clean
