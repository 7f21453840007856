"""What tests of passes share."""

from __future__ import annotations

import pytest

from ipsync.verification import waiting


@pytest.fixture
def quick(monkeypatch):
    """Who waits for a check asks again at once."""
    monkeypatch.setattr(waiting, "FIRST", 0.001)
    monkeypatch.setattr(waiting, "GROWTH", 1.0)
