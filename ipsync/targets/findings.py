"""What `ipsync check` found that is the same but for where: of a thousand accounts a refused permission is one thing to fix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ipsync.core.words import count, few, without_names
from ipsync.targets.base import Finding

FEW = 3
"""So many alike findings are told each by itself."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Findings that are the same but for the names of their resources; or a single one."""

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        """Return the first of them, which stands for all."""
        return self.findings[0]

    @property
    def more(self) -> str:
        """Say how many more there are; nothing where the first is alone."""
        number = len(self.findings) - 1
        return f" (and {number:,} more like it)" if number else ""

    @property
    def others(self) -> str:
        """Name the resources of the others, as far as people read on; nothing where the first is alone."""
        names = [finding.resource for finding in self.findings[1:]]
        where = f"{count(len(names), 'other place')}: {few(names, FEW)}"
        return f"the same in {where} (-v tells each by itself)" if names else ""


def apart(findings: Iterable[Finding]) -> list[Alike]:
    """Return each finding by itself."""
    return [Alike((finding,)) for finding in findings]


def alike(findings: Iterable[Finding]) -> list[Alike]:
    """Put together what is the same but for the names of its resource, in the order of the first of each."""
    found: dict[Finding, list[Finding]] = {}
    for finding in findings:
        found.setdefault(_nameless(finding), []).append(finding)
    return [same for each in found.values() for same in ([Alike(tuple(each))] if len(each) > FEW else apart(each))]


def subjects(findings: Iterable[Finding]) -> list[str]:
    """Name what findings are about; of those that are alike the first, and how many more there are."""
    return [f"{same.first.subject}{same.more}" for same in alike(findings)]


def _nameless(finding: Finding) -> Finding:
    subject, detail, remedy = (
        without_names(text, finding.resource) for text in (finding.subject, finding.detail, finding.remedy)
    )
    where = "somewhere" if finding.resource else ""
    return replace(finding, subject=subject, detail=detail, remedy=remedy, resource=where)
