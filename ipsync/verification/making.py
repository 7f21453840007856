"""From a check of the config to whoever is asked. Only what a check really needs is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import TYPE_CHECKING

from ipsync.core.rollout import Check, Command, TestedApplication, VendorRun
from ipsync.verification.base import Verifier
from ipsync.verification.command import CommandVerifier

if TYPE_CHECKING:
    from ipsync.verification.qatech.bodies import Application

Change = Callable[[], Mapping[str, object]]


def verifier(check: Check, change: Change, *, environ: Mapping[str, str], stop: Event) -> Verifier:
    """Return whoever is asked. Raises UsageError where a token is missing or an address is wrong."""
    if isinstance(check.by, Command):
        return CommandVerifier(check.by.argv, change, check.timeout, stop, environ.get("QATECH_API_TOKEN"))
    return _vendor(check.name, check.by, environ, stop)


def _vendor(name: str, wanted: VendorRun, environ: Mapping[str, str], stop: Event) -> Verifier:
    from ipsync.verification.qatech import access  # noqa: PLC0415 - the API is loaded only where it is asked
    from ipsync.verification.qatech.bodies import RunRequest  # noqa: PLC0415
    from ipsync.verification.qatech.client import Client  # noqa: PLC0415
    from ipsync.verification.qatech.verifier import QatechVerifier  # noqa: PLC0415

    where = f"verify.{name}.qatech"
    client = Client(
        url=access.base_url(wanted.url or environ.get("QATECH_API_URL") or access.BASE, name=_name(where, wanted.url)),
        token=access.token(wanted.token or environ.get("QATECH_API_TOKEN"), name=_token_name(where, wanted.token)),
        token_name=_token_name(where, wanted.token),
        url_name=_name(where, wanted.url),
        stop=stop,
    )
    applications = tuple(_application(one) for one in wanted.applications)
    return QatechVerifier(client, RunRequest(test_plan=wanted.test_plan, applications=applications))


def _name(where: str, given: str | None) -> str:
    return f"{where}.url" if given else "QATECH_API_URL"


def _token_name(where: str, given: str | None) -> str:
    return f"{where}.token" if given else "QATECH_API_TOKEN"


def _application(one: TestedApplication) -> Application:
    from ipsync.verification.qatech.bodies import Application, Environment  # noqa: PLC0415 - as above

    named = one.environment or one.environment_url
    environment = (
        Environment(short_id=one.environment, url=one.environment_url, name=one.environment_name) if named else None
    )
    return Application(short_id=one.application, environment=environment, device_preset=one.device_preset)
