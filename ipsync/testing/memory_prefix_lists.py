"""AWS prefix lists of a cloud in memory: what a write makes of one, and how one is read.

A list holds one family and so many entries. Who an entry is for and since when it is leaving stand beside it as the
reader of the real ones puts them together (targets/aws/prefix_list_io.py); how tags of a list hold that is their own
tests' affair. An entry's description stays as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ipsync.core.addresses import canonical
from ipsync.core.errors import Rejected, Stale
from ipsync.core.model import Capacity, Entry, Note, Operation, State
from ipsync.targets.aws.prefix_list import NAME, TRAITS
from ipsync.targets.aws.prefix_list_marks import described
from ipsync.targets.tag_marks import DESCRIPTION, FEED, SINCE, TARGET

Entries = Mapping[str, Entry]
BATCH = 100


@dataclass(frozen=True, slots=True)
class PrefixList:
    """A list as its owner made it: the family that it holds, how many entries, and whose tag it carries."""

    family: int
    most: int = 100
    keeper: str = ""


def keyed(entry: Entry) -> Entry:
    """Return an entry as a list has it: its CIDR is its name."""
    return replace(entry, provider_id=canonical(entry.network))


def carried_out(made: PrefixList, operation: Operation, held: Entries) -> dict[str, Entry]:
    """Return what a write leaves of a list; raise what the real writer would."""
    if operation.kind == "add":
        return _added(made, operation, held)
    for entry in operation.entries:
        if entry.provider_id not in held or not _owned(held[entry.provider_id]):
            raise Stale(f"{canonical(entry.network)} isn't in {operation.resource} any more, or isn't ours")
    if operation.kind == "remove":
        left = {k: e for k, e in held.items() if k not in {e.provider_id for e in operation.entries}}
        if not left:
            raise Rejected("this would take the last entry out; a list is never emptied")
        return left
    marked = {e.provider_id: replace(held[e.provider_id], note=_noted(held, operation, e)) for e in operation.entries}
    return {**held, **marked}


def state_of(
    resource: str, made: PrefixList, held: Entries, targets: tuple[str, ...], *, conflict: str | None
) -> State:
    """Return a list as it is read, whole: nothing where it can't be filled."""
    families = frozenset({made.family})
    state = State(NAME, resource, targets, traits=TRAITS, batch=BATCH, conflict=conflict, families=families)
    room = Capacity(made.family, len(held), made.most, what=f"entries of {resource}")
    return state if conflict else replace(state, entries=tuple(held.values()), capacity=(room,))


def is_marked(made: PrefixList, held: Entries, *, owner: str) -> bool:
    """Tell whether a list's own tags are this owner's: its keeper's word, or the mark of something that is leaving."""
    leaving = (dict(e.note) for e in held.values() if SINCE in dict(e.note))
    owners = {said.owner for note in leaving if (said := described(note.get(DESCRIPTION, "")))}
    return owner in {made.keeper, *owners}


def _added(made: PrefixList, operation: Operation, held: Entries) -> dict[str, Entry]:
    new = [keyed(entry) for entry in operation.entries]
    if any(e.network.version != made.family for e in new):
        raise Rejected("InvalidParameterValue: the list is of the other family")
    if any(e.provider_id in held for e in new):
        raise Stale("somebody added it since the plan was made")
    if len(held) + len(new) > made.most:
        raise Rejected("PrefixListMaxEntriesExceeded")
    return {**held, **{e.provider_id: e for e in new}}


def _owned(entry: Entry) -> bool:
    return described(dict(entry.note).get(DESCRIPTION, "")) is not None


def _noted(held: Entries, operation: Operation, entry: Entry) -> Note:
    """Return the marks that an entry has after a write: what is taken away is what its description says again."""
    pairs, said = dict(held[entry.provider_id].note), dict(entry.note)
    if operation.kind == "tag":
        return tuple(sorted((pairs | {k: v for k, v in said.items() if k in {TARGET, FEED, SINCE}}).items()))
    return tuple(sorted((k, v) for k, v in pairs.items() if k not in said or k == DESCRIPTION))
