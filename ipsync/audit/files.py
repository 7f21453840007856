"""The log's files: the current one and the rotated ones before it, read forwards or from the end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ipsync.core.errors import AuditLogError

BLOCK = 64 * 1024


def rotated(path: Path) -> list[Path]:
    """Return the rotated files, oldest first: NAME.FIRST-LAST, by the numbers of their records.

    Names are compared, never matched as patterns: `[`, `*` and `?` may stand in a path as anything else.
    Raises AuditLogError where the folder can't be listed: a log with files unseen would begin a second chain.
    """
    files = [path.with_name(name) for name in names_in(path.parent)]
    return sorted((file for file in files if numbers(path, file)), key=lambda file: numbers(path, file) or (0, 0))


def names_in(folder: Path) -> list[str]:
    """Return the names of a folder's files; none where it isn't there. Raises AuditLogError where it can't be listed."""
    try:
        return [other.name for other in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise AuditLogError(f"{folder}: the audit log's folder can't be listed: {error.strerror}") from None


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def all_files(path: Path) -> list[Path]:
    """Return every file of the log, oldest first."""
    return [*rotated(path), *([path] if path.exists() else [])]


def numbers(path: Path, file: Path) -> tuple[int, int] | None:
    """Return the first and the last number in a rotated file's name; None of any other file."""
    first, _, last = file.name.removeprefix(f"{path.name}.").partition("-")
    rotated_name = file.name.startswith(f"{path.name}.") and _number(first) and _number(last)
    return (int(first), int(last)) if rotated_name else None


def holding(newest_first: Sequence[Path], seq: int) -> Path | None:
    """Return which of the log's files, the current one first, holds the record of that number."""
    for file in newest_first[1:]:
        first, last = numbers(newest_first[0], file) or (0, 0)
        if first <= seq <= last:
            return file
    return newest_first[0] if newest_first else None


def line_at(path: Path, position: int) -> bytes:
    """Return the line that begins at that byte, without its end."""
    with path.open("rb") as file:
        file.seek(position)
        return file.readline().rstrip(b"\n")


def lines_backwards(path: Path) -> Iterator[bytes]:
    """Yield a file's complete lines from the last to the first, reading no more than is asked for."""
    return (line for _, line in placed_backwards(path))


def placed_backwards(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield where each complete line begins, and the line, from the last to the first."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        rest = b""
        while position:
            start = max(0, position - BLOCK)
            file.seek(start)
            block = file.read(position - start) + rest
            end, position = start + len(block), start
            lines = block.split(b"\n")
            rest = lines.pop(0) if start else b""
            for line in reversed(lines):
                end -= len(line)
                if line:
                    yield end, line
                end -= 1


def sync_folder(path: Path) -> None:
    """Make a new or renamed file's name durable: fsync of its folder."""
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def cut_torn_end(handle: int) -> bytes:
    """Cut off what a crash left of a last line, and return it."""
    size = os.fstat(handle).st_size
    torn = b""
    position = size
    while position:
        start = max(0, position - 65536)
        block = os.pread(handle, position - start, start)
        newline = block.rfind(b"\n")
        torn = block[newline + 1 :] + torn
        if newline >= 0:
            break
        position = start
    if torn:
        os.ftruncate(handle, size - len(torn))
        os.fsync(handle)
    return torn


def has_name(handle: int, path: Path) -> bool:
    """Tell whether an open file still is the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
