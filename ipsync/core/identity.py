"""What a plan's id is made of: everything that decides its writes, and nothing that only a clock or a run does.

Two runs that see the same world get the same id, whenever they run (contract, section 3); so an approval that names an
id can't outlive what was looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ipsync.core.canonical import digest_of
from ipsync.core.diff import Diff
from ipsync.core.marking import Marked
from ipsync.core.model import Operation, State, Violation
from ipsync.core.operations import MARKED, entry_text, owned_texts
from ipsync.core.plan import FeedResult


def plan_id(owner: str, feeds: Iterable[FeedResult], resources: Iterable[object]) -> str:
    """Return a plan's id: a digest of its feeds' lists and of each resource's part, taken one after the other."""
    lists = [[f.name, f.url, f.snapshot.digest if f.snapshot else ""] for f in feeds]
    return digest_of([owner, lists], resources)


def resource_identity(
    state: State, change: Diff, todo: Iterable[Operation], violations: Iterable[Violation], *, owner: str
) -> list[object]:
    """Return a resource's part: what was seen, what changes, how it is written, and what the guards say of it."""
    kinds = [[s.kind, s.resource, list(map(list, s.managed.settings)) if s.managed else []] for s in todo]
    verdicts = [[v.guard, v.verdict.value] for v in violations]
    return [state.resource, _seen(state, owned_texts(state, owner=owner)), _changes(change), [kinds, verdicts]]


def _seen(state: State, owned: Sequence[str]) -> list[object]:
    foreign = sorted({entry_text(e) for e in state.entries} - {t.partition(MARKED)[0] for t in owned})
    return [
        list(owned),
        foreign if state.complete else [],
        [state.conflict or "", *(p.blocker for p in state.managed_lists)],
    ]


def _changes(change: Diff) -> list[object]:
    return [[_change(m) for m in items] for items in (change.add, change.remove, change.remark)]


def _change(item: Marked) -> list[object]:
    """Return one entry's part, without the clock: one that begins to leave has no time yet."""
    return [entry_text(item.entry), list(item.mark.targets), item.mark.origin, item.mark.since is not None]
