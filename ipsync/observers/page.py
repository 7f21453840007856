"""The status page: HTML that is made here and holds no script, and the same as JSON.

Every text in a `Status` was made harmless before (core/printable); the template escapes it for HTML.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from threading import Lock

from jinja2 import DictLoader, Environment, StrictUndefined, Template
from markupsafe import Markup

from ipsync import __version__
from ipsync.core.marks import format_time
from ipsync.core.printable import json_text
from ipsync.observers.standing import WORST
from ipsync.observers.status import Status
from ipsync.observers.web import Answer

HERE = files(__package__)
TONES = {
    **dict.fromkeys(("in sync", "done", "allow", "in-sync", "applied", "verified", "passed"), "good"),
    **dict.fromkeys(
        ("waiting", "blocked", "held", "pending", "refused", "needs-approval", "approved", "running"), "wait"
    ),
    **dict.fromkeys(("failed", "half done", "unknown", "partial", "refuse", "incomplete", "cancelled"), "bad"),
}
FAILED = {"failed", "half done", "unknown"}
SAYS = {"allow": "warns", "needs-approval": "needs approval", "refuse": "refuses"}
MINUTE, HOUR, DAY = 60, 3600, 86400
MOMENT = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it stands in a word, and the colour of it."""

    title: str
    tone: str


def verdict(status: Status) -> Verdict:
    """Sum the status up, by the worst of it."""
    if first := _follows(status) or _held_up(status):
        return first
    if not status.result:
        return Verdict("The first pass isn't over", "idle")
    if status.result in {"failed", "partial"}:
        return Verdict("Something failed", "bad")
    if status.approve_all or status.approve_how:
        waiting = max(1, len(status.approvals) + status.approvals_not_shown)
        return Verdict(
            "1 change waits for approval" if waiting == 1 else f"{waiting} changes wait for approval", "wait"
        )
    if status.result == "refused":
        return Verdict("A guard refuses a change", "wait")
    return Verdict("Contested" if status.contested else "All as wished", "wait" if status.contested else "good")


def _follows(status: Status) -> Verdict | None:
    """Say so where another replica makes the passes, or nobody can be elected."""
    election = status.election
    if election is None or election.leads:
        return None
    if election.trouble:
        return Verdict("No pass: the Lease can't be had", "bad")
    return Verdict("Another replica leads" if election.holder else "Asks for the Lease", "idle")


def _held_up(status: Status) -> Verdict | None:
    """Say so where a wave holds others back, and nothing worse has happened."""
    holding = next((wave for wave in status.waves if wave.command), None)
    if holding is None or any(t.status in FAILED for t in status.targets):
        return None
    return Verdict(f"{sentence(holding.name)} holds the rest", "bad")


@dataclass(frozen=True, slots=True)
class _Made:
    """A page, and of what it was made."""

    status: Status
    at: datetime
    well: bool
    answer: Answer

    def serves(self, status: Status, now: datetime, *, well: bool) -> bool:
        """Tell whether the page still holds: until something changes, or a minute has passed.

        While a pass runs something changes with every call; then a page serves for a moment, however many ask for it.
        """
        same = well == self.well and f"{now:%H:%M}" == f"{self.at:%H:%M}"
        moment = status.passes is self.status.passes and (now - self.at).total_seconds() < MOMENT
        return same and (status is self.status or moment)


class StatusPage:
    """Makes the page of what holds now, once for all who ask."""

    def __init__(self, status: Callable[[], Status], complaint: Callable[[], str | None]) -> None:
        self._status, self._complaint = status, complaint
        self._made: _Made | None = None
        self._lock = Lock()
        self._template, self._headers = _template(), {"Content-Security-Policy": policy()}

    def __call__(self) -> Answer:
        """Return the page."""
        now, status, complaint = datetime.now(UTC), self._status(), self._complaint()
        made = self._made
        if made and made.serves(status, now, well=complaint is None):
            return made.answer
        with self._lock:
            text = self._template.render(
                status=status,
                now=now,
                complaint=complaint,
                verdict=verdict(status),
                by_status=[
                    (word, found) for word in WORST if (found := [t for t in status.targets if t.status == word])
                ],
                numbers={t.name: number for number, t in enumerate(status.targets, 1)},
                feed_numbers={f.name: number for number, f in enumerate(status.feeds, 1)},
                css=_css(),
                version=__version__,
            )
        answer = Answer(text.encode(), "text/html; charset=utf-8", headers=self._headers)
        self._made = _Made(status, now, complaint is None, answer)
        return answer

    def json(self) -> Answer:
        """Return the same as JSON."""
        status, complaint = self._status(), self._complaint()
        summed = {"verdict": verdict(status).title, "version": __version__, "health": complaint or "ok"}
        text = json_text(_plain({**summed, **asdict(status)}), indent=2)
        return Answer(text.encode() + b"\n", "application/json; charset=utf-8")


def policy() -> str:
    """Return the page's Content-Security-Policy: its own style, and nothing else from anywhere."""
    digest = base64.b64encode(hashlib.sha256(_css().encode()).digest()).decode()
    nothing = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return f"{nothing}; style-src 'sha256-{digest}'"


@lru_cache(maxsize=1)
def _css() -> Markup:
    return Markup((HERE / "page.css").read_text(encoding="utf-8"))  # noqa: S704 - ours, and the policy names its hash


def _template() -> Template:
    source = (HERE / "page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, loader=DictLoader({"page": source}))
    environment.filters |= {
        "ago": ago,
        "clock": lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC",
        "clock_s": lambda moment: f"{moment:%Y-%m-%d %H:%M:%S} UTC",
        "iso": format_time,
        "says": lambda verdict: SAYS.get(verdict, verdict),
        "seconds": duration,
        "sentence": sentence,
        "tone": lambda word: TONES.get(word, "idle"),
    }
    return environment.get_template("page")


def ago(moment: datetime, now: datetime) -> str:
    """Say how long ago something was, or in how long it comes."""
    seconds = (now - moment).total_seconds()
    amount = abs(seconds)
    if amount < MINUTE:
        return "just now"
    unit, size = next((u, s) for u, s in (("day", DAY), ("hour", HOUR), ("minute", MINUTE)) if amount >= s)
    count = int(amount // size)
    text = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{text} ago" if seconds > 0 else f"in {text}"


def sentence(text: str) -> str:
    """Begin with a capital letter, and leave the rest as it is: it may hold names."""
    return f"{text[:1].upper()}{text[1:]}"


def duration(seconds: float) -> str:
    """Say how long something took."""
    return f"{seconds:.1f} s" if seconds < MINUTE else f"{seconds / MINUTE:.0f} min"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
