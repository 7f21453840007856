"""One question to QA.tech over HTTP: read ones are asked again within bounds, the others surely once.

What came of a request that changes something is known in two cases only: it never left, or it was refused with a 4xx
status. In every other case it may have been carried out, be the answer cut, unreadable or a 500, and AnswerLost says so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Event
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from ipsync.core.printable import printable
from ipsync.transport.errors import Cancelled, NoAnswer
from ipsync.transport.exchange import Answer, Line, Request, within
from ipsync.transport.strict_json import Unclear, loads
from ipsync.verification.errors import AnswerLost, BrokenOff, NotFound, Unavailable, VerificationError
from ipsync.verification.hiding import hidden
from ipsync.verification.qatech import refusals
from ipsync.verification.qatech.answers import Unreadable

T = TypeVar("T")
TRIES = 3
PAUSE = 1.0
"""Seconds until a question that only reads is asked again, where the server doesn't say when."""
MOST_BYTES = 20 * 1024**2
"""A run with every test case's reasoning is large; what is larger than this is no answer."""
SEE_OTHER = 303
"""A redirect that says that it was done, and where to read what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked. `failing` says what isn't so without an answer.

    Where nobody knows whether it was done, `doubt` says that and `look` what to do.
    """

    url: str
    failing: str
    method: Literal["GET", "POST"] = "GET"
    body: dict[str, Any] | None = None
    doubt: str = ""
    look: str = ""
    token: str | None = field(default=None, repr=False)
    token_name: str
    url_name: str
    timeout: float
    stop: Event

    def not_done(self, text: str) -> str:
        """Return an error's text: what isn't so, and why."""
        return hidden(printable(f"{self.failing}: {text}"), self.token)

    def doubtful(self, text: str) -> AnswerLost:
        """Return the error for what may have been done."""
        end = "" if text.endswith("?") else "."
        return AnswerLost(hidden(printable(f"{self.doubt}: {text}{end} {self.look}"), self.token))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came, or where it points instead."""

    status: int
    reason: str
    body: bytes = b""
    after: float | None = None
    moved: str = ""


def ask(question: Question, read: Callable[[object], T]) -> T:
    """Return what `read` makes of the answer's JSON. Raises VerificationError."""
    return _patiently(question, read) if question.method == "GET" else _once(question, question.timeout, read)


def _patiently(question: Question, read: Callable[[object], T]) -> T:
    until = time.monotonic() + question.timeout
    for asked in range(1, TRIES + 1):
        try:
            return _once(question, max(0.1, round(until - time.monotonic(), 1)), read)
        except Unavailable as error:
            pause = PAUSE if error.after is None else error.after
            if asked == TRIES or pause >= until - time.monotonic():
                raise
            if question.stop.wait(pause):
                break
    raise BrokenOff(question.not_done("it was broken off"))


def _once(question: Question, timeout: float, read: Callable[[object], T]) -> T:
    reply = _reply(question, timeout)
    if not 200 <= reply.status < 300:  # noqa: PLR2004 - what says "done"
        raise _refusal(question, reply)
    try:
        return read(_without(question.token, loads(reply.body.decode())))
    except Unreadable as error:
        raise _unclear(question, f"the answer is not what was asked for: {error}", VerificationError) from None
    except (Unclear, UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        text = "the answer is not JSON; is the url right, and no gateway between?"
        raise _unclear(question, text, Unavailable) from None


def _reply(question: Question, timeout: float) -> Reply:
    request, stopped = _request(question, timeout), question.stop.is_set
    try:
        return within(request, lambda line: _exchange(line, question), cancelled=stopped)
    except NoAnswer as error:
        cancelled = isinstance(error, Cancelled)
        kind, text = (
            (BrokenOff, str(error)) if cancelled else (Unavailable, f"{urlsplit(question.url).netloc}: {error}")
        )
        raise (_unclear(question, text, kind) if error.sent else kind(question.not_done(text))) from None


def _request(question: Question, timeout: float) -> Request:
    headers = {"Accept": "application/json"}
    if question.token:
        headers["Authorization"] = f"Bearer {question.token}"
    if question.body is not None:
        headers["Content-Type"] = "application/json"
    return Request(
        url=question.url,
        timeout=timeout,
        max_bytes=MOST_BYTES,
        method=question.method,
        headers=headers,
        body=None if question.body is None else json.dumps(question.body).encode(),
        trust="the file that REQUESTS_CA_BUNDLE names",
        limit="what is read of an answer",
    )


def _exchange(line: Line, question: Question) -> Reply:
    with line.ask() as answer:
        if told := refusals.proxied(answer.status, answer.proxy):
            raise VerificationError(question.not_done(told))
        if answer.redirects:
            moved = refusals.moved(answer.status, answer.place(), url_name=question.url_name)
            return Reply(answer.status, answer.reason, moved=moved)
        return Reply(answer.status, answer.reason, _body(answer), answer.retry_after())


def _body(answer: Answer) -> bytes:
    try:
        return answer.read()
    except NoAnswer:
        if answer.status < 400:  # noqa: PLR2004 - a refusal's status says it all
            raise
        return b""


# ── what became of it ────────────────────────────────────────────────────────


def _refusal(question: Question, reply: Reply) -> VerificationError:
    """Return the error for an answer that isn't "done": a 4xx status and most redirects say surely that it isn't."""
    status, after = reply.status, reply.after
    text = reply.moved or refusals.answered(status, reason=reply.reason, body=reply.body)
    if question.method == "POST" and (status >= 500 or status == SEE_OTHER):  # noqa: PLR2004 - faults over there
        return question.doubtful(text)
    if not reply.moved:
        text += f"; {refusals.remedy(status, token_name=question.token_name, after=after)}"
    if status == 429 or status >= 500:  # noqa: PLR2004 - it may be otherwise in a moment
        return Unavailable(question.not_done(text), after=after)
    kind = NotFound if status == HTTPStatus.NOT_FOUND else VerificationError
    return kind(question.not_done(text))


def _unclear(question: Question, text: str, kind: type[VerificationError]) -> VerificationError:
    """Return the error for a request that reached the server, and whose outcome it doesn't tell."""
    return question.doubtful(text) if question.method == "POST" else kind(question.not_done(text))


def _without(token: str | None, value: Any) -> Any:
    """Return the answer without the token, should it be repeated there."""
    if isinstance(value, str):
        return hidden(value, token)
    if isinstance(value, list):
        return [_without(token, inner) for inner in value]
    if isinstance(value, dict):
        return {hidden(key, token): _without(token, inner) for key, inner in value.items()}
    return value
