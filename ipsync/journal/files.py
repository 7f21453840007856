"""The log's files: the current one and the rotated ones before it, read forwards or from the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ipsync.errors import JournalError

BLOCK = 64 * 1024


def rotated(path: Path) -> list[Path]:
    """Return the rotated files, oldest first: NAME.FIRST-LAST, by the numbers of their records.

    Names are compared, never matched as patterns: `[`, `*` and `?` may stand in a path as anything else.
    Raises JournalError where the folder can't be listed: a log with files unseen would begin a second chain.
    """
    found = []
    for name in _names(path.parent):
        first, _, last = name.removeprefix(f"{path.name}.").partition("-")
        if name.startswith(f"{path.name}.") and _number(first) and _number(last):
            found.append((int(first), int(last), name))
    return [path.with_name(name) for _, _, name in sorted(found)]


def _names(folder: Path) -> list[str]:
    try:
        return [other.name for other in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise JournalError(f"{folder}: the audit log's folder can't be listed: {error.strerror}") from None


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def all_files(path: Path) -> list[Path]:
    """Return every file of the log, oldest first."""
    return [*rotated(path), *([path] if path.exists() else [])]


def lines_backwards(path: Path) -> Iterator[bytes]:
    """Yield a file's complete lines from the last to the first, reading no more than is asked for."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        rest = b""
        while position:
            start = max(0, position - BLOCK)
            file.seek(start)
            lines = (file.read(position - start) + rest).split(b"\n")
            position = start
            rest = lines.pop(0) if start else b""
            yield from (line for line in reversed(lines) if line)


def sync_folder(path: Path) -> None:
    """Make a new or renamed file's name durable: fsync of its folder."""
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
