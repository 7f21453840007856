"""An audit log in memory: what the engine records, as it records it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where a record stands in the log."""

    seq: int
    hash: str = "0" * 64


@dataclass(slots=True)
class MemoryLog:
    """An audit log in memory (engine.run.Log)."""

    records: list[dict[str, object]] = field(default_factory=list)

    def record(self, event: str, **fields: object) -> Recorded:
        """Add a record and return where it stands."""
        self.records.append({"event": event, "seq": len(self.records) + 1, **fields})
        return Recorded(len(self.records))

    def pending(self) -> list[dict[str, object]]:
        """Return the intents that nothing has settled, as the next run of a real log finds them."""
        settled = {r["intent"] for event in ("outcome", "recovered") for r in self.events(event)}
        return [r for r in self.events("intent") if r["seq"] not in settled]

    def events(self, event: str) -> list[dict[str, object]]:
        """Return the records of one event, the oldest first."""
        return [r for r in self.records if r["event"] == event]
