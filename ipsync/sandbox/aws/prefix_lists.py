"""Customer-managed prefix lists as EC2 keeps them, which moto doesn't: versions, states, limits, families, pages.

Moto makes the lists, finds them and holds their tags; their entries are here. What EC2 lets pass and nobody may do is
noted in `careless`: a write without CurrentVersion, one over an entry that is held, one that empties a list.
"""

from __future__ import annotations

import ipaddress
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

from ipsync.sandbox.aws import replies as aws_replies
from ipsync.sandbox.aws.params import Params, Refused, page

ENTRIES_PAGE, ASSOCIATIONS_PAGE, MOST_CHANGES = 100, 255, 100
MOST_ENTRIES = 1000
TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")
"""What every AWS service takes as a tag's value (AWS General Reference, tag naming limits)."""
ANSWERED = {"ModifyManagedPrefixList", "GetManagedPrefixListEntries", "GetManagedPrefixListAssociations"}
Entries = dict[str, str]
"""Descriptions by canonical CIDR, in the order in which they were added."""


@dataclass(slots=True)
class PrefixList:
    """One list. `waits` and `lags` count the describes that still show it being changed, and as it was before."""

    id: str
    family: str
    size: int
    version: int = 1
    state: str = "create-complete"
    message: str = ""
    versions: dict[int, Entries] = field(default_factory=dict)
    coming: Entries | None = None
    lags: int = 0
    waits: int = 0
    past: tuple[str, str] = ("", "")


@dataclass(slots=True)
class PrefixLists:
    """All lists, and what tests set: `polls` describes until a change is complete, and why the next one fails."""

    lists: dict[str, PrefixList] = field(default_factory=dict)
    careless: list[str] = field(default_factory=list)
    associations: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    polls: int = 1
    failure: str = ""
    resolved: set[str] = field(default_factory=set)
    """Lists that an IPAM resolver keeps."""

    def clear(self) -> None:
        """Begin anew."""
        self.lists.clear()
        self.careless.clear()
        self.associations.clear()
        self.resolved.clear()
        self.polls, self.failure = 1, ""

    def answer(self, action: str, params: Params, *, lag: int) -> bytes:
        """Answer one of ANSWERED. Raises Refused."""
        known = self.lists.get(params.get("PrefixListId", ""))
        if known is None:
            text = f"The prefix list ID '{params.get('PrefixListId', '')}' does not exist"
            raise Refused("InvalidPrefixListID.NotFound", text)
        if action == "GetManagedPrefixListEntries":
            return _entries(known, params)
        if action == "GetManagedPrefixListAssociations":
            return _associations(self.associations.get(known.id, []), params)
        return self._modified(known, params, lag)

    # ── made, described ──────────────────────────────────────────────────

    def made(self, params: Params, answer: bytes) -> bytes:
        """Take up a list that moto made; `params` are those of the call, whose other answers stay as they are."""
        root = aws_replies.parse(answer)
        node = root.find("prefixList")
        if node is None or "AddressFamily" not in params:
            return answer
        found = PrefixList(node.findtext("prefixListId") or "", params["AddressFamily"], int(params["MaxEntries"]))
        found.versions[1] = _checked_entries(params, "Entry", found)
        self.lists[found.id] = found
        _show(node, found)
        return aws_replies.written(root)

    def describe(self, root: ET.Element) -> None:
        """Write into moto's list of lists what is known here; each look brings a change nearer to its end."""
        for node in root.iterfind("prefixListSet/item"):
            found = self.lists.get(node.findtext("prefixListId") or "")
            if found is None:
                continue
            if found.lags:
                found.lags -= 1
                _set(node, "state", found.past[0])
                _set(node, "stateMessage", found.past[1])
                _set(node, "version", str(found.version))
                continue
            self._progress(found)
            _show(node, found)
            if found.id in self.resolved:
                _set(node, "ipamPrefixListResolverSyncEnabled", "true")

    def _progress(self, found: PrefixList) -> None:
        if not found.state.endswith("-in-progress"):
            return
        found.waits -= 1
        if found.waits >= 0:
            return
        if self.failure:
            found.state, found.message, self.failure = "modify-failed", self.failure, ""
        else:
            found.version += 1
            found.versions[found.version] = found.coming or {}
            found.state, found.message = "modify-complete", ""
        found.coming = None

    # ── changed ──────────────────────────────────────────────────────────

    def _modified(self, found: PrefixList, params: Params, lag: int) -> bytes:
        if found.state.endswith("-in-progress"):
            text = f"The request cannot be completed while the prefix list ({found.id}) is in the current state ({found.state})."
            raise Refused("IncorrectState", text)
        added, removed = _checked_entries(params, "AddEntry", found), _checked_cidrs(params, "RemoveEntry", found)
        if "MaxEntries" in params:
            self._resize(found, int(params["MaxEntries"]), changes=bool(added or removed))
        self._check_version(found, params)
        coming = self._changed(found, added, removed)
        found.past, found.lags = (found.state, found.message), lag
        if added or removed:
            found.coming, found.waits = coming, self.polls
            found.state, found.message = "modify-in-progress", ""
        root = ET.Element("ModifyManagedPrefixListResponse")
        ET.SubElement(root, "requestId").text = "strict-request"
        node = ET.SubElement(root, "prefixList")
        _set(node, "prefixListId", found.id)
        _show(node, found)
        return aws_replies.written(root)

    def _resize(self, found: PrefixList, size: int, *, changes: bool) -> None:
        if changes:
            text = "Modifying the size and entries of a prefix list in the same request is not supported"
            raise Refused("InvalidParameterCombination", text)
        found.size = size

    def _check_version(self, found: PrefixList, params: Params) -> None:
        if "CurrentVersion" not in params:
            self.careless.append(f"{found.id} was written without CurrentVersion")
        elif int(params["CurrentVersion"]) != found.version:
            text = "The prefix list has the incorrect version number"
            raise Refused("PrefixListVersionMismatch", text)

    def _changed(self, found: PrefixList, added: Entries, removed: list[str]) -> Entries:
        held = found.versions[found.version]
        if len(added) + len(removed) > MOST_CHANGES:
            raise Refused("InvalidParameterValue", f"The number of entries exceeds the maximum of {MOST_CHANGES}")
        if both := added.keys() & set(removed):
            raise Refused("InvalidParameterValue", f"{min(both)} is in the entries to add and to remove")
        if missing := [cidr for cidr in removed if cidr not in held]:
            raise Refused("InvalidPrefixListModification", f"Entry with CIDR {missing[0]} does not exist")
        for cidr in added.keys() & held.keys():
            if held[cidr] == added[cidr]:
                text = f"Entry with CIDR {cidr} and description {held[cidr]} already exists"
                raise Refused("InvalidPrefixListModification", text)
            self.careless.append(f"{cidr} of {found.id} was held and was written over")
        if len(held | added) > found.size:  # what goes makes no room in the same call, for all that is known
            text = f"You've reached the maximum number of entries for the prefix list ({found.size})."
            raise Refused("PrefixListMaxEntriesExceeded", text)
        coming = {cidr: text for cidr, text in (held | added).items() if cidr not in removed}
        if held and not coming:
            self.careless.append(f"{found.id} was emptied")
        return coming


def check_tags(params: Params) -> None:
    """Refuse tags that no AWS service takes; moto looks at their number alone."""
    for key, value in params.items():
        if re.fullmatch(r"Tag\.\d+\.Value", key) and not TAG_VALUE.fullmatch(value):
            raise Refused("InvalidParameterValue", f"Tag value {value!r} is too long or holds other characters")
        if re.fullmatch(r"Tag\.\d+\.Key", key) and not 1 <= len(value) <= 128:  # noqa: PLR2004 - EC2's limit
            raise Refused("InvalidParameterValue", f"Tag key {value!r} is too long")


def asked_of_moto(action: str, params: Params) -> Params:
    """Return what moto is asked: a list without its entries, which are kept here. Refuse one that EC2 wouldn't make."""
    if action != "CreateManagedPrefixList":
        return params
    if params.get("AddressFamily") not in {"IPv4", "IPv6"}:
        raise Refused("InvalidParameterValue", "The address family must be IPv4 or IPv6")
    if not 1 <= int(params.get("MaxEntries", "0")) <= MOST_ENTRIES:
        raise Refused("InvalidParameterValue", f"MaxEntries must be from 1 to {MOST_ENTRIES}")
    return {k: v for k, v in params.items() if not k.startswith("Entry.")}


def _checked_entries(params: Params, name: str, found: PrefixList) -> Entries:
    """Return the entries that a call names. Raises Refused: malformed, of the other family, twice, too many."""
    cidrs = _checked_cidrs(params, name, found)
    numbers = _numbers(params, name)
    texts = [params.get(f"{name}.{n}.Description", "") for n in numbers]
    if long := [t for t in texts if len(t) > 255]:  # noqa: PLR2004 - EC2's limit
        raise Refused("InvalidParameterValue", f"The description {long[0]!r} is longer than 255 characters")
    if len(cidrs) > found.size:
        raise Refused("PrefixListMaxEntriesExceeded", f"more than {found.size} entries")
    return dict(zip(cidrs, texts, strict=True))


def _checked_cidrs(params: Params, name: str, found: PrefixList) -> list[str]:
    cidrs = [_canonical(params.get(f"{name}.{n}.Cidr", ""), found) for n in _numbers(params, name)]
    if len(cidrs) > MOST_CHANGES:
        raise Refused("InvalidParameterValue", f"The number of entries exceeds the maximum of {MOST_CHANGES}")
    if len(set(cidrs)) != len(cidrs):
        raise Refused("InvalidParameterValue", "The same CIDR must not appear multiple times")
    return cidrs


def _numbers(params: Params, name: str) -> list[int]:
    return sorted({int(m[1]) for k in params if (m := re.fullmatch(rf"{name}\.(\d+)\.\w+", k))})


def _canonical(cidr: str, found: PrefixList) -> str:
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        raise Refused("InvalidParameterValue", f"The CIDR {cidr} is malformed") from None
    if "/" not in cidr or f"IPv{network.version}" != found.family:
        raise Refused("InvalidParameterValue", f"The CIDR {cidr} doesn't match the address family {found.family}")
    return network.exploded  # IPv6 comes back in another form than it was sent in


# ── answers ──────────────────────────────────────────────────────────────────


def _entries(found: PrefixList, params: Params) -> bytes:
    version = int(params.get("TargetVersion", found.version))
    if version not in found.versions:
        raise Refused("InvalidParameterValue", f"The prefix list has no version {version}")
    rows = [{"cidr": cidr, "description": text} for cidr, text in found.versions[version].items()]
    return _listed("GetManagedPrefixListEntries", "entrySet", rows, params=params, most=ENTRIES_PAGE)


def _associations(pairs: list[tuple[str, str]], params: Params) -> bytes:
    rows = [{"resourceId": resource, "resourceOwner": owner} for resource, owner in pairs]
    name = "GetManagedPrefixListAssociations"
    return _listed(name, "prefixListAssociationSet", rows, params=params, most=ASSOCIATIONS_PAGE)


def _listed(action: str, element: str, rows: list[dict[str, str]], *, params: Params, most: int) -> bytes:
    size, skip = page(params, 5 if most == ASSOCIATIONS_PAGE else 1, most)
    root = ET.Element(f"{action}Response")
    ET.SubElement(root, "requestId").text = "strict-request"
    listed = ET.SubElement(root, element)
    for row in rows[skip : skip + size]:
        item = ET.SubElement(listed, "item")
        for name, text in row.items():
            _set(item, name, text)
    if len(rows) > skip + size:
        ET.SubElement(root, "nextToken").text = f"page-{skip + size}"
    return aws_replies.written(root)


def _show(node: ET.Element, found: PrefixList) -> None:
    for name, text in (
        ("state", found.state),
        ("stateMessage", found.message),
        ("version", str(found.version)),
        ("maxEntries", str(found.size)),
        ("addressFamily", found.family),
    ):
        _set(node, name, text)


def _set(node: ET.Element, name: str, text: str) -> None:
    """Set a child's text; an empty one is left out, as EC2 does."""
    child = node.find(name)
    if not text:
        if child is not None:
            node.remove(child)
        return
    if child is None:
        child = ET.SubElement(node, name)
    child.text = text
