"""AWS security groups: one rule a CIDR and port range, owned by the tags on the rule.

API: Amazon EC2 API Reference, DescribeSecurityGroupRules, AuthorizeSecurityGroupIngress,
RevokeSecurityGroupIngress, CreateTags, DeleteTags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from ipsync.errors import CloudError, Denied, Missing, Unreachable, UsageError
from ipsync.model import (
    AwsGroups,
    Capacity,
    Entry,
    Note,
    ReadFailure,
    Receipt,
    Service,
    State,
    Step,
    Target,
)
from ipsync.providers import aws_client
from ipsync.providers.aws_policy import remedy
from ipsync.providers.base import Finding

OWNER_TAG = "ipsync:owner"
DESCRIPTION = "description"
PAGE = 1000
FILTER_VALUES = 200
DEFAULT_QUOTA = 60
ASK_QUOTA_FROM = 40
"""Rules in a family from which the real quota is worth a call: below, even AWS's default can hold the usual list."""
READS = {
    *("DescribeSecurityGroupRules", "DescribeSecurityGroups", "DescribeManagedPrefixLists"),
    *("GetServiceQuota", "GetCallerIdentity", "AssumeRole"),
}
Rule = Mapping[str, Any]


def _where(target: Target) -> AwsGroups:
    if not isinstance(target.where, AwsGroups):
        raise UsageError(f"target {target.name} is no AWS target")
    return target.where


class Reader:
    """Reads one account's region. Its client refuses every call but the ones in READS, and DryRun ones."""

    def __init__(self, target: Target) -> None:
        self._where = _where(target)
        self._calls: list[tuple[str, str]] = []
        self._ec2 = self._client("ec2")

    def _client(self, service: str) -> Any:
        made = aws_client.client(service, self._where)
        made.meta.events.register("provide-client-params.*.*", _refuse_writes)
        made.meta.events.register("after-call.*.*", self._count)
        return made

    def _count(self, *, model: Any, http_response: Any, **_: object) -> None:
        ok = http_response is not None and http_response.status_code < 300  # noqa: PLR2004 - HTTP's successes
        self._calls.append((model.name, "ok" if ok else "error"))

    @property
    def calls(self) -> tuple[tuple[str, str], ...]:
        """Return every call so far as (operation, result)."""
        return tuple(self._calls)

    def survey(self, targets: Sequence[Target], *, owner: str) -> list[State | ReadFailure]:
        """Read this owner's rules in the region: one call a thousand rules; one more where groups are chosen by tag."""
        ours = self._by_group(self._rules([{"Name": f"tag:{OWNER_TAG}", "Values": [owner]}]))
        named, failures = self._named(targets)
        unknown = [group for group in named if group not in ours]
        account = _account(ours, self._where)
        if unknown and not account:
            found = {g["GroupId"]: g["OwnerId"] for g in self._groups(_id_filters(unknown))}
            account = next(iter(found.values()), "-")
            failures += [self._missing(g, named[g], account) for g in unknown if g not in found]
            named = {g: names for g, names in named.items() if g in ours or g in found}
        states = [self._state(g, account, names, ours.get(g, ()), complete=False) for g, names in named.items()]
        strays = [self._state(g, account, (), rules, complete=False) for g, rules in ours.items() if g not in named]
        return [*states, *strays, *failures]

    def complete(self, states: Sequence[State], *, owner: str) -> list[State | ReadFailure]:
        """Read these groups whole: every rule, foreign ones too, and what still fits."""
        del owner
        ids = [_group_id(s.resource) for s in states]
        rules = self._by_group(r for batch in _batches(ids) for r in self._rules(_id_filter(batch)))
        bare = [g for g in ids if g not in rules]
        present = {g["GroupId"] for g in self._groups(_id_filters(bare))} if bare else set()
        found: list[State | ReadFailure] = []
        for state, group in zip(states, ids, strict=True):
            if group in rules or group in present:
                found.append(self._completed(state, rules.get(group, ())))
            else:
                found.append(self._missing(group, state.targets, state.resource.split("/")[1]))
        return found

    # ── what groups the targets name ─────────────────────────────────────

    def _named(self, targets: Sequence[Target]) -> tuple[dict[str, tuple[str, ...]], list[State | ReadFailure]]:
        named: dict[str, tuple[str, ...]] = {}
        failures: list[State | ReadFailure] = []
        for target in targets:
            try:
                groups = self._matching(target)
            except CloudError as error:
                failures.append(
                    ReadFailure(
                        (target.name,), f"aws/-/{self._where.region}", str(error), all_of=not isinstance(error, Missing)
                    )
                )
                continue
            for group in groups:
                named[group] = (*named.get(group, ()), target.name)
        return named, failures

    def _matching(self, target: Target) -> Sequence[str]:
        where = _where(target)
        if where.groups:
            return where.groups
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in where.match_tags]
        if where.match_vpc:
            filters.append({"Name": "vpc-id", "Values": [where.match_vpc]})
        found = sorted(g["GroupId"] for g in self._groups([filters]))
        if not found:
            tags = ", ".join(f"{k}={v}" for k, v in where.match_tags)
            vpc = f" in {where.match_vpc}" if where.match_vpc else ""
            raise Missing(f"no security group in {where.region}{vpc} has the tags {tags}; check `match` or tag one")
        return found

    def _missing(self, group: str, names: tuple[str, ...], account: str) -> ReadFailure:
        region = self._where.region
        of = f" of account {account}" if account != "-" else ""  # nothing there told us whose credentials these are
        text = f"security group {group} is not in {region}{of}; check `groups`, `region` and `account`"
        return ReadFailure(names, f"aws/{account}/{region}/{group}", text)

    def _state(
        self, group: str, account: str, names: tuple[str, ...], rules: Iterable[Rule], *, complete: bool
    ) -> State:
        entries = tuple(e for e in map(_entry, rules) if e)
        resource = f"aws/{account}/{self._where.region}/{group}"
        return State("aws-security-group", resource, names, entries, complete=complete, batch=PAGE)

    def _completed(self, state: State, rules: Iterable[Rule]) -> State:
        rules = list(rules)
        entries = tuple(e for e in map(_entry, rules) if e)
        return replace(state, entries=entries, complete=True, capacity=self._capacity(rules))

    # ── how much still fits ──────────────────────────────────────────────

    def _capacity(self, rules: Sequence[Rule]) -> tuple[Capacity, ...]:
        """Count as EC2 does: the families apart, a group reference in both, a prefix list as its MaxEntries."""
        ingress = [r for r in rules if not r.get("IsEgress")]
        lists = [r["PrefixListId"] for r in ingress if r.get("PrefixListId")]
        shared = sum(bool(r.get("ReferencedGroupInfo")) for r in ingress) + self._list_sizes(lists)
        used = {
            4: shared + sum(bool(r.get("CidrIpv4")) for r in ingress),
            6: shared + sum(bool(r.get("CidrIpv6")) for r in ingress),
        }
        limit = self._quota() if max(used.values()) >= ASK_QUOTA_FROM else DEFAULT_QUOTA
        return tuple(Capacity(family, count, limit) for family, count in used.items())

    def _list_sizes(self, ids: Sequence[str]) -> int:
        if not ids:
            return 0
        filters = [{"Name": "prefix-list-id", "Values": sorted(set(ids))}]
        try:
            answer = self._read(
                lambda: self._ec2.describe_managed_prefix_lists(Filters=filters), "reading prefix lists"
            )
        except CloudError:
            return len(ids)  # without the permission, at least one each
        sizes = {item["PrefixListId"]: int(item.get("MaxEntries", 1)) for item in answer["PrefixLists"]}
        return sum(sizes.get(i, 1) for i in ids)

    def _quota(self) -> int:
        try:
            quotas = self._client("service-quotas")
            answer = self._read(
                lambda: quotas.get_service_quota(ServiceCode="vpc", QuotaCode="L-0EA8095F"), "reading the quota"
            )
        except CloudError:
            return DEFAULT_QUOTA
        value = answer.get("Quota", {}).get("Value")  # of an answer cut short, botocore makes an empty one
        return int(value) if value else DEFAULT_QUOTA

    # ── calls ────────────────────────────────────────────────────────────

    def _rules(self, filters: Sequence[Mapping[str, Any]]) -> Iterator[Rule]:
        return self._pages(self._ec2.describe_security_group_rules, "SecurityGroupRules", filters)

    def _groups(self, filter_sets: Iterable[Sequence[Mapping[str, Any]]]) -> Iterator[Rule]:
        for filters in filter_sets:
            yield from self._pages(self._ec2.describe_security_groups, "SecurityGroups", filters)

    def _pages(
        self, operation: Callable[..., dict[str, Any]], key: str, filters: Sequence[Mapping[str, Any]]
    ) -> Iterator[Rule]:
        token: dict[str, str] = {}
        while True:
            answer = self._read(
                lambda: operation(Filters=list(filters), MaxResults=PAGE, **token),  # noqa: B023 - called at once
                f"reading {key} in {self._where.region}",
            )
            yield from answer.get(key, ())
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def _read(self, operation: Callable[[], dict[str, Any]], subject: str) -> dict[str, Any]:
        try:
            return aws_client.call(operation, subject=subject, writes=False)
        except Denied as error:
            raise _with_remedy(error, "read", owner="") from None
        except Unreachable as error:
            hint = aws_client.unknown_region(self._where)
            raise Unreachable(f"{error}{hint}", code=error.code, request_id=error.request_id) from None

    @staticmethod
    def _by_group(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
        found: dict[str, list[Rule]] = {}
        for rule in rules:
            found.setdefault(rule["GroupId"], []).append(rule)
        return found

    # ── check ────────────────────────────────────────────────────────────

    def check(self, targets: Sequence[Target], *, owner: str) -> list[Finding]:
        """Try each permission with DryRun, on real groups and rules, with the real tags."""
        region = self._where.region
        try:
            found = self.survey(targets, owner=owner)
        except CloudError as error:
            return [
                Finding(f"aws {region}: read", ok=False, detail=str(error), remedy=remedy(error, "read", owner=owner))
            ]
        findings = [Finding(f"aws {region}: read security groups", ok=True)]
        for item in found:
            if isinstance(item, ReadFailure):
                findings.append(Finding(f"target {', '.join(item.targets)}", ok=False, detail=item.message))
            elif item.targets:
                findings += self._check_group(item, owner)
        return findings

    def _check_group(self, state: State, owner: str) -> Iterator[Finding]:
        group = _group_id(state.resource)
        rule = next((e.handle for e in state.entries), None)
        tags = [{"Key": OWNER_TAG, "Value": owner}]
        specs = [{"ResourceType": "security-group-rule", "Tags": tags}]
        probe = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}
        yield self._try(
            group, "authorize", owner, self._ec2.authorize_security_group_ingress,
            GroupId=group, IpPermissions=[probe], TagSpecifications=specs,
        )  # fmt: skip
        if rule is None:
            text = "can't be tried before the first sync has made a rule"
            yield Finding(f"{state.resource}: revoke and tag", ok=True, detail=text)
            return
        revoke = self._ec2.revoke_security_group_ingress
        yield self._try(group, "revoke", owner, revoke, GroupId=group, SecurityGroupRuleIds=[rule])
        since = [{"Key": "ipsync:leaving-since", "Value": "2026-01-01T00:00:00Z"}]
        yield self._try(group, "tag", owner, self._ec2.create_tags, Resources=[rule], Tags=since)
        yield self._try(group, "untag", owner, self._ec2.delete_tags, Resources=[rule], Tags=since)

    def _try(
        self, group: str, what: str, owner: str, operation: Callable[..., dict[str, Any]], **params: object
    ) -> Finding:
        subject = f"{group} in {self._where.region}: {what}"
        try:
            aws_client.call(lambda: operation(DryRun=True, **params), subject=subject, writes=False)
        except CloudError as error:
            if error.code == "DryRunOperation":
                return Finding(subject, ok=True)
            return Finding(subject, ok=False, detail=str(error), remedy=remedy(error, what, owner=owner))
        return Finding(subject, ok=False, detail="the dry run was carried out: this endpoint doesn't honour DryRun")


def _refuse_writes(*, params: Mapping[str, Any], model: Any, **_: object) -> None:
    if model.name not in READS and params.get("DryRun") is not True:
        raise Denied(f"a fault in ipsync: {model.name} was called where only reading is allowed; nothing was sent")


class Writer:
    """Writes to one account's region, one step a call."""

    def __init__(self, target: Target) -> None:
        self._where = _where(target)
        self._ec2 = aws_client.client("ec2", self._where)
        self._buckets = {kind: aws_client.Bucket() for kind in ("add", "note", "unnote", "remove")}

    def execute(self, step: Step) -> Receipt:
        """Send exactly this step. A lost reply is Uncertain; a duplicate or a missing rule is Stale."""
        operation, what = {
            "add": (self._add, "authorize"),
            "remove": (self._remove, "revoke"),
            "note": (self._note, "tag"),
            "unnote": (self._unnote, "untag"),
        }[step.kind]
        self._buckets[step.kind].take()
        subject = f"{what} {len(step.entries)} rules of {step.resource}"
        try:
            answer = aws_client.call(lambda: operation(step), subject=subject, writes=True)
        except Denied as error:
            owner = next((dict(e.note)[OWNER_TAG] for e in step.entries if OWNER_TAG in dict(e.note)), "OWNER")
            raise _with_remedy(error, what, owner=owner) from None
        return Receipt(str(answer.get("ResponseMetadata", {}).get("RequestId", "")))

    def _add(self, step: Step) -> dict[str, Any]:
        tags = [{"Key": k, "Value": v} for k, v in step.entries[0].note if k != DESCRIPTION]
        answer: dict[str, Any] = self._ec2.authorize_security_group_ingress(
            GroupId=_group_id(step.resource),
            IpPermissions=[_permission(e) for e in step.entries],
            TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": tags}],
        )
        return answer

    def _remove(self, step: Step) -> dict[str, Any]:
        answer: dict[str, Any] = self._ec2.revoke_security_group_ingress(
            GroupId=_group_id(step.resource), SecurityGroupRuleIds=[e.handle for e in step.entries]
        )
        return answer

    def _note(self, step: Step) -> dict[str, Any]:
        answer: dict[str, Any] = self._ec2.create_tags(**_tagging(step))
        return answer

    def _unnote(self, step: Step) -> dict[str, Any]:
        answer: dict[str, Any] = self._ec2.delete_tags(**_tagging(step))
        return answer


def _with_remedy(error: Denied, what: str, *, owner: str) -> Denied:
    needed = remedy(error, what, owner=owner).replace("\n", ", ")  # a message is one line of a report
    return (
        Denied(f"{error}. The role needs: {needed}", code=error.code, request_id=error.request_id) if needed else error
    )


def _tagging(step: Step) -> dict[str, Any]:
    tags = [{"Key": k, "Value": v} for k, v in step.entries[0].note]
    return {"Resources": [e.handle for e in step.entries], "Tags": tags}


# ── EC2's shapes and ours ────────────────────────────────────────────────────


def _entry(rule: Rule) -> Entry | None:
    """Return a rule that names a CIDR as an entry; egress, group and prefix list rules are none."""
    cidr = rule.get("CidrIpv4") or rule.get("CidrIpv6")
    if rule.get("IsEgress") or not cidr:
        return None
    tags = [(t["Key"], t["Value"]) for t in rule.get("Tags", ())]
    note: Note = tuple(sorted([*tags, (DESCRIPTION, rule.get("Description", ""))]))
    return Entry(ip_network(cidr, strict=False), _service(rule), note, rule["SecurityGroupRuleId"])


def _service(rule: Rule) -> Service:
    protocol = str(rule["IpProtocol"])
    if protocol == "-1":
        return Service("all")
    first, last = rule.get("FromPort", -1), rule.get("ToPort", -1)
    if protocol in {"icmp", "icmpv6", "58", "1"}:
        name = {"1": "icmp", "58": "icmpv6"}.get(protocol, protocol)
        return Service(name) if first == -1 else Service(f"{name}-type", first, last)
    if first == -1:
        return Service(f"protocol-{protocol}")
    return Service({"6": "tcp", "17": "udp"}.get(protocol, protocol), first, last)


def _permission(entry: Entry) -> dict[str, Any]:
    """Return one permission with one CIDR: so every rule id belongs to one entry."""
    service = entry.service or Service("all")
    ports: dict[str, object] = {"IpProtocol": "-1" if service.protocol == "all" else service.protocol}
    if service.protocol != "all":
        ports |= {"FromPort": -1, "ToPort": -1}
    if service.first is not None:
        ports |= {"FromPort": service.first, "ToPort": service.last}
    text = dict(entry.note).get(DESCRIPTION, "")
    source = {"CidrIp": str(entry.network)} if entry.network.version == 4 else {"CidrIpv6": str(entry.network)}  # noqa: PLR2004 - the IP version
    return {**ports, "IpRanges" if "CidrIp" in source else "Ipv6Ranges": [{**source, "Description": text}]}


def _group_id(resource: str) -> str:
    return resource.rpartition("/")[2]


def _account(ours: Mapping[str, Sequence[Rule]], where: AwsGroups) -> str:
    if where.account.role_arn:
        return where.account.role_arn.split(":")[4]
    return next((str(rules[0].get("GroupOwnerId", "")) for rules in ours.values()), "")


def _id_filter(ids: Sequence[str]) -> list[dict[str, Any]]:
    return [{"Name": "group-id", "Values": list(ids)}]


def _id_filters(ids: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    return (_id_filter(batch) for batch in _batches(ids))


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[i : i + FILTER_VALUES] for i in range(0, len(ids), FILTER_VALUES))
