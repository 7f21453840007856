"""What the config says of AWS accounts and regions: one, several, or those that AWS lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from ipsync.targets.aws.account import ACCOUNT_RULES, Account, check_account
from ipsync.targets.aws.where import AwsAccount, AwsOrganization
from ipsync.targets.base import Node, Path, Problems, must, some, when
from ipsync.values import fields as f
from ipsync.values.models import Strict


class Organization(Strict):
    """Accounts that AWS Organizations lists, read with the ambient credentials; without ou and tags, all of them."""

    role: f.RoleName = Field(description="The name of the role to assume in each account.")
    ou: f.Unit | None = Field(None, description="Only accounts of this organizational unit, and of those beneath it.")
    tags: dict[f.TagKey, f.TagValue] = Field({}, description="Only accounts that have all of these tags.")
    external_id: f.ExternalId | None = Field(
        None, description="The external id that the roles' trust policies ask for; never shown."
    )


class Accounts(Account):
    """One of several accounts, or those of an organization."""

    organization: Organization | None = Field(
        None, description="Accounts that AWS Organizations lists; then no other key stands beside it."
    )


def _form(value: object) -> str:
    return "word" if value == "enabled" else "list"


Regions = Annotated[
    Annotated[list[f.Region], Field(min_length=1), f.Unique, Tag("list")] | Annotated[Literal["enabled"], Tag("word")],
    Discriminator(_form),
]


def one_of(account: Accounts) -> AwsAccount | AwsOrganization:
    """Return how an account is reached, or which accounts an organization is asked for."""
    chosen = account.organization
    if not chosen:
        return account.reached()
    return AwsOrganization(chosen.role, chosen.ou, tuple(sorted(chosen.tags.items())), chosen.external_id)


# ── what doesn't fit together ────────────────────────────────────────────────


def check(path: Path, target: Mapping[str, Any], problems: Problems) -> None:
    """Say what doesn't fit together in what an entry says of accounts and regions."""
    for one, many in (("region", "regions"), ("account", "accounts")):
        if target.get(one) is not None and target.get(many) is not None:
            problems.add((*path, many), f"{one} and {many} say where this target is; leave one of them out")
    if target.get("region") is None and target.get("regions") is None:
        problems.add((*path, "region"), "is required; add it, or regions")
    if target.get("groups") and (target.get("regions") is not None or target.get("accounts") is not None):
        problems.add((*path, "groups"), "are of one account's region; with regions or accounts, choose them by match")
    check_account(path, target, problems)
    listed = target.get("accounts")
    for index, account in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(account, dict):
            _check_one((*path, "accounts", index), account, problems)


def _check_one(path: Path, account: Mapping[str, Any], problems: Problems) -> None:
    if account.get("external_id") is not None and account.get("role_arn") is None:
        beside = account.get("organization") is not None
        problems.add(
            path, f"an external_id {'belongs into the organization' if beside else 'goes with a role_arn; add it'}"
        )
    elif account.get("organization") is not None and len(account.keys()) > 1:
        problems.add(path, "an organization's accounts have one role, named in it; leave the other keys out")


_ANY: Node = {"not": {"type": "null"}}
SCHEMA_RULES: Mapping[str, list[Node]] = {
    **ACCOUNT_RULES,
    "Accounts": [
        *ACCOUNT_RULES["Account"],
        when("organization", {"type": "object"}, {"maxProperties": 1}),
    ],
}
TARGET_RULES: list[Node] = [
    when("regions", _ANY, {"properties": {"region": {"type": "null"}}}, otherwise=must("region", "string")),
    when("accounts", _ANY, {"properties": {"account": {"not": {}}}}),
    when("groups", some(), {"properties": {"regions": {"type": "null"}, "accounts": {"type": "null"}}}),
]
"""The same for the JSON Schema."""
