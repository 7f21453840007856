"""What the system says when a file of the log can't be used, with what helps: a path, a reason and a remedy a line."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path

from ipsync.core.errors import AuditLogError

CANT_LOCK = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF, errno.EIO, errno.ESTALE}
"""What flock(2) answers on file systems that don't lock: NFS without its lock service, some FUSE and network drives."""
_REMEDIES = {
    errno.ENOSPC: "free some space there, or name another file in audit.path",
    errno.EDQUOT: "free some of that user's quota, or name another file in audit.path",
    errno.EROFS: "mount it writable, or name a file elsewhere in audit.path",
    errno.EISDIR: "audit.path must name a file, not a folder",
    errno.ELOOP: "it is a symbolic link, which isn't followed here: name the file itself in audit.path",
}


UNRECORDED = "without the audit log ipsync writes to no cloud"
"""What follows, before a run's first write and amid a run: what it had written before, others say."""


def trouble(path: Path, error: OSError, what: str = "can't be opened") -> AuditLogError:
    """Return the error to raise for what the system said of this path."""
    return AuditLogError(f"{path}: {what}: {error.strerror}{remedy(path, error)}; {UNRECORDED}")


def cant_lock(path: Path, error: OSError) -> AuditLogError:
    """Return the error to raise where flock(2) failed: without a lock two runs could write at once."""
    way = (
        "its file system doesn't lock files: put audit.path on a local disk. On NFS the lock service must run on both "
        "sides (NFS 4, or rpc.statd), or the mount needs local_lock=flock if one machine alone uses it"
    )
    helped = f" ({way})" if error.errno in CANT_LOCK else ""
    return AuditLogError(f"{path}: can't be locked: {error.strerror}{helped}; {UNRECORDED}")


def unreadable(file: Path, error: OSError) -> AuditLogError:
    """Return the error to raise where what only reads the log can't."""
    return AuditLogError(f"{file}: the audit log can't be read: {error.strerror}")


def remedy(path: Path, error: OSError) -> str:
    """Return what helps, in brackets behind the reason; nothing where nobody knows."""
    found = _remedy(path, error)
    return f" ({found})" if found else ""


def _remedy(path: Path, error: OSError) -> str:
    if error.errno in {errno.EACCES, errno.EPERM}:
        return _whose(path)
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return f"make the folder {path.parent}, or name a file elsewhere in audit.path"
    return _REMEDIES.get(error.errno or 0, "")


def _whose(path: Path) -> str:
    """Say to whom the file (or else its folder) belongs: most often a run as root, or by hand, made it."""
    for place in (path, *path.absolute().parents):
        try:
            owner = _name(place.lstat().st_uid)
        except OSError:
            continue
        me = _name(os.geteuid())
        if owner == me:
            return f"{place} belongs to {owner}, who may not write it: chmod u+rw, or name another file in audit.path"
        return (
            f"{place} belongs to {owner}, and this runs as {me}: run it as {owner} (sudo -u {owner} …), "
            f"or give it back (chown {me}), or name another file in audit.path"
        )
    return "name another file in audit.path"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's user without a passwd entry
        return f"#{uid}"
