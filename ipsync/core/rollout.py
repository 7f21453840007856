"""What the operator wrote of waves: in which order targets are written, and whom to ask whether their doors are open."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class Wave:
    """Targets that are written together, after those of the waves before. `pause` is in seconds, before the next one.

    In a run of one shard `max_changed_targets` is its part of what all shards may change together (`of_all`).
    """

    name: str
    verify: tuple[str, ...] = ()
    pause: float = 0.0
    max_changed_targets: int | None = None
    of_all: int | None = None

    @property
    def most(self) -> str:
        """Write how many targets may change, as people read it."""
        part = f", this shard's part of {self.of_all}" if self.of_all else ""
        return f"{self.max_changed_targets}{part}"


REST = Wave("")
"""The targets that name no wave: they come last."""


def named(wave: str) -> str:
    """Return a wave as people read it."""
    return f"wave {wave}" if wave else "the targets without a wave"


@dataclass(frozen=True, slots=True)
class Command:
    """A program that gets the change as JSON on its standard input, and whose exit code 0 says that all is well."""

    argv: tuple[str, ...]

    @property
    def asked(self) -> dict[str, object]:
        """Return what the audit log says of it; arguments may hold secrets."""
        return {"command": self.argv[0]}


@dataclass(frozen=True, slots=True)
class TestedApplication:
    """An application of a vendor's test run, with what is other than its default."""

    __test__ = False  # pytest takes every Test… for tests

    application: str
    environment: str | None = None
    environment_url: str | None = None
    environment_name: str | None = None
    device_preset: str | None = None

    @property
    def asked(self) -> dict[str, object]:
        """Return what the audit log says of it: of an address no query, which may hold a secret."""
        url = (self.environment_url or "").partition("#")[0].partition("?")[0]
        told = {
            "application": self.application,
            "environment": self.environment or url,
            "environment_name": self.environment_name,
            "device_preset": self.device_preset,
        }
        return {key: value for key, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class VendorRun:
    """A test run at the vendor. Where `url` and `token` are None, the environment says them."""

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    test_plan: str | None = None
    applications: tuple[TestedApplication, ...] = ()

    @property
    def asked(self) -> dict[str, object]:
        """Return what the audit log says of it: no token, and no address that may hold one."""
        plan = {"test_plan": self.test_plan} if self.test_plan else {}
        tested = [one.asked for one in self.applications]
        return {**plan, **({"applications": tested} if tested else {})}


@dataclass(frozen=True, slots=True)
class Check:
    """What proves that the doors of a wave are open. `timeout` is in seconds, for the whole wait.

    when   `changed`: after a change, and until it has passed; `always`: in every run
    every  also without a change, once the last proof is so old
    """

    name: str
    by: Command | VendorRun
    timeout: float
    rerun_failed: int = 0
    when: Literal["changed", "always"] = "changed"
    every: timedelta | None = None
