"""Where AWS's kinds are: in one region of one account, security groups by id or by tags, prefix lists by id."""

from __future__ import annotations

from dataclasses import dataclass, field

ACCOUNT_OF_ROLE = 4
"""The account's place in a role's ARN: `arn:aws:iam::111122223333:role/NAME` (IAM User Guide, ARNs)."""


@dataclass(frozen=True, slots=True)
class AwsAccount:
    """How to reach an account: a role to assume, or a profile; neither means the ambient credentials."""

    role_arn: str | None = None
    external_id: str | None = field(default=None, repr=False)
    profile: str | None = None

    def may_be(self, account: str) -> bool:
        """Tell whether the credentials may be this account's: of a role that is written in its ARN, of others unknown."""
        role = (self.role_arn or "").split(":")
        return len(role) <= ACCOUNT_OF_ROLE or not role[ACCOUNT_OF_ROLE].isdigit() or role[ACCOUNT_OF_ROLE] == account


class AwsRegion:
    """One region of one account, through these credentials: what all of AWS's kinds have in common."""

    __slots__ = ()
    region: str
    account: AwsAccount
    endpoint_url: str | None

    @property
    def scope(self) -> tuple[object, ...]:
        """What is read at once."""
        return (self.account, self.region, self.endpoint_url)

    @property
    def place(self) -> str:
        """The region; whose account it is, only a reading tells."""
        return f"aws/-/{self.region}"

    def may_be_at(self, place: str) -> bool:
        """Tell whether `aws/ACCOUNT/REGION` may be what these credentials reach."""
        cloud, _, rest = place.partition("/")
        account, _, region = rest.partition("/")
        return cloud == "aws" and region == self.region and self.account.may_be(account)


@dataclass(frozen=True, slots=True)
class AwsGroups(AwsRegion):
    """Security groups by id, or by tags and VPC, in one region of one account."""

    region: str
    groups: tuple[str, ...] = ()
    match_tags: tuple[tuple[str, str], ...] = ()
    match_vpc: str | None = None
    account: AwsAccount = AwsAccount()
    endpoint_url: str | None = None

    def may_name(self, resource: str) -> bool:
        """Tell whether a group is named, or may be, where `match` or the credentials couldn't be asked."""
        place, _, group = resource.rpartition("/")
        return self.may_be_at(place) and (not self.groups or group in self.groups)


@dataclass(frozen=True, slots=True)
class AwsLists(AwsRegion):
    """Prefix lists, one a family, in one region of one account; "" where a family has none."""

    region: str
    prefix_list: str = ""
    prefix_list_v6: str = ""
    account: AwsAccount = AwsAccount()
    endpoint_url: str | None = None

    @property
    def families(self) -> frozenset[int]:
        """The IP versions that have a list."""
        return frozenset(family for family, _ in self.lists)

    @property
    def lists(self) -> tuple[tuple[int, str], ...]:
        """The lists that are named, each with the IP version of its key."""
        return tuple(pair for pair in ((4, self.prefix_list), (6, self.prefix_list_v6)) if pair[1])

    def may_name(self, resource: str) -> bool:
        """Tell whether a list is named."""
        place, _, found = resource.rpartition("/")
        return self.may_be_at(place) and found in {name for _, name in self.lists}
