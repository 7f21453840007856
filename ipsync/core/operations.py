"""The writes that carry out a diff, in their order, each with what is there before and after.

The order is part of the promise: add, then mark, then remove, so that no door closes before its
successor is open; removing first only what the quota leaves no other way for, where the config says `remove_first`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from ipsync.core.addresses import canonical, entry_key, sort_key
from ipsync.core.contents import Contents, OwnedEntry
from ipsync.core.diff import Diff
from ipsync.core.marking import Marked
from ipsync.core.marks import format_time, mark_of, owned_marks
from ipsync.core.model import Entry, ManagedList, Note, Operation, State
from ipsync.core.placement import Replacement, base_name, is_owned, marked_for, marks_in, replacements
from ipsync.core.traits import EntryMarks, Mark, Traits

MARKED = " for "
"""Stands in an entry's text between what it lets in and what its mark says."""


def operations(
    state: State,
    change: Diff,
    *,
    owner: str,
    removals_first: Mapping[int, int] | None = None,
    keep_settings: bool = False,
) -> tuple[Operation, ...]:
    """Return the writes for one resource; none when it is as wished.

    `removals_first` says how many of each family must go before all that is added fits. `keep_settings` leaves the
    settings of lists that are there as they are: somebody shares them who can't be asked.
    """
    if state.traits.whole_lists:
        return tuple(_list_operations(state, change, owner=owner, keep_settings=keep_settings))
    return tuple(_entry_operations(state, change, owner=owner, removals_first=removals_first or {}))


def owned_texts(state: State, *, owner: str) -> tuple[str, ...]:
    """Return everything of this owner's on a resource as texts, in order: what a plan's id is made from."""
    if not state.traits.whole_lists:
        return _texts(owned_marks(state, owner=owner))
    ours = [p for p in state.managed_lists if is_owned(state, p, owner=owner)]
    texts = [(f"rule {p.name}", *list_contents(p, owner=owner, traits=state.traits).texts()) for p in ours]
    return tuple(text for each in texts for text in each)


def owned_contents(state: State, *, owner: str) -> Contents:
    """Return everything of this owner's on a resource of single entries, as intents hold it."""
    return Contents(_entries(owned_marks(state, owner=owner)))


def list_contents(managed: ManagedList | None, *, owner: str, traits: Traits) -> Contents:
    """Return one physical list, as intents hold it: its settings, and its ranges with their marks."""
    if managed is None:
        return Contents()
    entries = [Entry(n, None, managed.note) for n in managed.networks]
    marks = {e: mark for e in entries if (mark := mark_of(e, owner=owner, traits=traits))}
    return Contents(_entries(marks), tuple((key, value) for key, value in managed.settings if value))


def opens(operation: Operation) -> frozenset[Entry]:
    """Return the entries that a write lets in and that weren't let in before."""
    if operation.managed is None:
        return frozenset(operation.entries if operation.kind == "add" else ())
    return _ranges(operation.managed) - _ranges(operation.was)


def closes(operation: Operation) -> frozenset[Entry]:
    """Return the entries that a write takes away."""
    if operation.managed is None:
        return frozenset(operation.entries if operation.kind == "remove" else ())
    return _ranges(operation.was) - _ranges(operation.managed if operation.kind != "delete" else None)


def _ranges(managed: ManagedList | None) -> frozenset[Entry]:
    return frozenset(Entry(network) for network in managed.networks) if managed else frozenset()


def entry_text(entry: Entry) -> str:
    """Write an entry as people do: `203.0.113.7/32 443/tcp`."""
    return f"{canonical(entry.network)} {entry.service}" if entry.service else canonical(entry.network)


def _entries(marks: Mapping[Entry, Mark]) -> tuple[OwnedEntry, ...]:
    """Write entries with their whole marks: else nobody could tell whether a write that only marks was carried out."""
    return tuple(_entry(e, marks[e]) for e in sorted(marks, key=entry_key))


def _entry(entry: Entry, mark: Mark) -> OwnedEntry:
    return OwnedEntry(
        canonical(entry.network),
        str(entry.service) if entry.service else None,
        mark.owner,
        mark.targets,
        mark.origin,
        format_time(mark.since) if mark.since else None,
    )


def _texts(marks: Mapping[Entry, Mark]) -> tuple[str, ...]:
    ordered = sorted(marks, key=entry_key)
    return tuple(entry_text(e) + _mark_text(marks[e]) for e in ordered)


def _mark_text(mark: Mark) -> str:
    since = f" leaving since {format_time(mark.since)}" if mark.since else ""
    return f"{MARKED}{','.join(mark.targets) or '?'} from {mark.origin or '?'}{since}"


# ── targets that take the difference (AWS rules) ─────────────────────────────


def _entry_operations(
    state: State, change: Diff, *, owner: str, removals_first: Mapping[int, int]
) -> Iterator[Operation]:
    held = owned_marks(state, owner=owner)
    before = Contents(_entries(held))
    for kind, items in _ordered(state, change, held, removals_first=removals_first):
        for batch in _batches(items, state.batch):
            held = _carried_out(held, kind, batch)
            after = Contents(_entries(held))
            entries = tuple(m.entry for m in batch)
            yield Operation(kind, state.resource, before, after, entries)  # type: ignore[arg-type]
            before = after


def _ordered(
    state: State, change: Diff, held: Mapping[Entry, Mark], *, removals_first: Mapping[int, int]
) -> list[tuple[str, Sequence[Marked]]]:
    first, last = _divided(change.remove, removals_first)
    tags = _tagging(change.remark, held, state.traits.entry_marks)
    if first and not (last or change.keep or change.remark):
        return _in_turns(change)
    return [*_removing(first), *_adding(change.add), *tags, *_removing(last)]


def _divided(items: Sequence[Marked], first: Mapping[int, int]) -> tuple[list[Marked], list[Marked]]:
    """Return the removals that must come first, so many of each family, and the others."""
    left, early, late = dict(first), list[Marked](), list[Marked]()
    for item in items:
        family = item.entry.network.version
        (early if left.get(family, 0) > 0 else late).append(item)
        left[family] = left.get(family, 0) - 1
    return early, late


def _removing(items: Sequence[Marked]) -> list[tuple[str, Sequence[Marked]]]:
    return [("remove", items)] if items else []


def _in_turns(change: Diff) -> list[tuple[str, Sequence[Marked]]]:
    """Remove first where all that is held goes: the last one waits until others are in, since nothing is ever emptied.

    One addition of its family takes its place; where there is no other, there is no other way either.
    """
    *gone, last = change.remove
    rest = [m for m in change.add if m.entry.network.version == last.entry.network.version][:1]
    others = [m for m in change.add if m not in rest]
    if not others:
        return [*_removing(change.remove), *_adding(rest)]
    return [*_removing(gone), *_adding(others), *_removing([last]), *_adding(rest)]


def _adding(items: Iterable[Marked]) -> list[tuple[str, Sequence[Marked]]]:
    """Group what one call can tag alike: AWS tags all rules of one Authorize call the same."""
    groups: dict[Mark, list[Marked]] = {}
    for item in items:
        groups.setdefault(item.mark, []).append(item)
    return [("add", group) for group in groups.values()]


def _tagging(
    items: Iterable[Marked], held: Mapping[Entry, Mark], marks: EntryMarks
) -> list[tuple[str, Sequence[Marked]]]:
    """Return the tags to set and the tags to take away, grouped so that each group is one call."""
    found: dict[tuple[str, Note], list[Marked]] = {}
    for item in items:
        old, new = _tags(held[item.entry], marks), _tags(item.mark, marks)
        gone = tuple(sorted((k, v) for k, v in old.items() if k not in new))
        fresh = tuple(sorted((k, v) for k, v in new.items() if old.get(k) != v))
        for kind, note in (("tag", fresh), ("untag", gone)):
            if note:
                entry = replace(item.entry, note=note)
                found.setdefault((kind, note), []).append(Marked(entry, item.mark))
    return [(kind, group) for (kind, _), group in found.items()]


def _tags(mark: Mark, marks: EntryMarks) -> dict[str, str]:
    return {key: value for key, value in marks.note(mark) if key not in marks.fixed}


def _carried_out(held: Mapping[Entry, Mark], kind: str, batch: Sequence[Marked]) -> dict[Entry, Mark]:
    if kind == "remove":
        gone = {m.entry for m in batch}
        return {e: mark for e, mark in held.items() if e not in gone}
    if kind == "tag":  # sets tags and takes none away: until that is done too, it still says since when it leaves
        return {**held, **{m.entry: replace(m.mark, since=m.mark.since or held[m.entry].since) for m in batch}}
    if kind == "untag":  # takes away since when it leaves, and says nothing else: another call may be still to come
        return {**held, **{m.entry: replace(held[m.entry], since=None) for m in batch}}
    return {**held, **{m.entry: m.mark for m in batch}}


def _batches(items: Sequence[Marked], size: int) -> Iterator[Sequence[Marked]]:
    rest = iter(items)
    while batch := tuple(islice(rest, size)):
        yield batch


# ── targets that take the whole (GCP rules) ──────────────────────────────────


def _list_operations(state: State, change: Diff, *, owner: str, keep_settings: bool) -> Iterator[Operation]:
    """Make and widen all lists first, then change settings, then narrow and delete: the union is open in between.

    A list that gains and loses is written twice, so that nothing closes before everything that can open is open. What is
    let in is let in with the settings that are asked for now, never with those of before.
    When a target was renamed, the list under the rule's own name keeps the old name until all others have the new one:
    it is what tells them from another config's (planner.py), should the run end between.
    """
    widened: list[Replacement] = []
    changed: list[Replacement] = []
    narrowed: list[Replacement] = []
    head = base_name(state)
    for item in _differing(state, change, owner=owner, keep_settings=keep_settings):
        was, want = item.was, item.want
        if not was or not want:
            (widened if want else narrowed).append(item)
            continue
        vouches = was.name == head and _renamed(state, was, want, owner=owner)
        union = _union(state, was, want, owner=owner, vouches=vouches)
        if union != was:
            (widened if set(union.networks) > set(was.networks) else changed).append(Replacement(was, union))
        if want != union:
            narrowed.append(Replacement(union, want))
    widened.sort(key=lambda i: i.was is not None and i.want is not None and i.was.settings != i.want.settings)
    last = [i for i in narrowed if _name(i) == head and _renamed(state, i.was, i.want, owner=owner)]
    for item in (*widened, *changed, *sorted(narrowed, key=lambda i: (i in last, i.want is None))):
        yield _list_step(state, item, owner=owner)


def _list_step(state: State, item: Replacement, *, owner: str) -> Operation:
    managed = item.want or item.was
    if managed is None:
        raise ValueError("a list that neither is nor shall be")
    return Operation(
        kind="create" if not item.was else "replace" if item.want else "delete",
        resource=state.resource.rpartition("/")[0] + "/" + managed.name,
        before=list_contents(item.was, owner=owner, traits=state.traits),
        after=list_contents(item.want, owner=owner, traits=state.traits),
        managed=managed,
        was=item.was,
    )


def _name(item: Replacement) -> str:
    return item.want.name if item.want else item.was.name if item.was else ""


def _differing(state: State, change: Diff, *, owner: str, keep_settings: bool) -> list[Replacement]:
    """Return the lists to write. When an entry was added is no reason to write, and goes with the next write when old."""
    after = {entry.network: mark for entry, mark in change.after.items()}
    still = frozenset(entry.network for entry in change.still)
    items = replacements(state, after, owner=owner, still=still)
    if items and change.aged:
        aged = {entry.network for entry in change.aged}
        younger = {n: replace(mark, added=None) if n in aged else mark for n, mark in after.items()}
        names = {_name(i) for i in items}
        items = [i for i in replacements(state, younger, owner=owner, still=still) if _name(i) in names]
    if not keep_settings:
        return items
    kept = [Replacement(i.was, replace(i.want, settings=i.was.settings) if i.was and i.want else i.want) for i in items]
    return [i for i in kept if i.was != i.want]


def _renamed(state: State, was: ManagedList | None, want: ManagedList | None, *, owner: str) -> bool:
    """Tell whether a list is marked for somebody whom it won't be marked for any more, or goes whole."""
    old, new = (set((marked_for(state, p, owner=owner) if p else ()) or ()) for p in (was, want))
    return bool(old - new)


def _union(state: State, was: ManagedList, want: ManagedList, *, owner: str, vouches: bool) -> ManagedList:
    """Return the list with what it gains and with its new settings, and nothing lost yet; `was` where it has neither."""
    gained, lost = set(want.networks) - set(was.networks), set(was.networks) - set(want.networks)
    if not gained and was.settings == want.settings:
        return was
    if not lost and not vouches:
        return want
    old = was.networks if vouches else lost
    marks = {**marks_in(state, want, want.networks, owner=owner), **marks_in(state, was, old, owner=owner)}
    note = state.traits.list_marks.note(owner, marks)
    return ManagedList(was.name, tuple(sorted(marks, key=sort_key)), note, want.settings)
