"""Which address lies in which physical list, where one list can't hold them all.

A GCP rule holds one family (IPv6 goes to NAME-v6) and a bounded number of ranges (overflow goes to NAME-2 …): as many
as the config says, and no more than its description has room for, should all of them leave.
An address stays in the list where it is: moving it would cost a write and, for a moment, the door. Only what a
description that is too full can't tell of any more moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ipsync.core.addresses import sort_key
from ipsync.core.model import ManagedList, Network, State, suits
from ipsync.core.traits import ListMarks, Mark


@dataclass(frozen=True, slots=True)
class Replacement:
    """One list that differs: `was` None to create it, `want` None to delete it."""

    was: ManagedList | None
    want: ManagedList | None


def replacements(
    state: State, after: Mapping[Network, Mark], *, owner: str, still: frozenset[Network] = frozenset()
) -> list[Replacement]:
    """Return the lists that must change so that together they hold exactly `after`, with its marks.

    Of a range of `still`, each list that holds it goes on saying what it says: somebody put it into two of ours, with
    a mark in one of them, and no mark may change now.
    """
    ours = {p.name: p for p in state.managed_lists if is_owned(state, p, owner=owner)}
    unfit = without_service(state)
    after = {n: mark for n, mark in after.items() if n.version not in unfit}
    placed = _place(state, after, ours, owner=owner)
    changes = []
    for name in sorted({*ours, *placed}, key=_number):
        was = ours.get(name)
        marks = {n: after[n] for n in placed.get(name, ())}
        if was:
            marks |= marks_in(state, was, marks.keys() & still & set(was.networks), owner=owner)
        want = _part(state, name, marks, owner=owner)
        if was != want:
            changes.append(Replacement(was, want))
    return changes


def is_owned(state: State, managed: ManagedList, *, owner: str) -> bool:
    """Tell whether a list carries this owner's marks."""
    return marked_for(state, managed, owner=owner) is not None


def marked_for(state: State, managed: ManagedList, *, owner: str) -> tuple[str, ...] | None:
    """Return the targets that a list's marks name; None where the list isn't this owner's."""
    return state.traits.list_marks.targets(managed.note, owner=owner)


def marks_in(state: State, managed: ManagedList, networks: Iterable[Network], *, owner: str) -> dict[Network, Mark]:
    """Return what a list's own marks say of these ranges; nothing where the list isn't this owner's."""
    found = {n: state.traits.list_marks.mark(managed.note, n, owner=owner) for n in networks}
    return {n: mark for n, mark in found.items() if mark}


def without_service(state: State) -> frozenset[int]:
    """Return the IP versions (4, 6) that none of the wanted services goes with: no list is made for them."""
    return frozenset(v for v in (4, 6) if dict(settings_of(state, v)).get("ports") == "")


def settings_of(state: State, version: int) -> tuple[tuple[str, str], ...]:
    """Return what the config asks of a list of this family: Google refuses a whole IPv6 rule for the `icmp` in it."""
    return tuple((key, _ports(text, version) if key == "ports" else text) for key, text in state.wanted_settings)


def _ports(text: str, version: int) -> str:
    return ",".join(word for word in text.split(",") if suits(word.rpartition("/")[2], version))


def base_name(state: State) -> str:
    """Return the rule's name as the config has it: the last word of the resource."""
    return state.resource.rpartition("/")[2]


def family_name(base: str, version: int) -> str:
    """Return the name of the first list of a family: IPv6 has a list of its own."""
    return base if version == 4 else f"{base}-v6"  # noqa: PLR2004 - the IP version


def overflow_of(name: str) -> str | None:
    """Return which list a numbered name (`RULE-2`, `RULE-v6-2`) may be a further one of; None for other names."""
    stem, dash, number = name.rpartition("-")
    return stem.removesuffix("-v6") if dash and number.isdigit() else None


def belongs(name: str, base: str) -> bool:
    """Tell whether a list's name is one that `base` may have: itself, its IPv6 twin, or a numbered one of either."""
    rest = name.removeprefix(base).removeprefix("-v6")
    return name.startswith(base) and (not rest or (rest[0] == "-" and rest[1:].isdigit()))


def _place(
    state: State, after: Mapping[Network, Mark], ours: Mapping[str, ManagedList], *, owner: str
) -> dict[str, list[Network]]:
    most = min(state.max_ranges, state.traits.list_marks.room(owner, after))
    placed = {
        name: _kept([n for n in managed.networks if n in after], after, most, owner, state.traits.list_marks)
        for name, managed in ours.items()
    }
    settled = {n for networks in placed.values() for n in networks}
    sizes = {name: len(managed.networks) for name, managed in ours.items()}  # what goes is there until what comes is in
    for network in sorted(after.keys() - settled, key=sort_key):
        name = _with_room(state, sizes, network.version, most)
        placed.setdefault(name, []).append(network)
        sizes[name] = sizes.get(name, 0) + 1
    return {name: networks for name, networks in placed.items() if networks}


def _kept(
    networks: list[Network], after: Mapping[Network, Mark], most: int, owner: str, marks: ListMarks
) -> list[Network]:
    """Return the ranges that stay in a list: all, unless its description can't hold their marks any more.

    Then as many stay as always find room, and the others move: they are let in elsewhere before they leave here.
    """
    while not marks.fits(owner, {n: after[n] for n in networks}):
        networks = networks[: min(most, len(networks) * 3 // 4)]
    return networks


def _with_room(state: State, sizes: Mapping[str, int], version: int, most: int) -> str:
    first = family_name(base_name(state), version)
    foreign = {p.name for p in state.managed_lists} - sizes.keys() | set(state.taken)
    names = [first, *(f"{first}-{i}" for i in range(2, len(sizes) + len(foreign) + 3))]
    return next(n for n in names if n not in foreign and sizes.get(n, 0) < most)


def _part(state: State, name: str, marks: Mapping[Network, Mark], *, owner: str) -> ManagedList | None:
    if not marks:
        return None
    networks = tuple(sorted(marks, key=sort_key))
    note = state.traits.list_marks.note(owner, marks)
    return ManagedList(name, networks, note=note, settings=settings_of(state, networks[0].version))


def _number(name: str) -> tuple[int, str]:
    return len(name), name
