"""Slack's incoming webhooks. Its URL is the secret: whoever has it can post.

Slack reads `&`, `<` and `>` as its own (docs.slack.dev, "Formatting message text"), so they are escaped, and nothing is
formatted: what a feed or a tag holds stays plain text, links nowhere and calls nobody.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ipsync.observers.notify.http import post
from ipsync.observers.notify.message import Message, lines
from ipsync.observers.notify.sinks import Try, Undelivered

MOST = 15
"""Things told in one message: more is no longer read."""
GONE = {
    "no_service": "the webhook was taken away in Slack; make a new one",
    "no_service_id": "the URL is incomplete",
    "no_team": "the workspace isn't there any more",
    "invalid_token": "the URL isn't whole, or the webhook was taken away",
    "channel_is_archived": "its channel is archived; choose another one for the webhook",
    "channel_not_found": "its channel isn't there any more; choose another one for the webhook",
    "action_prohibited": "an administrator of the workspace doesn't allow it",
}
"""Slack's own words for refusals, and what helps (docs.slack.dev, "Sending messages using incoming webhooks")."""


@dataclass(frozen=True, slots=True)
class Slack:
    """A channel, by its webhook."""

    url: str = field(repr=False)

    @property
    def name(self) -> str:
        """Return the host: the rest of the address is the secret."""
        return urlsplit(self.url).hostname or ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what no message may repeat."""
        return (self.url,)

    def send(self, message: Message, tried: Try) -> str:
        """Post it once. Raises Undelivered."""
        try:
            reply = post(self.url, body(message), {"Content-Type": "application/json; charset=utf-8"}, tried)
        except Undelivered as error:
            word = next((word for word in sorted(GONE, key=len, reverse=True) if word in str(error)), "")
            if not word:
                raise
            raise Undelivered(f"{error}: {GONE[word]}", again=False) from None
        return f"answered {reply.said}"


def body(message: Message) -> bytes:
    """Return what Slack takes: plain text, with nothing for it to format, link or unfold."""
    text = escaped("\n".join(lines(message, most=MOST)))
    plain = {"mrkdwn": False, "parse": "none", "link_names": False, "unfurl_links": False, "unfurl_media": False}
    return json.dumps({"text": text, **plain}, ensure_ascii=False).encode()


def escaped(text: str) -> str:
    """Escape Slack's control characters, and part an @ from the words that call a whole channel."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"@(?=channel|here|everyone|group)", "@\u200b", safe, flags=re.IGNORECASE)
