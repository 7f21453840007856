"""Numbers and lists as people read them."""

from __future__ import annotations

import pytest

from ipsync.core.words import count, tally, then


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [(0, "place", "0 places"), (1, "entry", "1 entry"), (2, "entry", "2 entries"), (1_300, "place", "1,300 places")],
)
def test_a_number_with_its_noun(number, noun, said):
    assert count(number, noun) == said


def test_what_comes_again_and_again_is_named_once():
    assert tally(["web held", "edge held", *["web held"] * 1_283]) == ["web held on 1,284 resources", "edge held"]


@pytest.mark.parametrize("said", ["Project 12 has been deleted.", "Project 12 has been deleted"])
def test_what_a_cloud_says_ends_with_one_full_stop(said):
    assert then(said, "Check `project`.") == "Project 12 has been deleted. Check `project`."
