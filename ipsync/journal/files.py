"""The log's files: the current one and the rotated ones before it, read forwards or from the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

BLOCK = 64 * 1024


def rotated(path: Path) -> list[Path]:
    """Return the rotated files, oldest first: NAME.FIRST-LAST, by the numbers of their records."""
    found = []
    for other in path.parent.glob(f"{path.name}.*-*"):
        first, _, last = other.name.removeprefix(path.name + ".").partition("-")
        if first.isdigit() and last.isdigit():
            found.append((int(first), other))
    return [other for _, other in sorted(found)]


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
