"""The errors ipsync raises on purpose; what matters is what the caller does next.

IpsyncError
├── UsageError            the command line or the config is wrong: tell the user, exit 1
├── AddressError          a text is not an address: the whole feed is rejected
├── FeedError             a feed can't be used: freeze every target that uses it
├── PlanFileError         a saved plan may not be applied: write nothing, exit 3
├── AuditLogError          the audit log can't be written or doesn't hold: write to no cloud
└── CloudError            a cloud said no, or nothing
    ├── Denied            a permission is missing: nothing was done, the message says which
    ├── Missing           the group, rule, project or region isn't there: nothing was done
    ├── Rejected          the cloud refused the request itself: nothing was done
    ├── Stale             the target isn't what was read: read again, plan again
    ├── Unreachable       no answer to a read, or an answer that says nothing was done
    └── Uncertain         the reply to a write was lost: read back before saying anything
"""

from __future__ import annotations


class IpsyncError(Exception):
    """The root. Its text is a whole message for the person on call: what, where, what to do."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The message as the lines that it is shown in; a line break inside of one came from outside."""
        return (str(self),)


class UsageError(IpsyncError):
    """The command line or the config file is wrong."""


class AddressError(IpsyncError, ValueError):
    """A text is not an address or a network in canonical notation."""


class FeedError(IpsyncError):
    """A feed could not be fetched or holds something that isn't an address."""


class PlanFileError(IpsyncError):
    """A saved plan was edited, has expired, or rests on something that has moved."""


class AuditLogError(IpsyncError):
    """The audit log can't be written, is held by another process, or was changed.

    `wrote` tells that this run had begun to write to a cloud before: then targets may be half done.
    """

    wrote = False


class CloudError(IpsyncError):
    """A cloud's API refused or failed. `code` is the provider's own error code, for searching its documentation."""

    def __init__(self, message: str, *, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class Denied(CloudError):
    """A permission is missing or credentials are not valid. Nothing was done."""


class Missing(CloudError):
    """The resource, project or region doesn't exist. Nothing was done."""


class Rejected(CloudError):
    """The cloud refused the request as invalid or over a limit. Nothing was done."""


class Stale(CloudError):
    """The target changed between the read and the write. Nothing was done by this call."""


class Unreachable(CloudError):
    """No usable answer, and surely nothing was changed (a read, or throttled before it was taken)."""


class Uncertain(CloudError):
    """A write may or may not have been applied: only reading back can tell."""
