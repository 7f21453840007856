"""A worker's health by a clock that tests set."""

from __future__ import annotations

import pytest
from factory import aws_target, config

from ipsync.observers.health import Health


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def health(clock):
    return Health(config(aws_target()), clock=clock)
