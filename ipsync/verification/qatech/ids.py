"""QA.tech's ids, told apart before anything is sent: a wrong one is answered with 404, which says nothing of why.

Most kinds carry a prefix, with the project's short name in it or without: `app_gXeBl2`, `app-shop_gXeBl2`. Runs have
none, and the tests that others depend on are named by UUIDs.
"""

from __future__ import annotations

import re
from typing import Literal

from ipsync.core.printable import printable
from ipsync.verification.errors import WrongValue

Prefix = Literal["pln", "app", "env", "cfg", "preset", "scenario"]
KINDS: dict[Prefix, tuple[str, str]] = {
    "pln": ("a test plan", "pln_abc123"),
    "app": ("an application", "app_gXeBl2"),
    "env": ("an environment", "env_aB3xY9"),
    "cfg": ("a config", "cfg_xyz789"),
    "preset": ("a device preset", "preset_abc123"),
    "scenario": ("a scenario", "scenario_abc123"),
}
"""By prefix: what it is the id of, and one as an example."""
_REST = r"(?:-[!-~]+)?_[!-~]+"
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_RUN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._~-]{0,98}[A-Za-z0-9_~-])?", re.ASCII)
LONGEST, SHOWN = 200, 60


def short_id(prefix: Prefix, value: str) -> str:
    """Check an id of one kind. Raises WrongValue, naming what it is and what would be right."""
    if len(value) <= LONGEST and re.fullmatch(prefix + _REST, value):
        return value
    what, example = KINDS[prefix]
    raise WrongValue(f"{_told(value)} of {what}, which begins with {prefix}_ (like {example})")


def uuid(value: str) -> str:
    """Check the id of a test case of the project, which is a UUID."""
    if _UUID.fullmatch(value):
        return value
    example = "a1b2c3d4-e5f6-4789-a012-3456789abcde"
    raise WrongValue(
        f"{_told(value)} of a test case, which is a UUID (like {example}; it stands in the test's address)"
    )


def run_id(value: str) -> str:
    """Check a run's short id, which becomes a part of an address."""
    if _RUN.fullmatch(value) and not _UUID.fullmatch(value) and _kind(value) is None:
        return value
    raise WrongValue(f"{_told(value)} of a run, which is short and has no prefix (the last part of the run's address)")


def _kind(value: str) -> str | None:
    """Return what a text is the id of, if its form tells."""
    found = (f"the id of {what}" for prefix, (what, _) in KINDS.items() if re.fullmatch(prefix + _REST, value))
    return "the UUID of a test case" if _UUID.fullmatch(value) else next(found, None)


def _told(value: str) -> str:
    """Begin the sentence: what was given, what it is if its form tells, and that it isn't the right id."""
    short = value if len(value) <= SHOWN else f"{value[:SHOWN]}…"
    kind = _kind(value) if len(value) <= LONGEST else None
    return f"{printable(short)} is {kind}, and not that" if kind else f"{printable(short)!r} is not the id"
