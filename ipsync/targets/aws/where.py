"""Where AWS's kinds are: in one region of one account, or in many: security groups by id or by tags, prefix lists by id."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

ACCOUNT_OF_ROLE = 4
"""The account's place in a role's ARN: `arn:aws:iam::111122223333:role/NAME` (IAM User Guide, ARNs)."""
UNKNOWN = "-"
"""An account or a region in a place, where nothing told us which one."""


@dataclass(frozen=True, slots=True)
class AwsAccount:
    """How to reach an account: a role to assume, or a profile; neither means the ambient credentials."""

    role_arn: str | None = None
    external_id: str | None = field(default=None, repr=False)
    profile: str | None = None

    @property
    def number(self) -> str:
        """The account's number, where a role's ARN tells it."""
        role = (self.role_arn or "").split(":")
        told = role[ACCOUNT_OF_ROLE] if len(role) > ACCOUNT_OF_ROLE else ""
        return told if told.isdigit() else UNKNOWN

    def may_be(self, account: str) -> bool:
        """Tell whether the credentials may be this account's: of a role that is written in its ARN, of others unknown."""
        return self.number in {UNKNOWN, account}


@dataclass(frozen=True, slots=True)
class AwsOrganization:
    """Accounts that AWS Organizations lists, under a unit of its tree or by their tags, each reached by one role."""

    role: str
    unit: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    external_id: str | None = field(default=None, repr=False)

    @property
    def number(self) -> str:
        """Whose accounts these are, only a listing tells."""
        return UNKNOWN

    def may_be(self, account: str) -> bool:
        """Tell that it may be any account."""
        return bool(account)

    def __str__(self) -> str:
        """Say which accounts these are."""
        chosen = " and ".join(f"{key}={value}" for key, value in self.tags)
        under = f"of {self.unit}" if self.unit else "of the organization"
        return f"{under} with the tags {chosen}" if chosen else under


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
        """The account and the region; of credentials without a role, only a reading tells whose they are."""
        return f"aws/{self.account.number}/{self.region}"

    def may_be_at(self, place: str) -> bool:
        """Tell whether `aws/ACCOUNT/REGION` may be what these credentials reach."""
        cloud, _, rest = place.partition("/")
        account, _, region = rest.partition("/")
        return cloud == "aws" and region == self.region and self.account.may_be(account)


@dataclass(frozen=True, slots=True)
class AwsGroups(AwsRegion):
    """Security groups by id, or by tags and VPC, in one region of one account.

    `one_of_many`: it is one of a target's several places, and may hold none of its groups.
    """

    region: str
    groups: tuple[str, ...] = ()
    match_tags: tuple[tuple[str, str], ...] = ()
    match_vpc: str | None = None
    account: AwsAccount = AwsAccount()
    endpoint_url: str | None = None
    one_of_many: bool = False

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


@dataclass(frozen=True, slots=True)
class AwsMany:
    """The same groups in several regions, or of several accounts; without regions, in all that an account has enabled.

    `each` is what is looked for at each place, whatever its own region and account.
    """

    each: AwsGroups
    accounts: tuple[AwsAccount | AwsOrganization, ...]
    regions: tuple[str, ...] = ()

    @property
    def scope(self) -> tuple[object, ...]:
        """What is to be listed: it can't be read as it stands."""
        return (self.accounts, self.regions, self.each.endpoint_url)

    @property
    def place(self) -> str:
        """The account and the region, where there is one alone."""
        account = self.accounts[0].number if len(self.accounts) == 1 else UNKNOWN
        return f"aws/{account}/{self.regions[0] if len(self.regions) == 1 else UNKNOWN}"

    def at(self, account: AwsAccount, region: str) -> AwsGroups:
        """Return one of the places."""
        return replace(self.each, account=account, region=region, one_of_many=True)

    def may_name(self, resource: str) -> bool:
        """Tell whether a group may be at one of the places."""
        return self.may_be_at(resource.rpartition("/")[0])

    def may_be_at(self, place: str) -> bool:
        """Tell whether `aws/ACCOUNT/REGION` may be one of the places."""
        cloud, _, rest = place.partition("/")
        account, _, region = rest.partition("/")
        here = not self.regions or region in self.regions
        return cloud == "aws" and here and any(a.may_be(account) for a in self.accounts)
