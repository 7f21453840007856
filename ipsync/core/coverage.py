"""Whether one entry already lets in all that another would: its addresses, and its ports."""

from __future__ import annotations

from ipsync.core.model import Entry, Service


def covers(other: Entry, entry: Entry) -> bool:
    """Tell whether one entry lets in all that another does."""
    if other.network.version != entry.network.version:
        return False
    inside = entry.network.subnet_of(other.network)  # type: ignore[arg-type]
    return inside and service_covers(other.service, entry.service)


def service_covers(wide: Service | None, narrow: Service | None) -> bool:
    """Tell whether one service includes another: `all` includes everything, a range its ports."""
    if wide == narrow or (wide and wide.protocol == "all"):
        return True
    if not wide or not narrow or wide.protocol != narrow.protocol:
        return False
    if wide.first is None or wide.last is None or narrow.first is None or narrow.last is None:
        return False
    return wide.first <= narrow.first and narrow.last <= wide.last
