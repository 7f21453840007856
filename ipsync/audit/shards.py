"""Each shard has a log of its own, named after the config's: `audit.jsonl` is `audit.shard-2-of-8.jsonl` for shard 2 of 8.

The number of shards is a part of the name, so that another number begins logs of its own, and nobody takes up a chain
that speaks of other places. Reading them together is merging them by time; each keeps its own chain.
"""

from __future__ import annotations

import glob
import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ipsync.audit.files import all_files, names_in
from ipsync.audit.log import STDOUT
from ipsync.audit.record import LOG, Record
from ipsync.core.configured import Config
from ipsync.core.errors import AuditLogError
from ipsync.core.sharding import Shard

LOCK = ".lock"
_NAME = re.compile(r"(?P<stem>.*)\.shard-(?P<index>[0-9]{1,4})-of-(?P<count>[0-9]{1,4})(?P<suffix>\.[^.]*)?", re.DOTALL)
_ROTATED = re.compile(r"(.+)\.[0-9]+-[0-9]+", re.DOTALL)


def sharded(config: Config, shard: Shard | None) -> Config:
    """Return the config as a run of this shard goes by it: with a log of its own."""
    if shard is None:
        return config
    return replace(config, shard=shard, audit_path=path_of(config.audit_path, shard))


def path_of(path: str, shard: Shard) -> str:
    """Return where a shard's log is; standard output is each pod's own."""
    if path == STDOUT:
        return path
    log = Path(path)
    return str(log.with_name(f"{log.stem}.{shard.part}{log.suffix}"))


def shard_of(log: Path) -> Shard | None:
    """Return the shard that a log's name says it is of."""
    found = _NAME.fullmatch(log.name)
    try:
        return Shard(int(found["index"]), int(found["count"])) if found else None
    except ValueError:
        return None


def label(log: Path) -> str:
    """Return a log as a line of several logs names it: its shard as I/N, else its file."""
    shard = shard_of(log)
    return str(shard) if shard else log.name


# ── which logs ───────────────────────────────────────────────────────────────


def beside(path: Path) -> list[Path]:
    """Return a config's log and those of its shards, as far as they are there; where none is, its own."""
    found = {log for name in names_in(path.parent) if _is_of(path, log := _whole(path.with_name(name)))}
    logs = [*([path] if all_files(path) else []), *sorted(found, key=_order)]
    return logs or [path]


def named(texts: Iterable[str]) -> list[Path]:
    """Return the logs that files, rotated files of them, or patterns name, each once. Raises AuditLogError for none."""
    asked = list(texts)
    logs = dict.fromkeys(_whole(Path(name)) for text in asked for name in _matching(text))
    if not (found := [log for log in logs if log.suffix != LOCK]):
        raise AuditLogError(f"{', '.join(asked)}: no audit log has such a name")
    return found


def missing(logs: Sequence[Path]) -> list[str]:
    """Say which shards of those that have logs here have none: `shard 3 of 8`."""
    there = {shard for log in logs if (shard := shard_of(log))}
    counts = sorted({shard.count for shard in there})
    return [each.words for count in counts for i in range(count) if (each := Shard(i, count)) not in there]


def _matching(text: str) -> list[str]:
    if Path(text).exists() or not glob.has_magic(text):
        return [text]
    return sorted(glob.glob(text))  # noqa: PTH207 - a pattern may be absolute


def _whole(file: Path) -> Path:
    """Return the log that a file is of: a rotated one belongs to the one without the numbers."""
    found = _ROTATED.fullmatch(file.name)
    return file.with_name(found[1]) if found else file


def _is_of(path: Path, log: Path) -> bool:
    shard = shard_of(log)
    return shard is not None and path_of(str(path), shard) == str(log)


def _order(log: Path) -> tuple[int, int]:
    shard = shard_of(log)
    return (shard.count, shard.index) if shard else (0, 0)


# ── read together ────────────────────────────────────────────────────────────


def together(logs: Sequence[Path], read: Callable[[Path], Iterable[Record]]) -> Iterator[Record]:
    """Yield the records of several logs by their time, each saying whose it is; those of one log stay in order."""
    if len(logs) == 1:
        yield from read(logs[0])
        return
    labels = Counter(map(label, logs))
    names = {log: label(log) if labels[label(log)] == 1 else str(log) for log in logs}
    yield from heapq.merge(*(_labelled(names[log], read(log)) for log in logs), key=_at)


def _labelled(name: str, records: Iterable[Record]) -> Iterator[Record]:
    return ({LOG: name, **record} for record in records)


def _at(record: Mapping[str, object]) -> str:
    return str(record.get("at"))
