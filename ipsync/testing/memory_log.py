"""An audit log in memory: what the engine records, as it records it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ipsync.core.events import Intent, Outcome, Record, Recovered, intent_of


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where a record stands in the log."""

    seq: int
    hash: str = "0" * 64


@dataclass(slots=True)
class MemoryLog:
    """An audit log in memory (engine.run.Recorder)."""

    records: list[dict[str, object]] = field(default_factory=list)

    def record(self, event: Record) -> Recorded:
        """Add a record and return where it stands."""
        self.records.append({"event": event.name, "seq": len(self.records) + 1, **event.fields()})
        return Recorded(len(self.records))

    def pending(self) -> list[dict[str, object]]:
        """Return the intents that nothing has closed, as the next run of a real log finds them."""
        closed = {intent_of(r) for r in self.records if Outcome.names(r) or Recovered.names(r)}
        return [r for r in self.of(Intent) if r["seq"] not in closed]

    def of(self, event: type[Record]) -> list[dict[str, object]]:
        """Return the records of one event, the oldest first."""
        return [r for r in self.records if event.names(r)]

    def events(self, name: str) -> list[dict[str, object]]:
        """Return the records of the event of that name, the oldest first."""
        return [r for r in self.records if r["event"] == name]
