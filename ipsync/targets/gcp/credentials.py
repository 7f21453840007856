"""Google credentials that don't do: which ones were used, why they failed, what to run.

Which ones: Application Default Credentials in their order (Google's documentation, "How Application Default
Credentials works"): the variable, gcloud's file, the metadata server.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ipsync.core.errors import Denied

VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
LOGIN = "gcloud auth application-default login"
NO_FILE_OF_CREDENTIALS = (OSError, ValueError, AttributeError, KeyError, TypeError)
"""What Google's library raises for a file that can't be read or holds something else, besides its own errors."""
_FRESH = f"Google asks for a fresh sign-in: {LOGIN}; a worker needs a service account, which is never asked"
_IMPERSONATION = (
    "impersonation was refused: gcloud iam service-accounts add-iam-policy-binding ACCOUNT "
    "--role=roles/iam.serviceAccountTokenCreator --member=CALLER"
)
_CLOCK = "this machine's clock may be wrong: compare it with a time server (timedatectl)"
_KEY = (
    "the key or its service account was deleted or disabled: gcloud iam service-accounts keys list "
    "--iam-account=ACCOUNT; deploy/gcp/README.md shows how to do without keys"
)
_FEDERATION = (
    "workload identity federation refused the token: compare its issuer and audience with gcloud iam "
    "workload-identity-pools providers describe PROVIDER --workload-identity-pool=POOL --location=global"
)
_NO_FILE = f"mount the file, or correct {VARIABLE} and what the file names"
_UNREADABLE = "the user that ipsync runs as can't read it: change its owner or mode"
_MALFORMED = f"it is no credentials file, or half of one: make it anew, or on a laptop: {LOGIN}"
_METADATA = (
    "no metadata server gives a token: on Google's machines attach a service account (GKE: bind one to the pod, "
    f"deploy/gcp/README.md); elsewhere set {VARIABLE}, on a laptop: {LOGIN}"
)
_NONE = f"on a laptop: {LOGIN}; elsewhere attach a service account or set {VARIABLE}"
_EXPIRED = f"they have expired or were revoked; sign in again: {LOGIN}"
_RULES = (
    (("rapt", "reauth"), _FRESH),
    (("credentials were not found",), _NONE),
    (("valid type", "attributeerror", "keyerror", "typeerror"), _MALFORMED),
    (("impersonat", "getaccesstoken"), _IMPERSONATION),
    (("short-lived token", "reasonable timeframe"), _CLOCK),
    (("jwt signature", "account not found", "key not found", "invalid_client"), _KEY),
    (("was not found", "no such file", "is a directory"), _NO_FILE),
    (("permission denied", "errno 13"), _UNREADABLE),
    (("invalid_target", "oautherror", "subject token", "subject_token", "sts.googleapis", "audience"), _FEDERATION),
    (
        ("valid type", "json", "expecting", "malformed", "pem", "missing fields", "format", "codec", "to load"),
        _MALFORMED,
    ),
    (("metadata",), _METADATA),
    (("invalid_grant", "expired", "revoked"), _EXPIRED),
)
"""What an error's text holds, and what helps; the first that fits."""


class NoCredentials(Denied):
    """There are no credentials, or they were refused: no permission is missing, and no role would help."""


def explain(error: BaseException) -> str:
    """Say which credentials failed, why, and what to run."""
    what = str(error.args[0] if error.args else error).split("\n")[0][:240]
    text = f"{type(error).__name__} {error}".lower()
    advice = next(
        (help_ for words, help_ in _RULES if any(w in text for w in words)), f"renew them; on a laptop: {LOGIN}"
    )
    return f"{source()}: {what.rstrip('.')}; {advice}"


def source() -> str:
    """Name the credentials that Google's library takes here."""
    from google.auth import _cloud_sdk

    named = os.environ.get(VARIABLE)
    if named:
        return f"the file {named} of {VARIABLE}{_whose(named)}"
    path = _cloud_sdk.get_application_default_credentials_path()  # type: ignore[no-untyped-call]
    if Path(path).is_file():
        return f"gcloud's application-default credentials in {path}{_whose(path)}"
    return "the metadata server (no file of credentials is set)"


def _whose(path: str) -> str:
    """Return the kind and the account of a file of credentials, where it can be read: nothing secret."""
    try:
        held = json.loads(Path(path).read_bytes())
        kind, account = held.get("type"), held.get("client_email") or held.get("service_account_impersonation_url")
    except (OSError, ValueError, AttributeError):
        return ""
    named = str(account).rpartition("/")[2].partition(":")[0] if account else ""
    return f" ({', '.join(str(word) for word in (kind, named) if word)})" if kind else ""
