"""How fast calls may leave so that a cloud need not throttle them: a token bucket, as arithmetic alone.

A cloud lets `burst` calls through at once and `rate` a second after that, and counts everybody who uses the same quota.
While nobody else is seen all of it is ours. A throttled call shows that somebody is: then our share is halved and what
was saved up is gone; the share grows back with time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

TICK = 1.0
"""Seconds that a full bucket takes to begin to fill: clouds add tokens once a second (EC2, "every second"), at a moment
that we don't know. It also bears with calls that take longer on their way than the one before."""
CUT = 0.5
LEAST = 0.2
"""A share that stays ours however often we are throttled: who asks too seldom gets nothing beside a greedy neighbour."""
RECOVERY = 60.0
"""Seconds in which the share grows by one whole."""
ALMOST = 1e-9
"""What rounding may take from a token."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a cloud lets through: so many calls at once, and so many a second."""

    burst: float
    rate: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is left at the time `at`, from which on it fills; `slowed` is when a throttled call last cut the share."""

    limit: Limit
    at: float
    tokens: float
    share: float = 1.0
    slowed: float = float("-inf")

    @property
    def full(self) -> bool:
        """Tell whether nothing of what was used is remembered."""
        return self.share >= 1 and self.tokens >= self.limit.burst


def full(limit: Limit, now: float) -> Bucket:
    """Return a bucket of which nobody has taken anything."""
    return Bucket(limit, now, limit.burst)


def filled(bucket: Bucket, now: float) -> Bucket:
    """Return the bucket as it is at a later time."""
    if now <= bucket.at:
        return bucket
    passed = now - bucket.at
    share = min(1.0, bucket.share + passed / RECOVERY)
    more = bucket.limit.rate * passed * (bucket.share + share) / 2
    return replace(bucket, at=now, tokens=min(bucket.limit.burst, bucket.tokens + more), share=share)


def wait(bucket: Bucket, now: float) -> float:
    """Return after how many seconds a call may leave; 0 for at once."""
    bucket = filled(bucket, now)
    lacking = 1 - bucket.tokens
    if lacking <= ALMOST:
        return 0.0
    return bucket.at - now + lacking / (bucket.limit.rate * bucket.share)


def taken(bucket: Bucket, now: float) -> Bucket:
    """Return what one call leaves; ask `wait` before."""
    before = filled(bucket, now)
    at = now + TICK if before.full else before.at
    return replace(before, at=at, tokens=max(0.0, before.tokens - 1))


def throttled(bucket: Bucket, now: float, *, left: float) -> Bucket:
    """Return the bucket after the cloud throttled a call that had left at `left`.

    Calls that had left before the share was last cut say nothing new.
    """
    if left <= bucket.slowed:
        return bucket
    share = max(LEAST, filled(bucket, now).share * CUT)
    return replace(bucket, at=now, tokens=0.0, share=share, slowed=now)
