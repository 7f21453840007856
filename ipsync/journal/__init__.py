"""The audit log: what was intended before each write, what came of it after, in a chain that shows any change."""

from __future__ import annotations

from ipsync.journal.history import last_number
from ipsync.journal.ocsf import export
from ipsync.journal.optional import NullJournal, OptionalJournal, open_optional
from ipsync.journal.show import explained, show
from ipsync.journal.verify import Verification, verify
from ipsync.journal.words import describe
from ipsync.journal.writer import Checkpoint, Journal

__all__ = [
    "Checkpoint",
    "Journal",
    "NullJournal",
    "OptionalJournal",
    "Verification",
    "describe",
    "explained",
    "export",
    "last_number",
    "open_optional",
    "show",
    "verify",
]
