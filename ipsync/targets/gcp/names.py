"""Which rules stand together: RULE, RULE-v6 for IPv6, and for what overflows RULE-2, RULE-v6-2 and so on.

A project may hold hundreds of rules, and a config name hundreds: each name is looked at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from ipsync.core.placement import family_name, overflow_of


def numbered(name: str) -> set[str]:
    """Return the names that a name is a numbered one of: `a-v6-2` is one of `a-v6`, and of `a`."""
    base = overflow_of(name)
    return set() if base is None else {name.rpartition("-")[0], base}


def base_of(name: str, named: frozenset[str], *, own: bool) -> str | None:
    """Return which of the config's names a rule stands under: its own, else the longest that it continues.

    `own`: some ipsync made the rule. One that none made is nobody's overflow.
    """
    if name in named:
        return name
    bases = [base for base in numbered(name) if base in named] if own else []
    if name.endswith("-v6") and name.removesuffix("-v6") in named:
        bases.append(name.removesuffix("-v6"))
    return max(bases, key=len, default=None)


class Names:
    """The names of all rules of a project, under the names of the config that they stand under."""

    def __init__(self, rules: Mapping[str, bool], named: Iterable[str]) -> None:
        """`rules`: whether some ipsync made each; `named`: the names that the config has in this project."""
        bases = frozenset(named)
        self._fixed = bases | {family_name(base, 6) for base in bases}
        self._under: defaultdict[str | None, list[str]] = defaultdict(list)
        self._numbered: defaultdict[str, set[str]] = defaultdict(set)
        for name, own in rules.items():
            self._under[base_of(name, bases, own=own)].append(name)
        for name in self._fixed.union(rules):
            for base in numbered(name):
                self._numbered[base].add(name)

    def under(self, base: str | None) -> list[str]:
        """Return the rules that stand under one of the config's names; with None, under none of them."""
        return self._under.get(base, [])

    def taken(self, base: str) -> tuple[str, ...]:
        """Return the numbered names that overflow must step over: rules of others, and what the config names."""
        return tuple(sorted(self._numbered.get(base, set()) - (set(self.under(base)) - self._fixed)))
