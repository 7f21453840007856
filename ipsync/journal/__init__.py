"""The audit log: what was intended before each write, what came of it after, in a chain that shows any change."""

from __future__ import annotations

from ipsync.journal.ocsf import export
from ipsync.journal.show import describe, show
from ipsync.journal.verify import Verification, verify
from ipsync.journal.writer import Checkpoint, Journal, NullJournal, open_optional

__all__ = [
    "Checkpoint",
    "Journal",
    "NullJournal",
    "Verification",
    "describe",
    "export",
    "open_optional",
    "show",
    "verify",
]
