"""From the checked shape of waves and checks to the frozen ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from ipsync.config import wave_schema as shape
from ipsync.core import rollout


def waves(given: Sequence[shape.Wave]) -> tuple[rollout.Wave, ...]:
    """Return the waves in their order."""
    return tuple(rollout.Wave(w.name, tuple(w.verify), w.pause, w.max_changed_targets) for w in given)


def checks(given: Mapping[str, shape.Check]) -> tuple[rollout.Check, ...]:
    """Return what waves may ask for."""
    return tuple(_check(name, check) for name, check in given.items())


def _check(name: str, check: shape.Check) -> rollout.Check:
    vendor = check.qatech
    if vendor is None:
        by = rollout.Command(tuple(check.command or ()))
        return rollout.Check(name, by, check.timeout, when=check.when, every=_age(check.every))
    applications = tuple(_application(one) for one in vendor.applications)
    run = rollout.VendorRun(vendor.url, vendor.token, vendor.test_plan, applications)
    return rollout.Check(name, run, vendor.timeout, vendor.rerun_failed, vendor.when, _age(vendor.every))


def _age(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _application(one: shape.Application) -> rollout.TestedApplication:
    where = one.environment
    known, made = (None, where) if isinstance(where, shape.Environment) else (where, None)
    return rollout.TestedApplication(
        one.application,
        environment=known,
        environment_url=made.url if made else None,
        environment_name=made.name if made else None,
        device_preset=one.device_preset,
    )
