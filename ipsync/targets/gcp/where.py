"""Where a GCP firewall rule is: in one project's network, or in those of many projects."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class GcpRule:
    """A VPC firewall rule of one project; IPv6 and overflow go to numbered neighbours of `rule`."""

    project: str
    network: str
    rule: str
    priority: int = 1000
    target_tags: tuple[str, ...] = ()
    target_service_accounts: tuple[str, ...] = ()
    max_ranges: int = 256
    endpoint: str | None = None

    @property
    def scope(self) -> tuple[object, ...]:
        """A project, at an endpoint."""
        return (self.project, self.endpoint)

    @property
    def place(self) -> str:
        """The rule, whose name the config knows."""
        return f"gcp/{self.project}/{self.rule}"

    def may_name(self, resource: str) -> bool:
        """Tell whether this is the rule."""
        return resource == self.place

    def may_be_at(self, place: str) -> bool:
        """Tell whether `gcp/PROJECT` is the rule's project."""
        return place == f"gcp/{self.project}"


@dataclass(frozen=True, slots=True)
class GcpMany:
    """The same rule in several projects: those that are named, or those that Resource Manager lists.

    `each` is the rule, whatever its own project. Without names, the projects of a folder and of all folders beneath it,
    and only those with all the labels; without a folder, all that can be seen.
    """

    each: GcpRule
    projects: tuple[str, ...] = ()
    folder: str | None = None
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def scope(self) -> tuple[object, ...]:
        """What is to be listed: it can't be read as it stands."""
        return (self.projects, self.folder, self.labels, self.each.endpoint)

    @property
    def place(self) -> str:
        """The rule, in projects that only a listing tells."""
        return f"gcp/-/{self.each.rule}"

    def __str__(self) -> str:
        """Say which projects these are."""
        chosen = " and ".join(f"{key}={value}" for key, value in self.labels)
        said = [
            *([f"of folder {self.folder}"] if self.folder else []),
            *([f"with the labels {chosen}"] if chosen else []),
        ]
        return " ".join(said)

    def at(self, project: str) -> GcpRule:
        """Return one of the places."""
        return replace(self.each, project=project)

    def may_name(self, resource: str) -> bool:
        """Tell whether this is the rule in one of the projects."""
        place, _, rule = resource.rpartition("/")
        return rule == self.each.rule and self.may_be_at(place)

    def may_be_at(self, place: str) -> bool:
        """Tell whether `gcp/PROJECT` may be one of the projects."""
        cloud, _, project = place.partition("/")
        return cloud == "gcp" and (project in self.projects if self.projects else True)
