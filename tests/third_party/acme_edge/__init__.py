"""The kind `acme/edge`: Acme's edge routers read what they let in from a JSON file.

Somebody else's package: it knows ipsync by what docs/kinds.md names, and ipsync knows it by its entry point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from ipsync.core.configured import Target
from ipsync.core.traits import Traits
from ipsync.targets.base import Endpoints, Kind, Reader, Writer
from ipsync.targets.tag_marks import TagMarks
from ipsync.values import models

TRAITS = Traits(entries=TagMarks())


class Edge(models.Target):
    """One router's file."""

    kind: Literal["acme/edge"] = Field(description="Which kind of target this is.")
    file: Annotated[str, Field(pattern=r"^/[^\x00-\x1f]+\.json$")] = Field(description="The router's file, absolute.")


@dataclass(frozen=True, slots=True)
class EdgeFile:
    """Where a target is: one file (core.configured.Where)."""

    file: str

    @property
    def scope(self) -> tuple[object, ...]:
        """A file is read alone."""
        return (self.file,)

    @property
    def place(self) -> str:
        """The folder, as errors name it."""
        return resource_of(self.file).rpartition("/")[0]

    def may_name(self, resource: str) -> bool:
        """Tell whether a resource is this file."""
        return resource == resource_of(self.file)

    def may_be_at(self, place: str) -> bool:
        """Tell whether the file is in a folder."""
        return place == self.place


def resource_of(file: str) -> str:
    """Return a file's name as a resource: `acme/etc/edge.json`."""
    return f"acme{file}"


def where(target: Edge, endpoints: Endpoints) -> EdgeFile:
    """Return where the target's file is."""
    del endpoints
    return EdgeFile(target.file)


def _reader(target: Target) -> Reader:
    from acme_edge.files import FileReader

    return FileReader(target)


def _writer(target: Target) -> Writer:
    from acme_edge.files import FileWriter

    return FileWriter(target)


KIND = Kind(name="acme/edge", traits=TRAITS, schema=Edge, where=where, reader=_reader, writer=_writer)
