"""The promises of the contract's section 5, under everything the state machine can think of (short version)."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from machine import Promises

TestPromises = Promises.TestCase
TestPromises.settings = settings(max_examples=24, stateful_step_count=30, suppress_health_check=list(HealthCheck))
