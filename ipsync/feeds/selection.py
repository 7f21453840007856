"""A JMESPath over a vendor's document that doesn't lose entries on its way.

JMESPath's projections leave out what gives null: after `prefixes[].ip` nobody sees that one prefix is null or has an
`address` instead, so the rule that one bad entry rejects the list would not hold. Here an element over which a
projection went must give something, to that projection or to another one (`[prefixes[].v4, prefixes[].v6][]`);
only a filter (`[?…]`), a slice or an index leaves out on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError, JMESPathTypeError
from jmespath.visitor import TreeInterpreter

from ipsync.core.errors import FeedError
from ipsync.core.words import few

SHOWN = 3
LONGEST = 60
"""Characters of an element that an error shows."""
_FAULTS = (ValueError, TypeError, ArithmeticError, AttributeError, LookupError, RecursionError)
"""What jmespath raises while it evaluates: its own errors are ValueErrors, `[?a < b]` of a text and a number a TypeError."""


def search(select: str, document: object) -> object:
    """Return what a JMESPath selects. Raises FeedError where it fails, or passes over an element."""
    reader = _Reader()
    try:
        found = reader.visit(jmespath.compile(select).parsed, document)
    except _FAULTS as error:
        raise FeedError(f"`{select}` can't be evaluated{reader.place()}: {_why(error)}") from None
    if lost := reader.lost():
        raise FeedError(f"`{select}` gives nothing for {few(lost, SHOWN)}; {_REMEDY}")
    return found


_REMEDY = "has its format changed? If such entries may be left out, say so with a filter, like prefixes[?ip].ip"


def _why(error: Exception) -> str:
    if isinstance(error, JMESPathTypeError):
        wanted = " or ".join(error.expected_types)
        return (
            f"{error.function_name}() got {error.actual_type} and takes {wanted}; "
            f"test for it first, like [?name && contains(name, 'x')]"
        )
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    if isinstance(error, JMESPathError):
        return f"it is not a sound expression ({type(error).__name__})"
    return "it compares or computes with values of different kinds; filter those out first, or convert them"


def _shown(element: object) -> str:
    """Write an element as JSON in ASCII, short: what it holds is the vendor's word."""
    text = json.dumps(_cut(element), default=str)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def _cut(value: object, depth: int = 0) -> object:
    """Take of a value only what can be shown, so that a large one costs nothing."""
    if isinstance(value, str):
        return value[:LONGEST]
    if isinstance(value, dict):
        return {k[:LONGEST]: _cut(v, depth + 1) for k, v in list(value.items())[:5]} if depth < SHOWN else {}
    if isinstance(value, list):
        return [_cut(v, depth + 1) for v in value[:5]] if depth < SHOWN else []
    return value


class _Reader(TreeInterpreter):
    """jmespath's own interpreter, which remembers where it is and what its projections passed over."""

    def __init__(self) -> None:
        super().__init__()
        self._at: list[tuple[object, object]] = []
        self._tests = 0
        self._dropped: list[tuple[str, object]] = []
        self._taken: dict[int, object] = {}  # the values keep what they name alive, so that no id is given twice
        self._rows: dict[int, object] = {}

    def lost(self) -> list[str]:
        """Describe the elements that no projection took anything of."""
        return [text for text, element in self._dropped if id(element) not in self._taken]

    def place(self) -> str:
        """Say at which element the evaluation is, or was when it failed."""
        return f" at {_element(*self._at[-1])}" if self._at else ""

    # ── projections ──────────────────────────────────────────────────────────

    def visit_projection(self, node: Any, value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        return self._projected(node["children"][1], enumerate(base)) if isinstance(base, list) else None

    def visit_value_projection(self, node: Any, value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        return self._projected(node["children"][1], base.items()) if isinstance(base, dict) else None

    def visit_filter_projection(self, node: Any, value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        kept = [(i, element) for i, element in enumerate(base) if self._passes(node["children"][2], i, element)]
        return self._projected(node["children"][1], kept)

    def _passes(self, test: Any, index: int, element: object) -> bool:
        self._tests += 1
        found = self._visited(test, index, element)
        self._tests -= 1
        return found not in ("", [], {}, None) and found is not False  # JMESPath: 0 is true

    def _projected(self, expression: Any, elements: Iterable[tuple[object, object]]) -> list[object]:
        collected = []
        for place, element in elements:
            found = self._visited(expression, place, element)
            if found is not None:
                collected.append(found)
                self._taken[id(element)] = element
            elif not self._tests:
                # Numbers, booleans and null are one object wherever they stand, so nothing can be known of them later.
                itself = element if isinstance(element, dict | list | str) else object()
                self._dropped.append((_element(place, element), itself))
        return collected

    def _visited(self, expression: Any, place: object, element: object) -> Any:
        self._at.append((place, element))  # and left there by an error, which is told with it
        found = self.visit(expression, element)
        self._at.pop()
        return found

    # ── lists of several expressions ─────────────────────────────────────────

    def visit_multi_select_list(self, node: Any, value: Any) -> Any:
        found = super().visit_multi_select_list(node, value)
        if found is None or self._tests:
            return found
        if self._at:  # `prefixes[].[v4, v6][]`: an element has one or the other
            self._rows[id(found)] = found
            return None if all(one is None for one in found) else found
        for number, one in enumerate(found, 1):
            if one is None:
                self._dropped.append((f"the part {number} of its {len(found)}", object()))
        return [one for one in found if one is not None]

    def visit_flatten(self, node: Any, value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        merged: list[object] = []
        for element in base:
            if not isinstance(element, list):
                merged.append(element)
            elif id(element) in self._rows:
                merged += [one for one in element if one is not None]
            else:
                merged += element
        return merged


def _element(place: object, element: object) -> str:
    where = f"entry {place}" if isinstance(place, int) else f"the key {_shown(place)}"
    return f"{where} ({_shown(element)})"
