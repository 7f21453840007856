"""Looking at a prefix list: settled, as one version has it, with its tags; and why it can't be ours to fill.

A list is changed asynchronously: for some seconds it is `…-in-progress` and shows the version before. What it will hold
then nobody knows, so nothing is concluded from it before it has settled.
API: Amazon EC2 API Reference, DescribeManagedPrefixLists, GetManagedPrefixListEntries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ipsync.core.addresses import to_network
from ipsync.core.errors import Missing, Unreachable
from ipsync.core.marks import format_time
from ipsync.core.model import Entry, Network, Note
from ipsync.targets.aws import prefix_list_tags as list_tags
from ipsync.targets.aws.answers import WHO
from ipsync.targets.aws.prefix_list_marks import described
from ipsync.targets.aws.reads import Reads
from ipsync.targets.aws.rules import Rule
from ipsync.targets.tag_marks import DESCRIPTION, FEED, OWNER, SINCE, TARGET

PAUSES = (0.2, 0.3, 0.5, 1.0, 1.0, *[2.0] * 6, *[3.0] * 15)
"""Seconds before each further look at a list that is being changed: a minute in all."""
pause: Callable[[float], object] = time.sleep
FAMILIES = {"IPv4": 4, "IPv6": 6}


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as EC2 has it. `cidr` is its own text: IPv6 comes back in another form than it was sent in."""

    network: Network
    cidr: str
    description: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A settled list, as one version has it."""

    id: str
    version: int
    rows: tuple[Row, ...]
    tags: Mapping[str, str]

    def entries(self, owner: str) -> tuple[Entry, ...]:
        """Return the entries, this owner's with all that its marks say."""
        said = list_tags.read(self.tags, owner)
        return tuple(_entry(row, said, owner) for row in self._each_once(owner))

    def _each_once(self, owner: str) -> Iterator[Row]:
        """Yield a CIDR that is there twice as somebody else's, where it is: who removes one may remove the other."""
        found: dict[Network, Row] = {}
        for row in self.rows:
            known = found.get(row.network)
            if known is None or is_owned(known, owner):
                found[row.network] = row
        yield from found.values()


def is_owned(row: Row, owner: str) -> bool:
    """Tell whether an entry's description is this owner's."""
    said = described(row.description)
    return said is not None and said.owner == owner


def _entry(row: Row, said: list_tags.Said, owner: str) -> Entry:
    own = described(row.description)
    note: Note = ((DESCRIPTION, row.description),)
    if own and own.owner == owner:
        leaf = said.of(row.network, own.words)
        since = ((SINCE, format_time(leaf.since)),) if leaf.since else ()
        note = tuple(sorted([*note, (TARGET, leaf.words[0]), (FEED, leaf.words[1]), *since]))
    return Entry(row.network, None, note, row.cidr)


# ── reading ──────────────────────────────────────────────────────────────────


def look(reads: Reads, ids: Sequence[str]) -> dict[str, Rule]:
    """Describe lists by their ids; what isn't there isn't among them."""
    filters = [{"Name": "prefix-list-id", "Values": list(ids)}]
    return {str(item["PrefixListId"]): item for item in reads.prefix_lists(filters)} if ids else {}


def settled(reads: Reads, item: Rule, *, was: Rule | None = None) -> Rule:
    """Wait until nobody changes a list; after a change of our own, until it is another than `was`.

    EC2's describes may lag behind: right after a change they may still show the list as it was. Raises Unreachable
    where it takes longer than a minute.
    """
    found = item
    for wait in PAUSES:
        if is_settled(found, was=was):
            return found
        pause(wait)
        found = again(reads, str(found["PrefixListId"]))
    if is_settled(found, was=was):
        return found
    name, state = found["PrefixListId"], found.get("State")
    text = (
        f"{name} in {reads.where.region} has been changing ({state}) for more than a minute; the next run tries again"
    )
    raise Unreachable(text, code=str(state))


def is_settled(item: Rule, *, was: Rule | None = None) -> bool:
    """Tell whether a list shows what it holds: another version than before, or that the change failed."""
    if str(item.get("State")).endswith("-in-progress"):
        return False
    return was is None or version_of(item) > version_of(was) or (has_failed(item) and not has_failed(was))


def has_failed(item: Rule) -> bool:
    """Tell whether the last change of a list failed: it is as it was before."""
    return item.get("State") == "modify-failed"


def again(reads: Reads, prefix_list: str) -> Rule:
    """Describe one list. Raises Missing."""
    found = look(reads, [prefix_list]).get(prefix_list)
    if found is None:
        raise Missing(f"prefix list {prefix_list} is not in {reads.where.region} any more")
    return found


def whole(reads: Reads, item: Rule) -> Seen:
    """Read a settled list's entries, as the version has them that was described. Raises Unreachable for odd ones."""
    name, version = str(item["PrefixListId"]), version_of(item)
    rows = tuple(_row(entry, name) for entry in reads.list_entries(name, version))
    return Seen(name, version, rows, {t["Key"]: t.get("Value", "") for t in item.get("Tags", ())})


def version_of(item: Rule) -> int:
    """Return the version that a list shows. Raises Unreachable where an answer has none."""
    version = item.get("Version")
    if version is None:
        raise Unreachable(
            f"AWS's address answered with prefix list {item.get('PrefixListId')} without a version: {WHO}"
        )
    return int(version)


def _row(entry: Rule, name: str) -> Row:
    cidr = str(entry["Cidr"])
    try:
        return Row(to_network(cidr, strict=False), cidr, str(entry.get("Description", "")))
    except ValueError as error:
        raise Unreachable(f"an entry of {name} can't be read: {error}") from None


# ── whose is it, and can it be filled ────────────────────────────────────────


def conflict(item: Rule, *, account: str, owner: str) -> str | None:
    """Say why a list isn't this owner's to fill, if it isn't."""
    name, holder, state = item["PrefixListId"], str(item.get("OwnerId") or ""), str(item.get("State"))
    kept = {t["Key"]: t.get("Value", "") for t in item.get("Tags", ())}.get(OWNER)
    if holder == "AWS" or not item.get("MaxEntries"):
        return f"{name} is AWS's own list ({item.get('PrefixListName')}): nobody else can fill it; name one of your own"
    if holder != account:
        text = f"{name} is shared by account {holder}, and only that account can change it, not {account}"
        return f"{text}; take a role of that account, or a list of your own"
    if item.get("IpamPrefixListResolverSyncEnabled"):
        return f"{name} is kept by an IPAM prefix list resolver, which would undo each change; name another list"
    if kept is not None and kept != owner:
        return f"{name} carries the tag {OWNER}={kept}: it is kept for another owner; name another list, or set this tag to {owner}"
    if state.startswith("delete-") or state == "create-failed":
        return f"{name} is no list that can be filled: its state is {state}; name another list"
    return None


def misplaced(item: Rule, family: int) -> str | None:
    """Say that a list is of the other family than the key that names it."""
    if family_of(item) == family:
        return None
    key, other = ("prefix_list", "prefix_list_v6") if family == 4 else ("prefix_list_v6", "prefix_list")  # noqa: PLR2004 - the IP version
    return f"{item['PrefixListId']} holds {item.get('AddressFamily')} and can't be the {key}; name it as {other}"


def family_of(item: Rule) -> int:
    """Return the IP version that a list holds; 0 where the answer has none that is known."""
    return FAMILIES.get(str(item.get("AddressFamily")), 0)
