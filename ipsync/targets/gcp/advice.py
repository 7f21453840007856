"""What would help against a refusal: the command that grants a role, switches an API on or brings a project back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ipsync.core.errors import Denied, Missing, Uncertain
from ipsync.core.words import then
from ipsync.targets.gcp.credentials import NoCredentials
from ipsync.targets.gcp.errors import GONE, SWITCHED_OFF


@contextmanager
def advice(project: str) -> Iterator[None]:
    """Say with a refusal what would help: the command that grants the role, or that switches the API on."""
    try:
        yield
    except NoCredentials:  # it says itself what to run; no role helps
        raise
    except Denied as error:
        off = error.code in SWITCHED_OFF
        help_ = f"Enable it: {enable('compute', project)}" if off else remedy(project)
        raise Denied(then(error, help_), code=error.code, request_id=error.request_id) from None
    except Missing as error:
        if error.code != GONE:
            raise
        help_ = f"Check `project`. One deleted less than 30 days ago comes back: gcloud projects undelete {project}"
        raise Missing(then(error, help_), code=error.code, request_id=error.request_id) from None
    except Uncertain as error:
        if "Required '" not in str(error):
            raise
        raise Uncertain(then(error, remedy(project)), code=error.code, request_id=error.request_id) from None


def remedy(project: str) -> str:
    """Return the command that gives what is missing."""
    return (
        "Grant the role of deploy/gcp/role.yaml: gcloud projects add-iam-policy-binding "
        f"{project} --member=serviceAccount:ACCOUNT --role=projects/{project}/roles/ipsync --condition=None"
    )


def asking_remedy(project: str) -> str:
    """Return the command that lets `check` ask for permissions."""
    return f"Only `check` asks this; a sync doesn't need it. To ask: {enable('cloudresourcemanager', project)}"


def enable(api: str, project: str) -> str:
    """Return the command that switches an API on."""
    return f"gcloud services enable {api}.googleapis.com --project={project}"
