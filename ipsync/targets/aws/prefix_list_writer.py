"""Writing to prefix lists: entries under the version that was read, marks of what leaves as tags of the list.

Each write looks at the list first. What is to be added must not be there, whoever's it is: for all that is known, EC2
writes over its description. What is to be removed must be there and ours. The version that was seen goes with the write
(`CurrentVersion`), so that nothing can change in between; without it nothing would guard the write.
API: Amazon EC2 API Reference, ModifyManagedPrefixList, CreateTags, DeleteTags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ipsync.core.addresses import canonical
from ipsync.core.configured import Target
from ipsync.core.errors import CloudError, Denied, Rejected, Stale, Uncertain, Unreachable
from ipsync.core.marks import parse_time
from ipsync.core.model import Entry, Network, Operation, Receipt
from ipsync.core.words import count
from ipsync.targets.aws import client as aws_client
from ipsync.targets.aws import errors as aws_errors
from ipsync.targets.aws import prefix_list_io as lists
from ipsync.targets.aws import prefix_list_tags as list_tags
from ipsync.targets.aws.codes import BUSY
from ipsync.targets.aws.prefix_list import where_of
from ipsync.targets.aws.prefix_list_io import Row, Seen
from ipsync.targets.aws.prefix_list_marks import described
from ipsync.targets.aws.prefix_list_tags import Leaf
from ipsync.targets.aws.reads import Reads, with_remedy
from ipsync.targets.aws.rules import Rule
from ipsync.targets.tag_marks import DESCRIPTION, FEED, SINCE, TARGET

Leaves = dict[Network, Leaf]


class Writer:
    """Writes to one account's region, one operation at a time."""

    def __init__(self, target: Target) -> None:
        self._where = where_of(target)
        self._reads = Reads(self._where, needs="read-lists")
        self._ec2 = aws_client.client("ec2", self._where)
        self._own: dict[str, tuple[Rule, Seen]] = {}
        """What our own writes made of each list: EC2's describes may lag behind them."""

    def execute(self, operation: Operation) -> Receipt:
        """Send exactly this operation, and wait until EC2 has carried it out."""
        work: Callable[[Operation, Rule, Seen], str] = {
            "add": self._add,
            "remove": self._remove,
            "tag": self._tag,
            "untag": self._untag,
        }[operation.kind]
        item, seen = self._look(operation.resource.rpartition("/")[2])
        return Receipt(work(operation, item, seen))

    def _look(self, name: str) -> tuple[Rule, Seen]:
        """Return a list as it is now; what we wrote ourselves is there, even if EC2 doesn't show it yet."""
        item = lists.settled(self._reads, lists.again(self._reads, name))
        if name not in self._own:
            return item, lists.whole(self._reads, item)
        known, own = self._own[name]
        if lists.version_of(item) <= own.version:
            return known, own
        return item, replace(lists.whole(self._reads, item), tags=own.tags)

    # ── entries ──────────────────────────────────────────────────────────

    def _add(self, operation: Operation, item: Rule, seen: Seen) -> str:
        held = {row.network for row in seen.rows}
        if twins := [e.network for e in operation.entries if e.network in held]:
            text = f"{canonical(twins[0])} is in {seen.id} already: somebody added it since the plan was made"
            raise Stale(text)
        rows = [Row(e.network, canonical(e.network), dict(e.note)[DESCRIPTION]) for e in operation.entries]
        owner = _owner_of(rows, seen)
        seen = self._clear_of_old_marks(seen, owner, rows)
        added = [{"Cidr": row.cidr, "Description": row.description} for row in rows]
        return self._modify(item, replace(seen, rows=(*seen.rows, *rows)), owner, AddEntries=added)

    def _clear_of_old_marks(self, seen: Seen, owner: str, rows: Sequence[Row]) -> Seen:
        """Take away what tags still say of earlier entries of these addresses: it must not hold for the new ones."""
        fresh = {row.network: _fresh(row) for row in rows}
        leaves = _leaves(seen, owner) | fresh
        said = list_tags.read(seen.tags, owner)
        if all(said.of(network, leaf.described) == leaf for network, leaf in leaves.items()):
            return seen
        return self._mark(seen, owner, leaves)[0]

    def _remove(self, operation: Operation, item: Rule, seen: Seen) -> str:
        rows = _rows_of(operation.entries, seen)
        owner = _owner_of(rows, seen)
        left = tuple(row for row in seen.rows if row not in rows)
        if not left:
            raise Rejected(f"this would take the last entry out of {seen.id}; a list is never emptied")
        removed = [{"Cidr": row.cidr} for row in rows]
        return self._modify(item, replace(seen, rows=left), owner, RemoveEntries=removed)

    def _tidy(self, name: str, owner: str) -> None:
        """Take away marks of what is gone. Where that fails they say nothing of anybody, and the next write tries again."""
        item, seen = self._own[name]
        with suppress(CloudError):
            self._own[name] = item, self._mark(seen, owner, _leaves(seen, owner))[0]

    def _modify(self, item: Rule, coming: Seen, owner: str, **changes: Sequence[Mapping[str, str]]) -> str:
        """Change a list's entries under the version that was seen, and wait until that is done."""
        entries = count(sum(map(len, changes.values())), "entry")
        subject = f"{'add' if 'AddEntries' in changes else 'remove'} {entries} of {coming.id}"
        send = lambda: self._ec2.modify_managed_prefix_list(  # noqa: E731 - one call, sent perhaps again
            PrefixListId=coming.id, CurrentVersion=coming.version, **changes
        )
        answer = self._when_free(lambda: self._call("modify-list", send, subject=subject, owner=owner))
        now = self._done(item, answer["PrefixList"], subject)
        self._own[coming.id] = now, replace(coming, version=lists.version_of(now))
        self._tidy(coming.id, owner)
        return _request_id(answer)

    def _when_free(self, send: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Send a change again while EC2 is at another one: a list takes one at a time, an account a few."""
        for wait in lists.PAUSES:
            try:
                return send()
            except Unreachable as error:
                if error.code not in BUSY:
                    raise
            lists.pause(wait)
        return send()

    def _done(self, was: Rule, answered: Rule, subject: str) -> Rule:
        """Wait until a change that EC2 took is carried out. From here on it may be: only reading back can tell."""
        try:
            now = lists.settled(self._reads, answered, was=was)
        except CloudError as error:
            raise Uncertain(
                f"{subject}: AWS accepted it, but ipsync didn't see it done: {error}", code=error.code
            ) from None
        if lists.version_of(now) > lists.version_of(was):
            return now
        raise Rejected(
            f"{subject}: AWS accepted it and could not carry it out: {now.get('StateMessage')}", code="modify-failed"
        )

    # ── marks ────────────────────────────────────────────────────────────

    def _tag(self, operation: Operation, item: Rule, seen: Seen) -> str:
        return self._set(operation, item, seen, _tagged)

    def _untag(self, operation: Operation, item: Rule, seen: Seen) -> str:
        return self._set(operation, item, seen, _untagged)

    def _set(
        self, operation: Operation, item: Rule, seen: Seen, change: Callable[[Leaf, Mapping[str, str]], Leaf]
    ) -> str:
        owner = _owner_of(_rows_of(operation.entries, seen), seen)
        leaves = _leaves(seen, owner)
        marked = {e.network: change(leaves[e.network], dict(e.note)) for e in operation.entries}
        after, request = self._mark(seen, owner, leaves | marked)
        self._own[seen.id] = item, after
        return request

    def _mark(self, seen: Seen, owner: str, leaves: Leaves) -> tuple[Seen, str]:
        """Write an owner's tags anew; those of others stay. What is set is set before anything is taken away."""
        want = list_tags.write(owner, leaves)
        have = {k: v for k, v in seen.tags.items() if k.startswith(list_tags.prefix(owner))}
        others = {k: v for k, v in seen.tags.items() if k not in have}
        _check_room(seen.id, {**others, **want})
        fresh = {k: v for k, v in want.items() if have.get(k) != v}
        gone = {k: v for k, v in have.items() if k not in want}
        requests = [
            self._send_tags("tag-list", self._ec2.create_tags, seen.id, fresh, owner=owner),
            self._send_tags("untag-list", self._ec2.delete_tags, seen.id, gone, owner=owner),
        ]
        return replace(seen, tags={**others, **want}), next((r for r in requests if r), "")

    def _send_tags(
        self, what: str, send: Callable[..., dict[str, Any]], name: str, tags: Mapping[str, str], *, owner: str
    ) -> str:
        if not tags:
            return ""
        pairs = [{"Key": k, "Value": v} for k, v in sorted(tags.items())]
        subject = f"{what.replace('-', ' ')} {name}"
        answer = self._call(what, lambda: send(Resources=[name], Tags=pairs), subject=subject, owner=owner)
        return _request_id(answer)

    def _call(self, what: str, send: Callable[[], dict[str, Any]], *, subject: str, owner: str) -> dict[str, Any]:
        try:
            return aws_errors.call(send, subject=subject, writes=True)
        except Denied as error:
            raise with_remedy(error, what, owner=owner, region=self._where.region) from None


# ── whose, and what is said of it ────────────────────────────────────────────


def _rows_of(entries: Iterable[Entry], seen: Seen) -> list[Row]:
    """Return the entries as the list has them, one that is there twice as well. Raises Stale."""
    networks = {e.network for e in entries}
    found = [row for row in seen.rows if row.network in networks]
    if lost := networks - {row.network for row in found}:
        raise Stale(f"{canonical(min(lost))} isn't in {seen.id} any more: somebody removed it since the plan was made")
    return found


def _owner_of(rows: Sequence[Row], seen: Seen) -> str:
    """Return whose entries these are: one owner's, all of them. Raises Stale."""
    owners = {said.owner if (said := described(row.description)) else "" for row in rows}
    owner = owners.pop() if len(owners) == 1 else ""
    if not owner:
        raise Stale(
            f"entries of {seen.id} are no longer this owner's: somebody wrote them anew since the plan was made"
        )
    return owner


def _leaves(seen: Seen, owner: str) -> Leaves:
    """Return what is known of each of an owner's entries."""
    said = list_tags.read(seen.tags, owner)
    found = ((row.network, described(row.description)) for row in seen.rows)
    return {network: said.of(network, own.words) for network, own in found if own and own.owner == owner}


def _fresh(row: Row) -> Leaf:
    own = described(row.description)
    words = own.words if own else ("", "")
    return Leaf(words, words)


def _tagged(leaf: Leaf, pairs: Mapping[str, str]) -> Leaf:
    words = pairs.get(TARGET, leaf.words[0]), pairs.get(FEED, leaf.words[1])
    return replace(leaf, words=words, since=parse_time(pairs[SINCE]) if SINCE in pairs else leaf.since)


def _untagged(leaf: Leaf, pairs: Mapping[str, str]) -> Leaf:
    words = tuple(
        old if key in pairs else now for key, old, now in zip((TARGET, FEED), leaf.described, leaf.words, strict=True)
    )
    return replace(leaf, words=(words[0], words[1]), since=None if SINCE in pairs else leaf.since)


def _check_room(name: str, tags: Mapping[str, str]) -> None:
    """Refuse what doesn't fit before anything is written: no mark is ever left out."""
    own = [key for key in tags if not key.startswith("aws:")]
    if len(own) > list_tags.MOST:
        text = f"{name} would need {len(own)} tags for the marks of what is leaving, and {list_tags.MOST} is the most"
        raise Rejected(f"{text}; take tags of your own away, or use more lists")


def _request_id(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
