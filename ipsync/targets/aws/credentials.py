"""Why AWS's credential chain gave nothing, as a sentence: which credentials, why, and what to run.

botocore's chain raises its own errors, and lets those of the files, pipes and answers beneath it through: an expired
SSO session is a TokenRetrievalError, a token file that can't be read a PermissionError, a code for MFA that nobody can
type an EOFError. The order of the sources here is the chain's.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from ipsync.targets import pace
from ipsync.targets.aws import network as aws_network
from ipsync.targets.aws import proxy as aws_proxy
from ipsync.targets.aws.codes import SPENT, THROTTLES
from ipsync.targets.aws.where import AwsAccount

CALLER = "its trust policy allows the caller (`aws sts get-caller-identity` names that)"
TRUST = f"check that the role exists, that {CALLER}, and `external_id`"
CONFIG_FILE, KEYS_FILE = "~/.aws/config", "~/.aws/credentials"


SAID: tuple[tuple[set[str], str, str], ...] = (
    (
        {"NoCredentialsError"},
        "no AWS credentials were found",
        "`aws sso login --profile {profile}`, AWS_PROFILE, AWS_ACCESS_KEY_ID, or a role for this machine or pod",
    ),
    (
        {"ProfileNotFound"},
        "{error}",
        f"check `account: {{profile: …}}`, AWS_PROFILE, {CONFIG_FILE} and {KEYS_FILE}",
    ),
    (
        {"TokenRetrievalError", "SSOError", "NoAuthTokenError"},
        "no valid SSO session ({error})",
        "run `aws sso login --profile {profile}`",
    ),
    ({"LoginError"}, "no valid login ({error})", "run `aws login --profile {profile}`"),
    (
        {"EOFError", "RefreshWithMFAUnsupportedError"},
        "an MFA code is asked for, and there is no terminal to type it on",
        "take a profile without mfa_serial, or put a session's keys (aws sts get-session-token) into the environment",
    ),
    (
        {"PartialCredentialsError", "InvalidConfigError", "UnknownCredentialError"},
        "{error}",
        f"mend it (the environment, {CONFIG_FILE} or {KEYS_FILE})",
    ),
    (
        {"MissingDependencyException"},
        "AWS's library can't use this kind of credentials without an addition",
        "install it beside ipsync (pip install 'botocore[crt]'), or take others: a profile of SSO, a role",
    ),
    ({"ConfigParseError"}, "{error}", "mend that file: it is no INI file that AWS's tools can read"),
    (
        {"CredentialRetrievalError", "MetadataRetrievalError"},
        "{error}",
        "look at what gives them: the process, the container's agent or the metadata service",
    ),
    (
        {"HTTPClientError", "ConnectionError"},
        "what gives them can't be reached ({error})",
        "check the network, the endpoint and the proxy's variables",
    ),
)
"""botocore's errors by the names of their classes (some came with later releases): why, and what to do."""


class Unusable(Exception):
    """There are no credentials to sign a call with: nothing was sent. `passing`: the next run may find some."""

    def __init__(self, message: str, *, code: str, passing: bool = False, request_id: str = "") -> None:
        super().__init__(message)
        self.code, self.passing, self.request_id = code, passing, request_id


class NoTerminalError(EOFError):
    """A code for MFA is asked for, and nobody is there to type it."""


def ask_for_code(prompt: str) -> str:
    """Ask for an MFA code on a terminal; a service, a pod and a pipe have none to ask on."""
    if not sys.stdin or not sys.stdin.isatty():
        raise NoTerminalError(prompt)
    import getpass

    return getpass.getpass(prompt)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the credentials come from, in words, and the profile that says so ("" for none)."""

    text: str
    profile: str = ""


def source_of(session: Any, account: AwsAccount) -> Source:
    """Return where botocore's chain would take this account's credentials from; never raises."""
    env = os.environ
    profile = account.profile or env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE") or "default"
    said, ambient = _profile(session, profile), account.profile is None
    if ambient and env.get("AWS_ACCESS_KEY_ID"):
        return Source("the access key in the environment (AWS_ACCESS_KEY_ID)")
    if ambient and (path := env.get("AWS_WEB_IDENTITY_TOKEN_FILE")) and "source_profile" not in said:
        return Source(f"the web identity token file {path} for the role {env.get('AWS_ROLE_ARN', 'in AWS_ROLE_ARN')}")
    if said:
        return Source(f"the profile {profile}{_kind(said)}", profile)
    if uri := env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") or env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        path = env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        return Source(f"the container credentials at {uri}" + (f" with the token file {path}" if path else ""))
    return Source(f"the environment, the profile {profile} and this machine's role", profile)


def _profile(session: Any, name: str) -> dict[str, Any]:
    try:
        found = session.full_config.get("profiles", {}).get(name, {})
    except BotoCoreError:
        return {}
    return found if isinstance(found, dict) else {}


def _kind(said: dict[str, Any]) -> str:
    for key, words in (
        ("web_identity_token_file", "web identity token file"),
        ("role_arn", "role"),
        ("sso_session", "SSO session"),
        ("sso_start_url", "SSO at"),
        ("credential_process", "credential_process"),
    ):
        if key in said:
            shown = "" if key == "credential_process" else f" {said[key]}"
            return f" ({words}{shown})"
    return ""


def explained(error: Exception, source: Source, *, role: str | None = None) -> Unusable:
    """Return what a failure of the chain means. `role` is the one that `account` wants assumed with them."""
    if isinstance(error, Unusable):
        return error
    if isinstance(error, ClientError):
        return _answered(error, source, role)
    if isinstance(error, pace.GivenUp):
        return Unusable(f"no AWS credentials of {source.text} yet: {error}", code=type(error).__name__, passing=True)
    why, advice = _why(error, source)
    kept = f", to assume {role}" if role else ""
    text = f"no AWS credentials{kept}: {source.text}: {why}; {advice}"
    return Unusable(text, code=type(error).__name__, passing=isinstance(error, HTTPClientError | NoConnection))


def _why(error: Exception, source: Source) -> tuple[str, str]:
    """Return why there are none, and what to do."""
    profile, kinds = source.profile or "NAME", {base.__name__ for base in type(error).__mro__}
    found = [(why, advice) for names, why, advice in SAID if kinds & names]
    if cause := aws_proxy.said(error) or aws_network.unreached(error):
        return "what gives them can't be reached", cause
    if found:
        why, advice = found[0]
        return why.replace("{error}", _clean(error).rstrip(" .:;")), advice.replace("{profile}", profile)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename} can't be read ({error.strerror or type(error).__name__})", (
            "check the path, the mount and who may read it (in a pod: fsGroup, and the service account's annotation "
            "or Pod Identity association)"
        )
    what = f"what was found can't be read ({type(error).__name__}: {_clean(error)})"
    return what, "check these settings, the token's file and the service that gives them"


def _answered(error: ClientError, source: Source, role: str | None) -> Unusable:
    """Say what it means that STS or SSO refused: nothing was sent to EC2 yet."""
    said, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code, operation = str(said.get("Code", "")), str(error.operation_name)
    text = f"{code}: {_clean(str(said.get('Message', '')))}"
    passing = code in THROTTLES or int(meta.get("HTTPStatusCode", 0)) >= 500  # noqa: PLR2004 - HTTP's server errors
    ours = role is not None and operation == "AssumeRole"
    what = "the role of `account`" if ours else f"the credentials of {source.text}"
    if passing:
        text = f"{text}: {what} can't be {'assumed' if ours else 'obtained'} now; the next run tries again"
    elif code in SPENT:
        text = f"{text}: {SPENT[code]} (used: {source.text})"
    elif ours:
        text = f"{text}: {what} can't be assumed; {TRUST}"
    else:
        text = f"{text}: {what} can't be obtained; {_after(operation, source)}"
    details = {"code": f"{operation}.{code}", "request_id": str(meta.get("RequestId", ""))}
    return Unusable(text, passing=passing, **details)


def _after(operation: str, source: Source) -> str:
    if operation == "GetRoleCredentials":
        return (
            f"check sso_account_id and sso_role_name of the profile, and run `aws sso login --profile {source.profile}`"
        )
    if operation == "AssumeRoleWithWebIdentity":
        return "check the role's trust policy: the cluster's OIDC provider, its `sub` and `aud`, and the token's age"
    return f"check that the role exists and that {CALLER}"


def _clean(error: object) -> str:
    """Return an error's own words, in one line and without control characters; a file's or a service's are no report."""
    return " ".join(re.sub(r"[^\x20-\x7e]", " ", str(error)).split())[:300]
