"""From `regions` and `accounts` in the config to the places of this run. Everything here only reads.

What can't be listed is `Unlisted`: an error in the plan, and whatever may be there stays as it is.
API: Amazon EC2, DescribeRegions; organization.py for accounts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import botocore.session
from botocore.exceptions import BotoCoreError

from ipsync.core.configured import Target, Where
from ipsync.core.errors import CloudError, Denied
from ipsync.core.words import count, few
from ipsync.targets import pace
from ipsync.targets.aws import answers as aws_answers
from ipsync.targets.aws import errors as aws_errors
from ipsync.targets.aws.organization import Members, members
from ipsync.targets.aws.reads import reading_client, with_remedy
from ipsync.targets.aws.where import AwsAccount, AwsGroups, AwsMany, AwsOrganization
from ipsync.targets.base import Places, Unlisted

HOMES = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""A region of each partition that no account can switch off."""
THREADS = 8
SHOWN = 5
_Asked = TypeVar("_Asked")
_Got = TypeVar("_Got")


def places(targets: Sequence[Target]) -> list[Places]:
    """Return where each target is; what several of them need is asked for once."""
    wheres = [t.where for t in targets if isinstance(t.where, AwsMany)]
    organizations = _at_once(_members, {k for w in wheres for k in _organizations(w)})
    accounts = {w: _accounts(w, organizations) for w in wheres}
    open_ones = {(a, w.each.endpoint_url) for w in wheres if not w.regions for a in accounts[w]}
    regions = _at_once(_enabled, open_ones)
    return [
        _places(t.name, t.where, organizations, accounts[t.where], regions)
        if isinstance(t.where, AwsMany)
        else Places((t.where,))
        for t in targets
    ]


def _at_once(ask: Callable[[_Asked], _Got], keys: Iterable[_Asked]) -> dict[_Asked, _Got | CloudError]:
    """Ask for all of these at once; what fails is a value, and the others' answers count."""

    def asked(key: _Asked) -> _Got | CloudError:
        try:
            return ask(key)
        except CloudError as error:
            return error

    todo = list(keys)
    with pace.threads(THREADS) as threads:
        return dict(zip(todo, threads.map(asked, todo), strict=True))


# ── accounts ─────────────────────────────────────────────────────────────────

_Organization = tuple[AwsOrganization, str, str | None]
_Region = tuple[AwsAccount, str | None]


def _organizations(where: AwsMany) -> Iterator[_Organization]:
    """Yield what is to be listed, and through which region and endpoint."""
    for member in where.accounts:
        if isinstance(member, AwsOrganization):
            yield member, where.regions[0] if where.regions else _home(AwsAccount()), where.each.endpoint_url


def _members(asked: _Organization) -> Members:
    organization, region, endpoint_url = asked
    return members(organization, region=region, endpoint_url=endpoint_url)


def _accounts(where: AwsMany, listed: Mapping[_Organization, Members | CloudError]) -> tuple[AwsAccount, ...]:
    """Return the accounts that are known, each once, in the config's order."""
    found = [a for a in where.accounts if isinstance(a, AwsAccount)]
    groups = [listed[key] for key in _organizations(where)]
    return tuple(dict.fromkeys([*found, *(a for g in groups if isinstance(g, Members) for a in g.accounts)]))


# ── regions ──────────────────────────────────────────────────────────────────


def _enabled(asked: _Region) -> tuple[str, ...]:
    """Return the regions that an account has enabled, opted in to or always there."""
    account, endpoint_url = asked
    home = _home(account)
    ec2 = reading_client("ec2", AwsGroups(home, account=account, endpoint_url=endpoint_url))

    def ask() -> dict[str, object]:
        answer: dict[str, object] = ec2.describe_regions(AllRegions=False)
        aws_answers.check_page(answer, "Regions", None)
        return answer

    try:
        answer = aws_errors.call(ask, subject=f"listing the regions of {_named(account)}", writes=False)
    except Denied as error:
        raise with_remedy(error, "regions", owner="", region=home) from None
    return tuple(sorted(str(r["RegionName"]) for r in answer["Regions"] if r.get("OptInStatus") != "not-opted-in"))


def _home(account: AwsAccount) -> str:
    """Return a region to ask for what concerns a whole account: the machine's own, or one that all accounts have."""
    if account.role_arn:
        return HOMES.get(account.role_arn.split(":")[1], HOMES["aws"])
    try:
        own = botocore.session.Session(profile=account.profile).get_config_variable("region")
    except BotoCoreError:  # making the client says what is wrong with the profile
        own = None
    return str(own or HOMES["aws"])


def _named(account: AwsAccount) -> str:
    return account.role_arn or (f"profile {account.profile}" if account.profile else "the ambient credentials' account")


# ── a target's places ────────────────────────────────────────────────────────


def _places(
    name: str,
    where: AwsMany,
    organizations: Mapping[_Organization, Members | CloudError],
    accounts: Sequence[AwsAccount],
    enabled: Mapping[_Region, tuple[str, ...] | CloudError],
) -> Places:
    groups = {key[0]: organizations[key] for key in _organizations(where)}
    regions = {a: where.regions or enabled[a, where.each.endpoint_url] for a in accounts}
    unlisted = {o: g for o, g in groups.items() if isinstance(g, CloudError)} | {
        a: r for a, r in regions.items() if isinstance(r, CloudError)
    }
    found: list[Where] = [where.at(a, r) for a, of in regions.items() if not isinstance(of, CloudError) for r in of]
    lost = [Unlisted(replace(where, accounts=(of,)), str(why)) for of, why in unlisted.items()]
    return Places((*found, *lost), tuple(_told(name, where, groups, regions)))


def _told(
    name: str,
    where: AwsMany,
    groups: Mapping[AwsOrganization, Members | CloudError],
    regions: Mapping[AwsAccount, tuple[str, ...] | CloudError],
) -> Iterator[str]:
    """Yield what people are to know of what was listed: how many accounts and regions, and which were left out."""
    said = [_said(o, g) for o, g in groups.items() if isinstance(g, Members)]
    numbers = sorted({len(of) for of in regions.values() if not isinstance(of, CloudError)})
    if numbers and not where.regions:
        span = " to ".join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))
        said.append(f"{span} enabled region{'' if numbers[-1] == 1 else 's'} in each")
    if said:
        yield f"target {name}: {'; '.join(said)}"


def _said(organization: AwsOrganization, found: Members) -> str:
    states = Counter(state for state, _ in found.left_out)
    left = [
        f"{n} {state} left out ({few([i for s, i in found.left_out if s == state], SHOWN)})"
        for state, n in states.items()
    ]
    return ", ".join([f"{count(len(found.accounts), 'account')} {organization}", *left])
