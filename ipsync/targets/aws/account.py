"""`account:` in the config, which is the same for all of AWS's kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from ipsync.targets.aws.where import AwsAccount
from ipsync.targets.base import Path, Problems, must, when
from ipsync.values import fields as f
from ipsync.values.models import Strict


class Account(Strict):
    """How to reach an AWS account; without it, the ambient credentials are used."""

    role_arn: f.Role | None = Field(None, description="A role to assume.")
    external_id: f.ExternalId | None = Field(
        None, description="The external id that the role's trust policy asks for; never shown."
    )
    profile: f.Profile | None = Field(None, description="A profile of the shared AWS config.")

    def reached(self) -> AwsAccount:
        """Return how the account is reached."""
        return AwsAccount(self.role_arn, self.external_id, self.profile)


def check_account(path: Path, target: Mapping[str, Any], problems: Problems) -> None:
    """Say what doesn't fit together in a target's account."""
    account = target.get("account")
    if isinstance(account, dict) and account.get("external_id") is not None and account.get("role_arn") is None:
        problems.add((*path, "account"), "an external_id goes with a role_arn; add it")


ACCOUNT_RULES = {"Account": [when("external_id", {"type": "string"}, must("role_arn", "string"))]}
"""The same for the JSON Schema."""
