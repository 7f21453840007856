"""The proofs of what comes in and what was recorded, in their quick form: hostile feeds, tampered logs."""

from __future__ import annotations

import pytest

from proof import feeds, logs
from proof.table import broken


def test_whatever_is_done_to_a_log_is_found():
    assert broken(logs.rows(14, stride=41)) == []


@pytest.mark.slow
def test_no_hostile_feed_is_taken():
    assert broken(feeds.rows(quick=True)) == []
