"""What of waves and checks concerns more than one key: names that must exist, and keys that exclude each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ipsync.config.yaml_document import Document, Path

Indexed = Sequence[tuple[int, Mapping[str, Any]]]
FOR_COMMANDS = ("timeout", "when", "every")
BY = ("qatech", "command")


def check(document: Document, targets: Indexed) -> None:
    """Note every wave and check that is named and isn't there, the other way round, and what doesn't fit together."""
    listed, verify = document.value.get("waves"), document.value.get("verify")
    waves = [(i, w) for i, w in enumerate(listed if isinstance(listed, list) else []) if isinstance(w, dict)]
    checks = verify if isinstance(verify, dict) else {}
    _unique(waves, document)
    _exist([(("targets", i, "wave"), t.get("wave")) for i, t in targets], _names(waves), document, "waves")
    used = [((*("waves", i, "verify"), n), name) for i, w in waves for n, name in enumerate(_list(w.get("verify")))]
    _exist(used, list(checks), document, "verify")
    for name, one in checks.items():
        if isinstance(one, dict):
            _one_of(("verify", name), one, document)
        if name not in {used_name for _, used_name in used}:
            document.add(("verify", name), "no wave asks for it; name it in a wave's verify, or take it out")


def _names(waves: Indexed) -> list[str]:
    return [w["name"] for _, w in waves if isinstance(w.get("name"), str)]


def _list(value: object) -> list[Any]:
    """Return what a list holds; one name that stands there without a list is said to be wrong, and still is a name."""
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []


def _unique(waves: Indexed, document: Document) -> None:
    seen: set[str] = set()
    for index, wave in waves:
        name, path = wave.get("name"), ("waves", index, "name")
        if isinstance(name, str) and name in seen and document.sound(path):
            document.add(path, f"{document.shown(path, name)} names a wave already; choose another")
        seen |= {name} if isinstance(name, str) else set()


def _exist(named: Iterable[tuple[Path, object]], known: Sequence[str], document: Document, where: str) -> None:
    noun = {"waves": "wave", "verify": "check"}[where]
    for path, name in named:
        if isinstance(name, str) and name not in known and document.sound(path):
            from ipsync.config.names import instead  # noqa: PLC0415 - only errors need it

            document.add(path, f"there is no {noun} {document.shown(path, name)}; {instead(name, known, where)}")


def _one_of(path: Path, one: Mapping[str, Any], document: Document) -> None:
    given = [key for key in BY if one.get(key) is not None]
    if len(given) != 1:
        both = "names both qatech and command; keep one of them" if given else "needs qatech: {…} or command: [PROGRAM]"
        document.add(path, both)
    if given == ["qatech"]:
        for key in (key for key in FOR_COMMANDS if key in one):
            document.add((*path, key), f"is for a command; write it inside of qatech: {{{key}: …}}")
    places = [(path, one), ((*path, "qatech"), one.get("qatech"))]
    for place, keys in places:
        if isinstance(keys, dict) and keys.get("when") == "always" and keys.get("every") is not None:
            document.add((*place, "every"), "says nothing beside when: always, which asks in every run; leave one out")
