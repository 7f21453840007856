"""Who acts, as each record of the audit log names them."""

from __future__ import annotations

import getpass
import os
import socket

from ipsync.core.printable import printable


def actor() -> str:
    """Return who acts, for the audit log: $IPSYNC_ACTOR, else user@host."""
    named = os.environ.get("IPSYNC_ACTOR")
    return printable(named or f"{_user()}@{socket.gethostname()}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's UID without a passwd entry
        return f"uid{os.getuid()}"
