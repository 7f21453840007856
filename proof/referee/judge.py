"""The referee: told of a pass's beginning, each write and its end, it keeps every foul with the rule that was broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_network
from typing import Any

from ipsync.core.model import Network
from proof.referee import rules, told
from proof.referee.facts import Contents, Course, Facts, Line, Told, Write

Intent = Mapping[str, Any]
World = tuple[object, ...]


@dataclass(slots=True)
class Referee:
    """One for all installations over the same clouds; a pass may run inside another's.

    `added` is its own memory of which entry came in when: the clouds needn't be believed about that.
    """

    fouls: list[str] = field(default_factory=list)
    added: dict[tuple[str, str], datetime] = field(default_factory=dict)
    passes: list[tuple[Facts, Course]] = field(default_factory=list)
    used: set[tuple[object, int]] = field(default_factory=set)
    quiet: dict[object, World] = field(default_factory=dict)
    judged: int = 0
    """How many writes it has looked at."""

    def begin(self, facts: Facts) -> None:
        """Take in what a pass rests on."""
        self.passes.append((facts, Course()))

    def write(self, write: Write, intent: Intent | None, *, log: object = None) -> None:
        """Judge a write in the moment it is sent, with the intent that stands in the log on disk."""
        facts, course = self.passes[-1]
        self.judged += 1
        self._says("an intent is on disk", self._announced(write, intent, log))
        for rule in rules.RULES:
            self._says(rule.__name__, rule(facts, course, write))
        if self.quiet.get(_who(facts)) == _world(facts):
            self.fouls.append(f"a second run is quiet: {write.place} is written again, and nothing has changed")

    def answered(self, write: Write, *, carried_out: bool, stale: bool = False) -> None:
        """Take in what became of the write, by the truth of the cloud, not by its answer."""
        facts, course = self.passes[-1]
        course.sent.append((write, carried_out))
        if stale:
            course.again.add(write.resource)
        if carried_out:
            self._remember(write, facts.now)

    def disturb(self) -> None:
        """Take in that somebody else has changed something: of every pass that is under way."""
        self.quiet.clear()
        for _, course in self.passes:
            course.disturbed = True

    def end(self, said: Told | None, after: Mapping[str, Contents]) -> None:
        """Judge a pass that has ended; `said` is None where it was killed."""
        facts, course = self.passes.pop()
        for outer in self.passes if course.sent else ():
            outer[1].disturbed = True
        if said is None:
            self.quiet.pop(_who(facts), None)
            return
        for rule in told.RULES:
            self._says(rule.__name__, rule(facts, course, said, after))
        unfinished = any(_unfinished(facts, line) for line in said.lines)
        at_rest = not course.disturbed and not unfinished and all(carried_out for _, carried_out in course.sent)
        self.quiet[_who(facts)] = _world(facts, after) if at_rest else ()

    def _says(self, rule: str, fouls: Any) -> None:
        self.fouls += [f"{rule.replace('_', ' ')}: {foul}" for foul in fouls]

    def _announced(self, write: Write, intent: Intent | None, log: object) -> list[str]:
        """Contract 5.5: one intent a write, on disk before it, that says what is there before and after."""
        if intent is None or intent["resource"] != write.place:
            return [f"{write.place}: written without an intent"]
        key = (log, int(intent["seq"]))
        if key in self.used:
            return [f"{write.place}: written twice on one intent"]
        self.used.add(key)
        before, after = _networks(intent["before"]), _networks(intent["after"])
        old, new = ({h.hole.network for h in side.values()} for side in (write.before, write.after))
        opened, closed = new - old, old - new
        wrong = sorted(str(n) for n in (opened - after) | (closed - before) | (closed & after))
        return [f"{write.place}: the intent says something else of {', '.join(wrong)}"] if wrong else []

    def _remember(self, write: Write, now: datetime) -> None:
        """Keep since when each entry is there; one that only moves to another list, or whose rule changes, is no younger.

        By entry, not by network: another config's new rule for the same network makes nothing of this one's younger.
        """
        known = {h.hole.network: self.added.get((write.resource, key)) for key, h in write.before.items()}
        for key in write.after.keys() - write.before.keys():
            network = write.after[key].hole.network
            moved = write.resource.startswith("gcp/") and network in known
            at = known[network] if moved else now
            if at:
                self.added[write.resource, key] = at
        for key in write.before.keys() - write.after.keys():
            self.added.pop((write.resource, key), None)


def _networks(lines: Any) -> set[Network]:
    """Return the networks that an intent's lines name, in either version of the log: texts, or objects."""
    return {n for line in lines if (n := _network(line["cidr"] if isinstance(line, dict) else str(line)))}


def _network(line: str) -> Network | None:
    word = line.partition(" ")[0]
    if "." not in word and ":" not in word:
        return None  # a rule's setting
    try:
        return ip_network(word)
    except ValueError:
        return None


def _unfinished(facts: Facts, line: Line) -> bool:
    """Tell whether the next pass may have more to do there though nothing changes that the referee knows of."""
    if line.status == "error":
        feeds = next((t.feeds for t in facts.config.targets if t.name == line.target), ())
        known = line.target in facts.unread or line.resource in facts.blocked
        return not known and all(facts.served.get(feed, ()) is not None for feed in feeds)
    return line.status in {"partial", "unknown"} or bool(line.waiting)


def _who(facts: Facts) -> object:
    return facts.config, facts.selected


def _world(facts: Facts, after: Mapping[str, Contents] | None = None) -> World:
    """Return everything that decides what a pass does: the same again must do nothing."""
    held = {k: dict(v) for k, v in (facts.held if after is None else after).items() if v}
    lists = {k: None if v is None else tuple(v) for k, v in facts.served.items()}
    approved = facts.approved if after is None else frozenset()
    return held, lists, facts.naming, facts.unread, facts.blocked, facts.now, approved
