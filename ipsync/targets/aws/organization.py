"""The accounts that AWS Organizations lists: those of a unit and all units beneath it, or with some tags.

Asked with the ambient credentials, which must be the management account's or a delegated administrator's.
API: AWS Organizations, ListAccounts, ListAccountsForParent, ListOrganizationalUnitsForParent, ListTagsForResource.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ipsync.core.errors import Denied, Unreachable
from ipsync.targets import pace
from ipsync.targets.aws import answers as aws_answers
from ipsync.targets.aws import errors as aws_errors
from ipsync.targets.aws.reads import reading_client, with_remedy
from ipsync.targets.aws.where import AwsAccount, AwsGroups, AwsOrganization

ACTIVE = "ACTIVE"
PAGE = 20
"""The most that a page of Organizations holds."""
THREADS = 4
"""Accounts that are asked for their tags at once: the organization answers few calls a second, and counts them all."""
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Members:
    """The accounts to reach, and those that can't be: (state, number), as `suspended`."""

    accounts: tuple[AwsAccount, ...]
    left_out: tuple[tuple[str, str], ...] = ()


def members(organization: AwsOrganization, *, region: str, endpoint_url: str | None) -> Members:
    """Return the organization's accounts that are chosen. Raises CloudError: a list that isn't whole is none."""
    asked = _Asked(organization, region, endpoint_url)
    found = asked.chosen()
    active = [a for a in found if _state(a) == ACTIVE]
    left_out = sorted((_state(a).lower().replace("_", " "), str(a["Id"])) for a in found if _state(a) != ACTIVE)
    return Members(tuple(_account(a, organization) for a in active), tuple(left_out))


class _Asked:
    """One organization's listings, over a client that only reads."""

    def __init__(self, organization: AwsOrganization, region: str, endpoint_url: str | None) -> None:
        self._organization, self._region = organization, region
        self._client = reading_client("organizations", AwsGroups(region, endpoint_url=endpoint_url))

    def chosen(self) -> list[Item]:
        """Return the accounts under the unit that have the tags, in the order of their numbers."""
        unit, tags = self._organization.unit, dict(self._organization.tags)
        accounts = self._under(unit) if unit else self._pages(self._client.list_accounts, "Accounts")
        found = sorted({str(a["Id"]): a for a in accounts}.items())
        if not tags:
            return [account for _, account in found]
        with pace.threads(THREADS) as threads:
            held = threads.map(self._tags, [number for number, _ in found])
            return [account for (_, account), has in zip(found, held, strict=True) if tags.items() <= has.items()]

    def _under(self, unit: str) -> Iterator[Item]:
        yield from self._pages(partial(self._client.list_accounts_for_parent, ParentId=unit), "Accounts")
        inner = partial(self._client.list_organizational_units_for_parent, ParentId=unit)
        for child in self._pages(inner, "OrganizationalUnits"):
            yield from self._under(str(child["Id"]))

    def _tags(self, number: str) -> dict[str, str]:
        asked = partial(self._client.list_tags_for_resource, ResourceId=number)
        return {str(tag["Key"]): str(tag.get("Value", "")) for tag in self._pages(asked, "Tags", size=None)}

    def _pages(self, ask: Callable[..., dict[str, Any]], key: str, *, size: int | None = PAGE) -> Iterator[Item]:
        """Yield what each page holds; an empty one with a token isn't the last (Organizations, ListAccounts)."""
        more: dict[str, Any] = {"MaxResults": size} if size else {}
        while True:
            answer = self._read(partial(_page, ask, key, more))
            yield from answer[key]
            if not answer.get("NextToken"):
                return
            more["NextToken"] = answer["NextToken"]

    def _read(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        subject = f"listing the accounts {self._organization}"
        try:
            return aws_errors.call(ask, subject=subject, writes=False)
        except Denied as error:
            raise with_remedy(error, "accounts", owner="", region=self._region) from None


def _page(ask: Callable[..., dict[str, Any]], key: str, more: Mapping[str, Any]) -> dict[str, Any]:
    answer = ask(**more)
    aws_answers.check_page(answer, key, more.get("NextToken"))
    return answer


def _state(account: Item) -> str:
    """Return an account's state; `Status` is its older name, which Organizations retires in 2026."""
    state = account.get("State") or account.get("Status")
    if not state:
        raise Unreachable(f"listing accounts: AWS doesn't say whether account {account['Id']} is active")
    return str(state)


def _account(account: Item, organization: AwsOrganization) -> AwsAccount:
    partition = str(account["Arn"]).split(":")[1]
    role = f"arn:{partition}:iam::{account['Id']}:role/{organization.role}"
    return AwsAccount(role_arn=role, external_id=organization.external_id)
