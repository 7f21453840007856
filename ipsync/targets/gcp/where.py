"""Where a GCP firewall rule is: one project's network."""

from __future__ import annotations

from dataclasses import dataclass


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
