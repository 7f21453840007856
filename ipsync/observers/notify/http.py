"""Posting a message: no redirect is followed, and what a status means for another try is the same for every receiver."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote, urlsplit

from ipsync.core.printable import printable
from ipsync.observers.notify.sinks import TIMEOUT, Try, Undelivered
from ipsync.transport import trouble
from ipsync.transport.errors import NoAnswer
from ipsync.transport.exchange import Answer, Line, Request, within

MOST_BYTES = 64 * 1024
"""Of an answer; only a refusal's is read, for a word of why."""
PASSING = {408, 425, 429}
"""Refusals that say nothing of the message: a moment later it may be taken."""
OK, FAULT = 200, 500
TELLING = 8
"""Characters from which a piece of an address may be what lets one post there."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered: the status with its reason, and the words of a refusal."""

    status: int
    said: str
    words: str = ""
    after: float | None = None


def post(url: str, body: bytes, headers: dict[str, str], tried: Try, *, secret: str = "") -> Reply:
    """Post it once. Raises Undelivered where there is no answer, a redirect, or a refusal.

    What is told of a refusal repeats neither the secret nor the address, whose path may be one.
    """
    request = Request(
        url=url,
        timeout=TIMEOUT,
        max_bytes=MOST_BYTES,
        method="POST",
        headers=headers,
        body=body,
        trust="the file that REQUESTS_CA_BUNDLE names",
        limit="what is read of an answer",
    )
    try:
        reply = within(request, partial(_exchange, hidden=[secret, *_pieces(url)]), cancelled=tried.cancelled)
    except NoAnswer as error:
        raise Undelivered(str(error), again=True) from None
    if not OK <= reply.status < OK + 100:
        words = f": {reply.words}" if reply.words else ""
        again = reply.status >= FAULT or reply.status in PASSING
        raise Undelivered(f"it answered {reply.said}{words}", again=again, after=reply.after)
    return reply


def _exchange(line: Line, *, hidden: Sequence[str]) -> Reply:
    with line.ask() as answer:
        if answer.status == 407 and answer.proxy:  # noqa: PLR2004 - the proxy's own answer
            raise Undelivered(trouble.wants_password(answer.proxy), again=False)
        if answer.redirects:
            raise Undelivered(_moved(answer), again=False)
        said = f"{answer.status} {_without(answer.reason, hidden)}".rstrip()
        return Reply(answer.status, said, _words(answer, hidden), answer.retry_after())


def _pieces(url: str) -> Iterator[str]:
    """Yield what a peer may repeat of an address: all behind the host, and each piece of it, where that is long."""
    parts = urlsplit(url)
    behind = url.partition("://")[2].partition("/")[2]
    pieces = (behind, *re.split(r"[/?&=#@:]", f"{parts.username}:{parts.password}:{behind}"))
    yield from (piece for piece in pieces if len(piece) >= TELLING)


def _without(words: str, hidden: Sequence[str]) -> str:
    """Return the peer's words, or that they are left out: a piece that is cut out may stand there in another writing too."""
    there = unquote(words).casefold()
    if any(each and unquote(each).casefold() in there for each in hidden):
        return "(its words repeat the address or the secret, and are left out)"
    return trouble.shown(printable(words))


def _moved(answer: Answer) -> str:
    """Say where a redirect points: the host alone, since an address may hold what lets one post there."""
    there = answer.place()
    where = f"to {trouble.shown(there[0])} " if there and there[0] else ""
    return (
        f"it redirects {where}({answer.status}), and redirects are not followed; write the new address into the config"
    )


def _words(answer: Answer, hidden: Sequence[str]) -> str:
    """Return the beginning of a refusal's plain text; a page says nothing here."""
    if OK <= answer.status < OK + 100 or "text/html" in answer.media_types():
        return ""
    try:
        text = answer.read().decode("utf-8", "replace").strip()
    except NoAnswer:
        return ""
    return _without(text, hidden)
