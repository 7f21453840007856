"""Fetching a list: what of HTTP's answers is a list, what is none, and what to do about it."""

from __future__ import annotations

from ipsync.core.errors import FeedError
from ipsync.feeds.formats import PAGES
from ipsync.transport import trouble
from ipsync.transport.errors import NoAnswer
from ipsync.transport.exchange import Answer, Line, Request, within

TRIES = 3
BUSY = {429, 502, 503, 504}
"""Answers that say nothing of the list, only that it can't be had at this moment."""
PAUSE = 1.0
"""Seconds until a server that is busy is asked again, once, where it doesn't say when."""


class _Busy(FeedError):
    """The server can't answer now. `after` is in how many seconds it asks to be asked again, if it says so."""

    def __init__(self, text: str, after: float | None) -> None:
        super().__init__(text)
        self.after = after


def get(request: Request) -> bytes:
    """Return the whole body, or raise FeedError, at the latest after `timeout` seconds."""
    try:
        return within(request, _patiently)
    except NoAnswer as error:
        raise FeedError(str(error)) from None


def _patiently(line: Line) -> bytes:
    """Ask again where the server is busy for a moment, as long as the deadline allows."""
    for asked in range(1, TRIES + 1):
        try:
            return _get(line)
        except _Busy as busy:
            pause = PAUSE if busy.after is None else busy.after
            last = asked == (2 if busy.after is None else TRIES)
            if last or pause >= line.left:
                raise FeedError(_given_up(busy, asked, line.request.timeout)) from None
        if line.pause(pause):
            break
    raise FeedError("the deadline came")  # told by the caller, who set it


def _given_up(busy: _Busy, asked: int, timeout: float) -> str:
    times = f", {asked} times" if asked > 1 else ""
    if busy.after is None:
        return f"{busy}{times}"
    return f"{busy}{times}; it asks to be asked again in {busy.after:g} s (the feed's timeout is {timeout:g} s)"


def _get(line: Line) -> bytes:
    with line.ask() as answer:
        _check_head(answer, line.request.url)
        return answer.read()


def _check_head(answer: Answer, url: str) -> None:
    status = answer.status
    if answer.redirects:
        raise FeedError(_moved(answer, url))
    if status == 407 and answer.proxy:  # noqa: PLR2004 - the proxy's own answer
        raise FeedError(trouble.wants_password(answer.proxy))
    if status != 200:  # noqa: PLR2004 - the one status that carries a list
        # Of plain http, a proxy sees everything, and its own refusal looks like the server's.
        way = trouble.through(answer.proxy) if url.lower().startswith("http:") else ""
        text = f"the server answered {status} {answer.reason}".rstrip() + way
        raise _Busy(text, answer.retry_after()) if status in BUSY else FeedError(text)
    for kind in PAGES & answer.media_types():
        raise FeedError(f"the answer is of type {kind}, a web page and not a list; is the url right?")
    if answer.packed:
        raise FeedError(f"{answer.packed}; is there a url of the plain list?")


def _moved(answer: Answer, url: str) -> str:
    status, there = answer.status, answer.place()
    if not there:
        return f"it redirects without saying where to ({status}); is the url right?"
    host, address = there
    plain = " (plain http)" if address.startswith("http:") and url.startswith("https:") else ""
    remedy = f"redirects are not followed: if the list has moved to {address}{plain}, set that as the feed's url"
    return f"it redirects to {trouble.shown(host)} ({status}); {remedy}"
