"""A folder of the user's own for what is only a faster way to the same thing: `$XDG_CACHE_HOME/ipsync`.

It is trusted as much as the user's other files, no more: a folder or file that others own or may write in is not read
(root, who could do anything, may have made it: the image's is root's). Names are looked up in the opened folder, so
nobody can exchange it meanwhile. Each file begins with the digest of the rest: half a file is no file.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MOST_KEPT = 8
"""Files that stay when another is written: those of a few releases and environments, and none for ever."""
DIGITS = hashlib.sha256().digest_size * 2
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@contextmanager
def folder() -> Iterator[int]:
    """Open the folder, made where there is none. Raises OSError where it can't be used, or can't be trusted."""
    path = os.path.join(_home(), "ipsync")  # noqa: PTH118 - pathlib's import alone would cost more than this saves
    try:
        opened = _opened(path)
    except FileNotFoundError:
        os.makedirs(path, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
        opened = _opened(path)
    try:
        _demand_ours(opened)
        yield opened
    finally:
        os.close(opened)


def read(opened: int, name: str) -> bytes | None:
    """Return what a file holds; None where there is none, or none that is whole and ours."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=opened)
        with open(file, "rb") as held:  # noqa: PTH123 - an opened one
            _demand_ours(file)
            text = held.read()
    except OSError:
        return None
    sealed, data = text[:DIGITS], text[DIGITS:]
    return data if sealed == _seal(data) else None


def write(opened: int, name: str, data: bytes) -> None:
    """Write a file whole or not at all, in the place of any other of its name. Raises OSError."""
    making = f".{name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with open(os.open(making, flags, 0o600, dir_fd=opened), "wb") as file:  # noqa: PTH123 - as above
            file.write(_seal(data) + data)
        os.replace(making, name, src_dir_fd=opened, dst_dir_fd=opened)
    except OSError:
        with suppress(OSError):
            os.unlink(making, dir_fd=opened)
        raise
    _sweep(opened)


def _home() -> str:
    """Return where caches are kept; the standard says to ignore a path that isn't absolute."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    return named if os.path.isabs(named) else os.path.expanduser("~/.cache")  # noqa: PTH111, PTH117 - as above


def _opened(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _demand_ours(opened: int) -> None:
    found = os.fstat(opened)
    if found.st_uid not in {os.geteuid(), 0} or found.st_mode & OTHERS_WRITE:
        raise PermissionError("others own it, or may write in it")


def _seal(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _sweep(opened: int) -> None:
    """Remove the oldest files, also those whose writer was killed."""
    ages: list[tuple[float, str]] = []
    for name in os.listdir(opened):
        with suppress(OSError):
            ages.append((os.stat(name, dir_fd=opened).st_mtime, name))
    for _, name in sorted(ages, reverse=True)[MOST_KEPT:]:
        with suppress(OSError):
            os.unlink(name, dir_fd=opened)
