"""Reaching Compute Engine: clients with credentials, and what is asked beside them.

google-cloud-compute takes 1.3 s and 149 MiB to import, so only making a client imports it, and then two services of
its 120.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import SimpleNamespace
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from ipsync.core.errors import Denied, Rejected, Unreachable
from ipsync.targets.gcp import answers as gcp_answers
from ipsync.targets.gcp import calls as gcp_calls
from ipsync.targets.gcp import credentials as gcp_credentials
from ipsync.targets.gcp import network as gcp_network
from ipsync.targets.gcp import pacing as gcp_pacing
from ipsync.targets.gcp.errors import meaning_of
from ipsync.targets.gcp.where import GcpRule

TIMEOUT = 20.0
"""Seconds for one request."""
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
"""What a service account's key must ask for to get a token at all; what it may do, IAM decides."""
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_PACKAGE = "google.cloud.compute_v1"
_READS = {"pre_get", "pre_list"}
_Read = TypeVar("_Read")
_LOCK = threading.Lock()


# ── the library ──────────────────────────────────────────────────────────────


def local(where: GcpRule) -> bool:
    """Tell whether the endpoint is an emulator's, on this machine."""
    return where.endpoint is not None and urlsplit(where.endpoint).hostname in LOOPBACK


def options(where: GcpRule) -> dict[str, Any]:
    """Return the arguments that every client of this project is made with."""
    if where.endpoint is None:
        return {}
    from google.auth.credentials import AnonymousCredentials

    chosen = {"client_options": {"api_endpoint": where.endpoint}}
    return {**chosen, "credentials": AnonymousCredentials()} if local(where) else chosen  # type: ignore[no-untyped-call]


def compute() -> Any:
    """Import what firewall rules need of google.cloud.compute_v1: two clients and the messages."""
    with _LOCK:
        try:
            with _without_the_other_services():
                firewalls = import_module(f"{_PACKAGE}.services.firewalls")
                operations = import_module(f"{_PACKAGE}.services.global_operations")
                messages = import_module(f"{_PACKAGE}.types")
        except ImportError as error:
            text = f"google-cloud-compute can't be imported ({error}); install ipsync with its dependencies"
            raise Denied(text) from None
    clients = {
        "FirewallsClient": firewalls.FirewallsClient,
        "GlobalOperationsClient": operations.GlobalOperationsClient,
    }
    return SimpleNamespace(**vars(messages), **clients)


@contextmanager
def _without_the_other_services() -> Iterator[None]:
    """Put an empty package in place of the real one while importing from it.

    Its __init__ imports all 120 services: 0.4 s of CPU and 40 MiB. Nothing stays behind: who imports the package
    afterwards gets all of it.
    """
    spec = None if _PACKAGE in sys.modules else find_spec(_PACKAGE)
    if spec is None:
        yield
        return
    sys.modules[_PACKAGE] = module_from_spec(spec)
    try:
        yield
    finally:
        del sys.modules[_PACKAGE]


def make(client: Callable[..., Any], where: GcpRule, **more: Any) -> Any:
    """Return a client. Raises Denied when there are no credentials to try, Unreachable when they can't be asked for.

    Credentials are looked for anew each time, and no client outlives a pass: a worker heals when they come back.
    """
    from google.auth.exceptions import GoogleAuthError

    chosen = options(where)
    try:
        credentials = chosen.get("credentials") or _credentials_for_clients()
    except GoogleAuthError as error:
        subject = f"looking for credentials for project {where.project}"
        if isinstance(meaning_of(error, subject).error, Unreachable):
            raise meaning_of(error, subject).error from None
        text = f"no Google credentials for project {where.project}: {gcp_credentials.explain(error)}"
        raise gcp_credentials.NoCredentials(text, code=type(error).__name__) from None
    return gcp_network.be_patient_only(client(**chosen | {"credentials": credentials}, **more))


def read_only() -> Callable[..., Any]:
    """Return a transport for firewall rules that sends nothing but get and list.

    It asks the library's interceptor, which sees each request before it is sent.
    """
    rest = import_module(f"{_PACKAGE}.services.firewalls.transports.rest")
    base = rest.FirewallsRestInterceptor
    others = [name for name in dir(base) if name.startswith("pre_") and name not in _READS]
    refusing = type("ReadOnly", (base,), dict.fromkeys(others, _refuse))
    return partial(rest.FirewallsRestTransport, interceptor=refusing())


def _refuse(*_request: object) -> NoReturn:
    raise Rejected("a reader may only read: nothing was sent")


# ── permissions ──────────────────────────────────────────────────────────────


def held(where: GcpRule, permissions: tuple[str, ...], *, subject: str) -> set[str]:
    """Return which permissions the caller holds: Resource Manager's projects.testIamPermissions changes nothing."""
    base = where.endpoint if where.endpoint and local(where) else "https://cloudresourcemanager.googleapis.com"
    url = f"{base.rstrip('/')}/v1/projects/{where.project}:testIamPermissions"

    def ask(session: Any) -> Any:
        return session.post(url, json={"permissions": list(permissions)}, timeout=TIMEOUT)

    return _asked(where, ask, gcp_answers.permissions, subject=subject)


def rules_limit(where: GcpRule, *, subject: str) -> int:
    """Return how many firewall rules the project may hold (Compute Engine, projects.get, quota FIREWALLS)."""
    base = where.endpoint or "https://compute.googleapis.com"
    url = f"{base.rstrip('/')}/compute/v1/projects/{where.project}?fields=kind,name,quotas"
    return _asked(where, lambda session: session.get(url, timeout=TIMEOUT), gcp_answers.rules_limit, subject=subject)


def _asked(where: GcpRule, ask: Callable[[Any], Any], read: Callable[[object], _Read], *, subject: str) -> _Read:
    """Ask once what is no business of the firewall clients, with a session of its own."""
    from google.api_core.exceptions import from_http_response
    from requests import Session

    def once() -> Any:
        with Session() as tokens, authorized(where, tokens) as session:
            answer = ask(session)
        if not answer.ok:
            raise from_http_response(answer)  # type: ignore[no-untyped-call]
        return read(answer.json())

    quota = gcp_pacing.quota(where.project, writes=False)
    found: _Read = gcp_calls.call(once, subject=subject, writes=False, quota=quota)
    return found


def authorized(where: GcpRule, tokens: Any) -> Any:
    """Return a session of requests with the caller's credentials, whose tokens come over the session `tokens`."""
    from google.auth.transport.requests import AuthorizedSession, Request

    credentials = options(where).get("credentials") or _default_credentials()
    session = AuthorizedSession(credentials, auth_request=Request(tokens))  # type: ignore[no-untyped-call]
    for used in (session, tokens):
        gcp_network.mount(used)
    return session


def _credentials_for_clients() -> Any:
    """Look for credentials over bounded connections: some kinds fetch a token already to learn their project."""
    from google.auth.transport.requests import Request
    from requests import Session

    with Session() as tokens:
        gcp_network.mount(tokens)
        return _default_credentials(request=Request(tokens))


def _default_credentials(**more: Any) -> Any:
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        return google.auth.default(scopes=SCOPES, **more)[0]
    except gcp_credentials.NO_FILE_OF_CREDENTIALS as error:
        text = f"{error} ({type(error).__name__})"
        raise DefaultCredentialsError(text) from None  # type: ignore[no-untyped-call]
