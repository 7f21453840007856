"""How Google's calls are paced: one quota for a project's reads, one for its writes, each counted by the minute.

Google counts what falls into a minute, and doesn't say when one begins: half of it may leave at once and half over the
minute, so that no minute holds more than the whole.
Numbers: Compute Engine, "Rate quotas"; Resource Manager, "Quotas and limits".
"""

from __future__ import annotations

from ipsync.core.pacing import Limit
from ipsync.targets import pace

READS, WRITES = Limit(4000, 4000 / 60), Limit(1000, 1000 / 60)
LISTINGS = Limit(10, 10)
"""Of folders and projects: ten a second."""


def quota(project: str, *, writes: bool) -> pace.Pacer:
    """Return what paces a project's reads, or its writes."""
    verb = "writing to" if writes else "reading"
    return pace.pacer(("gcp", project, verb), WRITES if writes else READS, f"{verb} project {project}")


def listing() -> pace.Pacer:
    """Return what paces Resource Manager's calls: they count for the credentials' own project, which nothing tells."""
    return pace.pacer(("gcp", "listing"), LISTINGS, "listing projects")
