"""Where QA.tech's API is, and the token that opens it: checked before anything is sent there."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from ipsync.transport.environment import is_loopback
from ipsync.verification.errors import WrongValue

BASE = "https://api.qa.tech/v1"
LEGACY_HOST = "app.qa.tech"
TOKENS = "Settings > Integrations > API in the project at QA.tech"
MIGRATE = f"""\
that is QA.tech's legacy API (https://{LEGACY_HOST}/api/projects/UUID/…). To move to {BASE}:
  1. leave the url out: {BASE} is the default
  2. take the project's API token from {TOKENS}; it stands for the project, so its UUID isn't needed
  3. name things by the ids with prefixes that QA.tech shows today: pln_… for test plans, app_…, env_…, cfg_…
  4. POST /projects/UUID/runs is now POST /run (`ipsync qatech run start`), GET /projects/UUID/runs/ID is GET /run/ID
     (`ipsync qatech run status ID`)"""
"""What a legacy address is answered with, behind the name of whatever holds it."""


class Legacy(WrongValue):
    """The address of the API that QA.tech's users migrate from."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the migration step by step."""
        return tuple(str(self).split("\n"))


def split(value: str) -> SplitResult | None:
    """Take an http or https address apart; None where it is none."""
    try:
        parts = urlsplit(value)
        whole = parts.hostname and parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        return None
    return parts if whole else None


def base_url(value: str, *, name: str) -> str:
    """Check the API's base URL. `name` is what holds it, for the error."""
    parts = split(value)
    if parts is None or not re.fullmatch(r"[!-~]+", value):
        raise WrongValue(f"{name} is not an https:// address; write it like {BASE}, or leave it out")
    host = parts.hostname or ""
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise WrongValue(f"{name} holds more than an address (a user, a query or a fragment); write it like {BASE}")
    if host.lower() == LEGACY_HOST or "/api/projects/" in f"{parts.path}/":
        raise Legacy(f"{name}: {MIGRATE}")
    if parts.scheme == "http" and not is_loopback(host):
        raise WrongValue(
            f"{name} is plain http to another machine, where the token would go in the clear; use https://"
        )
    return value.rstrip("/")


def web_address(value: str, *, name: str) -> str:
    """Check the address of a site that is tested. `name` is what holds it, for the error."""
    parts = split(value)
    if parts is None or not value.isprintable() or " " in value:
        raise WrongValue(f"{name} is not an http:// or https:// address; write it like https://staging.example.com")
    if "@" in parts.netloc:
        raise WrongValue(f"{name} holds a user or password; QA.tech keeps those in configs (cfg_…)")
    return value


def token(value: str | None, *, name: str) -> str:
    """Check a token, which is never shown. `name` is where it comes from, for the error."""
    if not value:
        raise WrongValue(f"{name} is not set; it takes the project's API token, from {TOKENS}")
    if not re.fullmatch(r"[!-~]+", value):
        text = "holds a space, a line break or another character that no token has"
        raise WrongValue(f"{name} {text} (what was read from a file often ends in a line break)")
    return value
