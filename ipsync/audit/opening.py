"""Opening a file of the log; what is made is made for the one whose log it is."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ipsync.audit.files import rotated, sync_folder
from ipsync.audit.trouble import trouble

log = logging.getLogger(__name__)

ROOT = 0


def open_log(path: Path) -> int:
    """Open the log for reading and appending, and make it, durably, where it is missing. Raises AuditLogError."""
    follow = (
        0 if _owner(path) is None else os.O_NOFOLLOW
    )  # root in another's folder: that user could aim a link anywhere
    return _opened(path, path, os.O_APPEND | follow, 0o640, durable=True)


def open_lock(path: Path, log_path: Path) -> int:
    """Open a lock file beside the log, and make it where it is missing. Raises AuditLogError."""
    return _opened(path, log_path, os.O_NOFOLLOW, 0o600)


def _opened(path: Path, log_path: Path, flags: int, mode: int, *, durable: bool = False) -> int:
    flags |= os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        return _made(path, log_path, flags, mode, durable=durable)
    except OSError as error:
        raise trouble(path, error) from None


def _made(path: Path, log_path: Path, flags: int, mode: int, *, durable: bool) -> int:
    try:
        handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return _there_by_now(path, flags | os.O_CREAT, mode)
    except OSError as error:
        raise trouble(path, error, "can't be made") from None
    try:
        _give(handle, path, log_path)
        if durable:
            sync_folder(path)
    except OSError as error:
        os.close(handle)
        raise trouble(path.parent, error, "can't be made durable") from None
    return handle


def _there_by_now(path: Path, flags: int, mode: int) -> int:
    """Open what another run has just made, or what a link points to and isn't there yet."""
    try:
        return os.open(path, flags, mode)
    except OSError as error:
        raise trouble(path, error) from None


def _give(handle: int, path: Path, log_path: Path) -> None:
    """Let a file that root has made belong to the log's user: else that user's next run couldn't open it."""
    owner = _owner(log_path)
    if owner is None:
        return
    try:
        os.fchown(handle, owner.st_uid, owner.st_gid)
    except OSError as error:  # a container's root without CAP_CHOWN
        log.warning("%s now belongs to root, and user %d can't write it: %s", path, owner.st_uid, error.strerror)


def _root_in_another_s_folder(path: Path) -> bool:
    """Tell whether somebody else could have aimed a link of the log's name at a file of root's."""
    try:
        return os.geteuid() == ROOT and path.parent.stat().st_uid != ROOT
    except OSError:
        return False  # opening the log says what is wrong with the folder


def _owner(path: Path) -> os.stat_result | None:
    """Return who else than root owns the log, the file before it or their folder, where this runs as root."""
    if os.geteuid() != ROOT:
        return None
    for place in (path, *reversed(rotated(path)), path.parent):
        try:
            found = place.stat()
        except OSError:
            continue
        if found.st_uid != ROOT:
            return found
    return None
