"""A webhook: a CloudEvent 1.0 by POST, signed so that the receiver knows who sent it, what, and when."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ipsync.observers.notify.http import post
from ipsync.observers.notify.message import Message, cloud_event
from ipsync.observers.notify.sinks import Try

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
TIMESTAMP, SIGNATURE = "Ipsync-Timestamp", "Ipsync-Signature"


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that gets messages, and the secret that signs them."""

    url: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Return the host: the rest of the address may be secret."""
        return urlsplit(self.url).hostname or ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what no message may repeat."""
        return (self.url, self.secret or "")

    def send(self, message: Message, tried: Try) -> str:
        """Post it once. Raises Undelivered."""
        body = cloud_event(message)
        signed = signature_headers(self.secret, body, at=int(tried.now.timestamp())) if self.secret else {}
        return f"answered {post(self.url, body, {'Content-Type': CONTENT_TYPE, **signed}, tried, secret=self.secret or '').said}"


def signature_headers(secret: str, body: bytes, *, at: int) -> dict[str, str]:
    """Return the time (seconds since 1970), and the HMAC-SHA-256 of that time, a full stop and the body."""
    stamp = str(at)
    made = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {TIMESTAMP: stamp, SIGNATURE: f"sha256={made}"}
