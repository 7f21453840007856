"""EC2's answers, read a third as slowly as botocore does: a group's region may hold thousands of rules.

botocore takes a factory of parsers as a component of a session. Its own asks a shape's members and strips a namespace by
a regular expression at each element: 66 µs a rule, where reading the XML takes 20. Here a shape becomes a reader once an
answer, and the XML is read once for `answers.demand` and for this. What EC2's lists don't hold is left to botocore.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.parsers import EC2QueryParser, ResponseParserError, ResponseParserFactory

Read = Callable[[Any], Any]
ROOT = "ipsync.root"
"""Where `answers.demand` leaves the XML that it has read, in botocore's own record of the response."""


class Parsers(ResponseParserFactory):
    """Gives botocore's parsers, but for EC2's protocol."""

    def create_parser(self, protocol_name: str) -> Any:
        """Return a parser of this protocol's answers."""
        return Ec2Parser() if protocol_name == "ec2" else super().create_parser(protocol_name)


class Ec2Parser(EC2QueryParser):
    """Reads a success at once; errors, and shapes that it has no reader for, as botocore does."""

    def _do_parse(self, response: Mapping[str, Any], shape: Any) -> Any:
        root = response.get(ROOT)
        read = None if root is None or shape is None else reader(shape)
        if read is None:
            return super()._do_parse(response, shape)  # type: ignore[misc]  # botocore's types leave it out
        parsed = read(root)
        self._inject_response_metadata(root, parsed)  # type: ignore[attr-defined]  # as above
        return parsed


def reader(shape: Any) -> Read | None:
    """Return what reads an element of this shape; None where that takes more than EC2's lists do."""
    try:
        return _reader(shape)
    except (LookupError, RecursionError):
        return None


def _reader(shape: Any) -> Read:
    if shape.type_name == "structure":
        return _structure({_tag(member, name): (name, _reader(member)) for name, member in shape.members.items()})
    if shape.type_name == "list" and not shape.serialization.get("flattened"):
        return _list(_reader(shape.member))
    return _VALUES[shape.type_name]


def _tag(shape: Any, name: str) -> str:
    if shape.serialization.keys() - {"name"}:
        raise LookupError(name)  # an attribute, a header, a list without an element of its own
    return str(shape.serialization.get("name", name))


class _Members(dict[str, tuple[str, Read | None] | None]):
    """A structure's members by the tags that stand for them, with or without a namespace; None for what it hasn't."""

    def __missing__(self, tag: str) -> tuple[str, Read | None] | None:
        bare = tag.rpartition("}")[2]
        self[tag] = self[bare] if bare != tag else None
        return self[tag]


def _structure(members: Mapping[str, tuple[str, Read]]) -> Read:
    known = _Members({tag: (name, None if inner is _text else inner) for tag, (name, inner) in members.items()})

    def read(node: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in node:
            member = known[child.tag]
            if member is None:
                continue
            name, inner = member
            if name in found:
                raise ResponseParserError(f"two <{child.tag}> in one <{node.tag}>")
            found[name] = inner(child) if inner else child.text or ""  # most are texts: no call for these
        return found

    return read


def _list(item: Read) -> Read:
    return lambda node: [item(child) for child in node]


def _text(node: Any) -> str:
    return node.text or ""


_VALUES: dict[str, Read] = {
    "boolean": lambda node: node.text == "true",
    "integer": lambda node: int(node.text or ""),
    "long": lambda node: int(node.text or ""),
    "string": _text,
}
