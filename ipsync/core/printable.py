"""Text from outside, made harmless for a terminal, a log and a file: the one place that decides what may be shown raw.

A tag, a rule's description, a feed's content, an HTTP reason or an error's text may hold anything. A line break forges
a line of a report, an escape sequence rewrites the screen, a bidirectional override shows a text in another order
than it has (Unicode TR 36, CVE-2021-42574). Such characters are shown by their code, never dropped. Pure.
"""

from __future__ import annotations

import dataclasses
import json
import operator
import re
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
_INVISIBLE = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),  # joiners, fillers, a blank
            *range(0x180B, 0x1810),  # Mongolian variation selectors
            *range(0xFE00, 0xFE10),  # variation selectors
            *range(0xE0100, 0xE01F0),
        ),
    )
)
"""What Unicode counts as letters, signs or marks and nobody sees (Default_Ignorable_Code_Point, and U+2800).

`str.isprintable` refuses the rest: controls (C0, DEL, C1), format characters (bidi, zero width, tags), line and
paragraph separators, spaces other than the usual one, surrogates, private use, and what isn't assigned.
"""


def printable(text: str) -> str:
    r"""Return the text on one line, with what can't be seen shown by its code: `\n`, `\x1b`, `\u202e`."""
    if text.isprintable() and _INVISIBLE.isdisjoint(text):
        return text
    return "".join(c if _seen(c) else c.encode("unicode_escape").decode("ascii") for c in text)


def json_text(value: object, *, indent: int | None = None) -> str:
    r"""Write JSON that a terminal may show as it is: what can't be seen stands as `\uXXXX`, which means the same."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return re.sub(r"[^ -~\n]", lambda found: found[0] if _seen(found[0]) else json.dumps(found[0])[1:-1], text)


def plain(value: T) -> T:
    """Return the value with every text in it made printable, through tuples, lists, dicts and dataclasses."""
    return _plain(value)  # type: ignore[no-any-return]  # the same type comes back


def _seen(char: str) -> bool:
    return char.isprintable() and char not in _INVISIBLE


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    """Return the names of a dataclass's fields; nothing for other types."""
    return tuple(f.name for f in dataclasses.fields(kind) if f.init) if dataclasses.is_dataclass(kind) else ()


def _plain(value: Any) -> Any:
    """Return the same object where nothing in it is to be changed: of thousands of resources most are plain."""
    kind: Any = type(value)
    if kind is str:  # an Enum's texts are ours
        return printable(value)
    if not value:
        return value
    if isinstance(value, tuple | list):
        made = [_plain(inner) for inner in value]
        return value if all(map(operator.is_, made, value)) else type(value)(made)
    if isinstance(value, dict):
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    changed = {}
    for name in _fields(kind):
        old = getattr(value, name)
        if (made := _plain(old)) is not old:
            changed[name] = made
    return dataclasses.replace(value, **changed) if changed else value
