"""What `ipsync check` found that is the same but for where: of a thousand accounts a refused permission is one thing to fix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ipsync.core.words import count, few, without_names
from ipsync.targets.base import Finding

FEW = 3
"""So many alike findings are told each by itself."""
Alike = tuple[Finding, ...]


def alike(findings: Iterable[Finding]) -> list[Alike]:
    """Put together what is the same but for the names of its resource, in the order of the first of each."""
    found: dict[Finding, list[Finding]] = {}
    for finding in findings:
        found.setdefault(_nameless(finding), []).append(finding)
    return [same for each in found.values() for same in ([tuple(each)] if len(each) > FEW else [(f,) for f in each])]


def subjects(groups: Iterable[Alike]) -> list[str]:
    """Name what each group is about: by its first one, and how many more there are."""
    return [f"{same[0].subject}{more(same)}" for same in groups]


def more(same: Sequence[Finding]) -> str:
    """Say how many more findings are like the first; nothing where it is alone."""
    return f" (and {len(same) - 1:,} more like it)" if len(same) > 1 else ""


def others(same: Sequence[Finding]) -> str:
    """Name the resources of the others, as far as people read on; nothing where the first is alone."""
    if len(same) == 1:
        return ""
    names = [finding.resource for finding in same[1:]]
    return f"the same in {count(len(names), 'other place')}: {few(names, FEW)} (-v tells each by itself)"


def _nameless(finding: Finding) -> Finding:
    texts = (without_names(text, finding.resource) for text in (finding.subject, finding.detail, finding.remedy))
    subject, detail, remedy = texts
    where = "somewhere" if finding.resource else ""
    return Finding(subject, finding.ok, detail, remedy, skipped=finding.skipped, resource=where)
