"""A plan as a file that can be looked at, carried to another machine and applied there, and nothing else.

Canonical JSON: the plan as `--output json` prints it, what it rests on, and a digest over all of it, so that
a file edited by one byte is refused. Where the config has `audit.hmac_key`, the digest is keyed with it, so that
nobody without the key can make a plan file either. Pure: reading and writing the bytes is the caller's.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ipsync import __version__
from ipsync.core.addresses import parse
from ipsync.core.canonical import canonical, digest
from ipsync.core.configured import Config
from ipsync.core.errors import PlanFileError
from ipsync.core.marks import format_time, parse_time
from ipsync.core.model import Snapshot
from ipsync.core.plan import FeedResult, Plan
from ipsync.core.sharding import Shard
from ipsync.core.words import few

LIFETIME = timedelta(hours=1)
"""How long a plan file is valid, unless somebody asks for longer: people look at it, and then it is applied."""
LONGEST_LIFETIME = timedelta(hours=24)
"""The feed isn't fetched again, so an older plan could let in what the vendor has long given up."""
SLOW_CLOCK = timedelta(minutes=5)
"""How far the clock of the machine that applies may be behind that of the one that planned."""
AGAIN = "Make a new plan with `ipsync plan --out FILE`, look at it, and apply that."
UNTOUCHED = "not applied, nothing was written:"
SHOWN = 10
"""Resources that an error names; the others are counted."""


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What a plan file says: the plan's id and everything that it was made from, clouds excepted."""

    id: str
    created_at: datetime
    selected: frozenset[str]
    feeds: Mapping[str, FeedResult]
    observed: Mapping[str, str]


def dump(
    document: Mapping[str, object],
    plan: Plan,
    config: Config,
    *,
    selected: frozenset[str],
    lifetime: timedelta = LIFETIME,
) -> bytes:
    """Return the file's bytes for a plan whose JSON document (contract, section 3) is given."""
    created = parse_time(str(document["created_at"]))
    if created is None:
        raise PlanFileError("the plan has no time of creation")
    body = {
        **document,
        "tool_version": __version__,
        "config_digest": config.digest,
        "expires_at": format_time(created + lifetime),
        "selected": sorted(selected),
        "observed": _observed(plan),
    }
    return _line({**body, "digest": _seal(body, config.audit_hmac_key)})


def load(data: bytes, config: Config, *, now: datetime) -> SavedPlan:
    """Read a plan file. Raises PlanFileError if it was edited, has expired, or was made under another config."""
    try:
        return _read(_body(data, config.audit_hmac_key), config, now)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        keyed = " (or made without the key in audit.hmac_key)" if config.audit_hmac_key else ""
        raise PlanFileError(
            f"{UNTOUCHED} this is not a plan file as ipsync wrote it: it was edited or cut{keyed}. {AGAIN}"
        ) from None


def _read(body: Mapping[str, Any], config: Config, now: datetime) -> SavedPlan:
    if body["config_digest"] != config.digest or body["owner"] != config.owner:
        raise PlanFileError(f"{UNTOUCHED} this plan was made with another config than the one given. {AGAIN}")
    if (told := _shard(body)) != config.shard:
        raise PlanFileError(_of_another(told, config.shard))
    if body["tool_version"] != __version__:
        version = f"this plan was made by ipsync {body['tool_version']}, this is {__version__}"
        raise PlanFileError(f"{UNTOUCHED} {version}. {AGAIN}")
    expires, created = parse_time(body["expires_at"]), parse_time(body["created_at"])
    if expires is None or created is None or not created - SLOW_CLOCK <= now < expires:
        span = f"this plan is valid from {body['created_at']} to {body['expires_at']}, and it is {format_time(now)}"
        raise PlanFileError(f"{UNTOUCHED} {span}. {AGAIN}")
    feeds, selected = {f["name"]: _feed(f, created) for f in body["feeds"]}, frozenset(body["selected"])
    if feeds.keys() != {f for t in config.targets if t.name in selected for f in t.feeds}:
        raise ValueError
    return SavedPlan(str(body["id"]), created, selected, feeds, dict(body["observed"]))


def _shard(body: Mapping[str, Any]) -> Shard | None:
    said = body.get("shard")
    return Shard(said["index"], said["count"]) if said else None


def _of_another(made: Shard | None, now: Shard | None) -> str:
    of, here = (f"of {shard.words}" if shard else "of all shards together" for shard in (made, now))
    how = f"with --shard {made}" if made else "without --shard and IPSYNC_SHARDS"
    return f"{UNTOUCHED} this plan is {of}, and this run is {here}. Apply it {how}"


def moved(saved: SavedPlan, now: Plan) -> str:
    """Say which resources aren't what the plan saw."""
    current = _observed(now)
    changed = sorted(r for r in {*saved.observed, *current} if saved.observed.get(r) != current.get(r))
    where = few(changed, SHOWN) or "what others hold there, a guard's verdict, or a resource that could not be read"
    unread = [f"{c.resource}: {c.error}" for c in now.target_changes if c.error and not c.violations]
    also = f", or can't be read now ({few(unread, 1)})" if unread else ""
    return f"{UNTOUCHED} changed since the plan was made{also}: {where}. {AGAIN}"


def _observed(plan: Plan) -> dict[str, str]:
    return {w.state.resource: digest(list(w.seen)) for w in plan.changes}


def _body(data: bytes, key: str | None) -> dict[str, Any]:
    """Return what the file says, if its digest holds and its bytes are the only ones that say it; else ValueError."""
    body = dict(json.loads(data.decode()))
    claimed = body.pop("digest")
    if not hmac.compare_digest(_seal(body, key), str(claimed)) or _line({**body, "digest": claimed}) != data:
        raise ValueError
    return body


def _seal(body: Mapping[str, object], key: str | None) -> str:
    if key is None:
        return digest(body)
    return "hmac-sha256:" + hmac.new(key.encode(), _line(body), hashlib.sha256).hexdigest()


def _line(value: object) -> bytes:
    return canonical(value) + b"\n"


def _feed(feed: Mapping[str, Any], created: datetime) -> FeedResult:
    snapshot = None
    if feed["error"] is None:
        networks = tuple(parse(a) for a in feed["addresses"])
        snapshot = Snapshot(feed["name"], feed["url"], networks, feed["digest"], created)
    return FeedResult(feed["name"], feed["url"], snapshot, feed["error"], insecure=feed["insecure"])
