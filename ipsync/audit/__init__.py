"""The audit log: what was intended before each write, what came of it after, in a chain that shows any change."""

from __future__ import annotations

from ipsync.audit.chain import Checkpoint
from ipsync.audit.history import last_number
from ipsync.audit.log import AuditLog
from ipsync.audit.ocsf import export
from ipsync.audit.optional import NullAuditLog, OptionalAuditLog, open_optional
from ipsync.audit.show import explained, show
from ipsync.audit.verify import Verification, verify, verify_all
from ipsync.audit.words import describe

__all__ = [
    "AuditLog",
    "Checkpoint",
    "NullAuditLog",
    "OptionalAuditLog",
    "Verification",
    "describe",
    "explained",
    "export",
    "last_number",
    "open_optional",
    "show",
    "verify",
    "verify_all",
]
