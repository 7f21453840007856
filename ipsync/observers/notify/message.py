"""One message of everything that is to be told: a CloudEvent for programs, lines for people. Pure.

Texts in it come from feeds, clouds and tags; none holds a line break or a character that nobody sees, and none is long.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from ipsync.core.marks import format_time
from ipsync.core.printable import plain
from ipsync.core.words import few
from ipsync.observers.notify.happenings import Happening, Severity, Situation
from ipsync.observers.notify.memory import News, Told

TYPE = "ipsync.notification.v1"
LONGEST = 400
"""Characters of one text."""
MOST = 50
"""Things told in one message; what is more is counted."""
NAMED = 20
"""Resources of one thing that are named."""
FEW = 3
"""Subjects that fit a line."""
State = Literal["happened", "began", "lasts", "ended"]
GRAVE: tuple[Severity, ...] = ("critical", "error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing told; where the same happened to many, once with all of them."""

    word: str
    state: State
    text: str
    severity: Severity
    subjects: tuple[str, ...]
    resources: tuple[str, ...] = ()
    approve: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. `id` stays the same when it is sent again."""

    id: str
    owner: str
    run: str
    at: datetime
    changes: tuple[Change, ...]
    approve: str = ""
    """The command that an id is added to, to approve it."""
    sample: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """Return the words that it speaks of, each once."""
        return tuple(dict.fromkeys(change.word for change in self.changes))


def changes(happened: Sequence[Happening], found: News) -> tuple[Change, ...]:
    """Return what there is to tell, the gravest first, the same of many as one."""
    told = [
        *_alike("began", found.began),
        *_alike("lasts", found.again),
        *_over(found),
        *_alike("happened", happened),
    ]
    return plain(tuple(sorted(told, key=lambda change: GRAVE.index(change.severity))))


def _alike(state: State, items: Iterable[Happening]) -> Iterator[Change]:
    groups: dict[tuple[object, ...], list[Happening]] = {}
    for item in items:
        groups.setdefault((item.word, item.text, item.severity, item.approve), []).append(item)
    for alike in groups.values():
        first = alike[0]
        subjects = tuple(dict.fromkeys(item.subject for item in alike))
        resources = tuple(dict.fromkeys(item.resource for item in alike if item.resource))
        text = _cut(first.text)
        yield Change(first.word, state, text, first.severity, subjects, resources, first.approve)


def _over(found: News) -> Iterator[Change]:
    """Yield what ended, of each word as one; a resource of which something else of the same word lasts isn't over."""
    lasting = {each.key[:3] for each in found.known if not each.over}
    ended: dict[str, list[Told]] = {}
    for each in found.ended:
        if each.key[:3] not in lasting:
            ended.setdefault(each.key[0], []).append(each)
    for word, items in ended.items():
        subjects = tuple(dict.fromkeys(each.key[1] for each in items if len(each.key) > 1)) or ("several",)
        places = tuple(dict.fromkeys(each.key[2] for each in items if each.key[2:] and each.key[2]))
        since = min(each.since for each in items)
        yield Change(word, "ended", f"no longer {word}", "info", subjects, places, since=since)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def sample(*, owner: str, at: datetime, approve: str) -> Message:
    """Return the message of `ipsync notify --test`."""
    text = "a sample, asked for by `ipsync notify --test`: nothing happened"
    change = Change("applied", "happened", text, "info", ("sample",))
    return Message(f"test-{at:%Y%m%d%H%M%S}", owner, "test", at, (change,), approve, sample=True)


# ── for programs ─────────────────────────────────────────────────────────────


def cloud_event(message: Message) -> bytes:
    """Return a CloudEvent 1.0 in structured JSON."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": message.id,
        "source": f"/ipsync/{message.owner}",
        "type": TYPE,
        "subject": ",".join(message.words),
        "time": format_time(message.at),
        "datacontenttype": "application/json",
        "data": {
            "owner": message.owner,
            "run": message.run,
            "sample": message.sample,
            "text": "\n".join(lines(message)),
            "changes": [_change(change, message) for change in message.changes[:MOST]],
            "more": max(0, len(message.changes) - MOST),
        },
    }
    return json.dumps(event, ensure_ascii=False).encode()


def _change(change: Change, message: Message) -> dict[str, object]:
    made: dict[str, object] = {
        "word": change.word,
        "state": change.state,
        "severity": change.severity,
        "text": change.text,
        "subjects": list(change.subjects[:NAMED]),
        "resources": list(change.resources[:NAMED]),
        "count": max(len(change.subjects), len(change.resources)),
    }
    if change.since:
        made["since"] = format_time(change.since)
    if change.approve:
        made["approve"] = f"{message.approve} --approve {change.approve}".strip()
    return made


# ── for people ───────────────────────────────────────────────────────────────


def lines(message: Message, *, most: int = MOST) -> Iterator[str]:
    """Yield the message as lines for people."""
    yield f"ipsync {message.owner}: {', '.join(message.words)}" + (" (a sample)" if message.sample else "")
    for change in message.changes[:most]:
        yield f"[{_label(change)}] {_who(change)}: {change.text}"
        if change.approve:
            yield f"    to approve: {message.approve} --approve {change.approve}"
    if len(message.changes) > most:
        yield f"and {len(message.changes) - most} more"


def _label(change: Change) -> str:
    still = {"lasts": "still ", "ended": "over: "}.get(change.state, "")
    loud = "!! " if change.severity == "critical" else ""
    return f"{loud}{still}{change.word}"


def _who(change: Change) -> str:
    names = few(change.subjects, FEW)
    places = change.resources
    where = places[0] if len(places) == 1 else f"{len(places)} resources"
    return f"{names} ({where})" if places else names


def without(message: Message, secrets: Iterable[str]) -> Message:
    """Return the message without these texts, should what is told repeat one."""
    held = [each for each in secrets if each]

    def hidden(text: str) -> str:
        for each in held:
            text = text.replace(each, "(hidden)")
        return text

    return replace(message, changes=tuple(replace(c, text=hidden(c.text)) for c in message.changes))


def only(situation: Situation, words: Iterable[str]) -> Situation:
    """Leave out what isn't asked for."""
    wanted = set(words)
    return replace(
        situation,
        happened=tuple(each for each in situation.happened if each.word in wanted),
        states=tuple(each for each in situation.states if each.word in wanted),
    )
