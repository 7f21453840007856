"""How a pass ended, in a word: what its exit code would be."""

from __future__ import annotations

from ipsync.core.errors import AuditLogError
from ipsync.core.exit_codes import ExitCode
from ipsync.core.report import exit_code
from ipsync.core.signals import PassEnded

RESULTS: dict[ExitCode, str] = {code: code.name.lower() for code in ExitCode if code is not ExitCode.PENDING}


def ended_with(event: PassEnded) -> ExitCode:
    """Return the exit code that a pass stands for."""
    if event.report:
        return exit_code(event.report, detailed=False)
    wrote = isinstance(event.error, AuditLogError) and event.error.wrote
    return ExitCode.PARTIAL if wrote else ExitCode.FAILED
