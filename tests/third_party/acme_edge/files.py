"""Reads and writes a router's file: `{"rules": [{"id", "cidr", "ports", "tags"}]}`.

Where it says `"frozen": WHO`, the router's owner lets nobody write it for now.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from acme_edge import TRAITS, EdgeFile, resource_of
from ipsync.core.configured import Target
from ipsync.core.errors import Denied, Missing, Rejected, Stale, Uncertain, Unreachable
from ipsync.core.model import Capacity, Entry, Operation, ReadFailure, Receipt, Service, State
from ipsync.targets.base import Finding

Rules = list[dict[str, Any]]
MOST = 200
"""What a router holds of one family."""


def _file(target: Target) -> Path:
    if not isinstance(target.where, EdgeFile):
        raise TypeError(f"target {target.name} is none of kind acme/edge")
    return Path(target.where.file)


def _read(path: Path) -> tuple[Rules, str]:
    """Return the rules, and who froze the file ("": nobody)."""
    try:
        found = json.loads(path.read_text())
        rules, frozen = found["rules"], str(found.get("frozen", ""))
    except FileNotFoundError:
        raise Missing(f"there is no file {path}; check `file`, or make one with the router's tool") from None
    except PermissionError:
        raise Denied(f"{path} may not be read; to fix: chmod u+r {path}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreachable(f"{path} can't be read as a router's file: {error!r}") from None
    if not isinstance(rules, list):
        raise Unreachable(f"{path} can't be read as a router's file: `rules` is no list")
    return rules, frozen


def _thaw(path: Path) -> str:
    return f"edgectl thaw {path}"


def _entry(rule: dict[str, Any]) -> Entry:
    return Entry(ip_network(rule["cidr"]), _service(rule["ports"]), tuple(sorted(rule["tags"].items())), rule["id"])


def _service(text: str) -> Service:
    ports, _, protocol = text.rpartition("/")
    if not ports:
        return Service(protocol)
    first, _, last = ports.partition("-")
    return Service(protocol, int(first), int(last or first))


class FileReader:
    """Reads one router's file."""

    def __init__(self, target: Target) -> None:
        self._path = _file(target)
        self.calls: tuple[tuple[str, str], ...] = ()

    def list_owned(self, targets: Sequence[Target], *, owner: str) -> list[State | ReadFailure]:
        """Read the file: it holds everything, so nothing is left to read."""
        del owner
        names = tuple(t.name for t in targets)
        return [self._state(State(targets[0].kind, resource_of(str(self._path)), names, traits=TRAITS))]

    def read_full(self, states: Sequence[State], *, owner: str) -> list[State | ReadFailure]:
        """Read the file again."""
        del owner
        return [self._state(s) for s in states]

    def check(self, targets: Sequence[Target], *, owner: str) -> list[Finding]:
        """Say whether the file may be read and written."""
        del targets, owner
        _, frozen = _read(self._path)
        why = f"it is frozen by {frozen}" if frozen else ""
        return [
            Finding(f"acme {self._path}: read", ok=True),
            Finding(f"acme {self._path}: write", ok=not frozen, detail=why, remedy=_thaw(self._path) if frozen else ""),
        ]

    def _state(self, state: State) -> State | ReadFailure:
        rules, _ = _read(self._path)
        self.calls = (*self.calls, ("read", "ok"))
        try:
            entries = tuple(_entry(r) for r in rules)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return ReadFailure(state.targets, state.resource, f"a rule in {self._path} can't be read: {error!r}")
        used = {v: sum(e.network.version == v for e in entries) for v in (4, 6)}
        room = tuple(Capacity(v, n, MOST) for v, n in used.items())
        return replace(state, entries=entries, capacity=room, complete=True)


class FileWriter:
    """Writes to one router's file, whole and at once, under a lock that the router's own tool takes too."""

    def __init__(self, target: Target) -> None:
        self._path = _file(target)

    def execute(self, operation: Operation) -> Receipt:
        """Do one operation, or nothing."""
        change: Callable[[Rules, Operation], Rules] = {
            "add": _added,
            "remove": _removed,
            "tag": _tagged,
            "untag": _untagged,
        }[operation.kind]
        with self._locked():
            rules, frozen = _read(self._path)
            if frozen:
                raise Denied(f"{self._path} is frozen by {frozen}; to fix: {_thaw(self._path)}")
            self._replace(change(rules, operation))
        return Receipt(f"{operation.kind}-{len(operation.entries)}")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._path.with_suffix(".lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield

    def _replace(self, rules: Rules) -> None:
        for version in (4, 6):
            if sum(ip_network(r["cidr"]).version == version for r in rules) > MOST:
                raise Rejected(f"{self._path} holds at most {MOST} rules of IPv{version}")
        fresh = self._path.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump({"rules": rules}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.replace(fresh, self._path)  # noqa: PTH105 - a network file system may lose its reply
        except OSError as error:
            raise Uncertain(f"{self._path} may or may not be written: {error}") from None


def _added(rules: Rules, operation: Operation) -> Rules:
    there = {(r["cidr"], r["ports"]) for r in rules}
    new = [
        {"id": f"{e.network} {e.service}", "cidr": str(e.network), "ports": str(e.service), "tags": dict(e.note)}
        for e in operation.entries
    ]
    if twins := [r["id"] for r in new if (r["cidr"], r["ports"]) in there]:
        raise Stale(f"{twins[0]} is there already: somebody added it since the plan was made")
    return [*rules, *new]


def _removed(rules: Rules, operation: Operation) -> Rules:
    ids = _present(rules, operation)
    return [r for r in rules if r["id"] not in ids]


def _tagged(rules: Rules, operation: Operation) -> Rules:
    notes = {e.provider_id: dict(e.note) for e in operation.entries}
    _present(rules, operation)
    return [{**r, "tags": {**r["tags"], **notes.get(r["id"], {})}} for r in rules]


def _untagged(rules: Rules, operation: Operation) -> Rules:
    gone = {e.provider_id: dict(e.note).keys() for e in operation.entries}
    _present(rules, operation)
    return [{**r, "tags": {k: v for k, v in r["tags"].items() if k not in gone.get(r["id"], ())}} for r in rules]


def _present(rules: Rules, operation: Operation) -> set[str]:
    ids = {e.provider_id for e in operation.entries}
    if missing := sorted(ids - {r["id"] for r in rules}):
        raise Stale(f"{missing[0]} isn't there any more: somebody removed it since the plan was made")
    return ids
