"""The strict AWS for tests of prefix lists, and the desk that they work at."""

from __future__ import annotations

import pytest
from prefix_desk import Desk


@pytest.fixture
def aws(_aws, monkeypatch):
    """Only prefix lists are made here: moto need not be built anew for each test."""
    for name, value in _aws.environment().items():
        monkeypatch.setenv(name, value)
    _aws.calm()
    yield _aws
    assert _aws.lists.careless == [], "a prefix list was written as EC2 lets it and nobody may"


@pytest.fixture
def desk(aws, fast_aws):
    made = Desk(aws, aws.make_list(4, size=300), aws.make_list(6, size=50))
    aws.reset_calls()
    return made
