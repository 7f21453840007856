"""EC2's parameters as EC2 reads them: what it refuses in a permission, a filter or a page, and its wildcards."""

from __future__ import annotations

import ipaddress
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping

Params = dict[str, str]
DESCRIPTION = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}")
MOST_VALUES = 200
RULE_FILTERS = re.compile(r"group-id|security-group-rule-id|tag:.+")


class Refused(Exception):
    """EC2's error answer."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


# ── EC2's parameters ─────────────────────────────────────────────────────────

Source = tuple[str, str, str, str]


def canonical(params: Params) -> Params:
    """Write CIDRs as EC2 does: host bits off, compressed. Refuse what EC2 refuses in a permission."""
    made = dict(params)
    for key, value in params.items():
        if key.endswith((".CidrIp", ".CidrIpv6")):
            try:
                network = ipaddress.ip_network(value, strict=False)
            except ValueError:
                raise Refused("InvalidParameterValue", f"CIDR block {value} is malformed") from None
            if "/" not in value or (network.version == 6) != key.endswith("v6"):  # noqa: PLR2004 - the IP version
                raise Refused("InvalidParameterValue", f"CIDR block {value} is malformed")
            made[key] = str(network)
        if key.endswith(".Description") and not DESCRIPTION.fullmatch(value):
            raise Refused(
                "InvalidParameterValue",
                "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
            )
    for prefix in {".".join(k.split(".")[:2]) for k in params if k.startswith("IpPermissions.")}:
        _check_ports(params, prefix)
    return made


def _check_ports(params: Params, prefix: str) -> None:
    protocol = params.get(f"{prefix}.IpProtocol", "")
    if protocol not in {"tcp", "udp", "icmp", "icmpv6", "-1"} and not protocol.isdigit():
        raise Refused("InvalidParameterValue", f"Invalid value '{protocol}' for IP protocol")
    if protocol in {"tcp", "udp", "6", "17"}:
        first, last = (int(params.get(f"{prefix}.{n}Port", "-1")) for n in ("From", "To"))
        if not 0 <= first <= last <= 65535:  # noqa: PLR2004 - the last port there is
            raise Refused("InvalidParameterValue", f"Invalid TCP/UDP port range ({first}:{last})")


def sources(params: Params) -> list[Source]:
    """Return the CIDRs that the permissions name, each with its protocol and ports."""
    found = []
    for key, value in sorted(params.items()):
        match = re.fullmatch(r"(IpPermissions\.\d+)\.(?:IpRanges|Ipv6Ranges)\.\d+\.Cidr(?:Ip|Ipv6)", key)
        if match:
            prefix = match[1]
            ports = [params.get(f"{prefix}.{n}Port", "-1") for n in ("From", "To")]
            protocol = params.get(f"{prefix}.IpProtocol", "")
            found.append((protocol, *(["-1", "-1"] if protocol == "-1" else ports), value))
    return found  # type: ignore[return-value]


def rule_key(rule: Mapping[str, str]) -> Source:
    """Return what makes a rule that is there the same as one that is asked for."""
    cidr = rule.get("cidrIpv4") or rule.get("cidrIpv6") or ""
    shown = str(ipaddress.ip_network(cidr, strict=False)) if cidr else ""
    protocol = rule.get("ipProtocol", "")
    ports = ("-1", "-1") if protocol == "-1" else (rule.get("fromPort", "-1"), rule.get("toPort", "-1"))
    return (protocol, *ports, shown)


def family_of(cidr: str) -> int:
    """Return 4 or 6; 0 where a rule names no CIDR."""
    return ipaddress.ip_network(cidr).version if cidr else 0


def weight(rule: Mapping[str, str], family: int, lists: Mapping[str, int]) -> int:
    """Count a rule for its family, a reference to a group in both, a prefix list in both as it weighs."""
    if rule.get("prefixListId"):
        return lists.get(rule["prefixListId"], 1)
    return int(family_of(rule_key(rule)[3]) in {family, 0})


def references(params: Params) -> tuple[int, list[str]]:
    """Return how many groups the asked permissions refer to, and which prefix lists."""
    groups = sum(bool(re.fullmatch(r"IpPermissions\.\d+\.Groups\.\d+\.GroupId", k)) for k in params)
    lists = [v for k, v in params.items() if re.fullmatch(r"IpPermissions\.\d+\.PrefixListIds\.\d+\.PrefixListId", k)]
    return groups, lists


# ── filters and pages ────────────────────────────────────────────────────────

Filter = tuple[str, list[str]]
HERE = {"vpc-id": "vpcId"}
"""Filters besides those on tags that are carried out here: EC2's wildcards aren't moto's."""


def split_filters(params: Params) -> tuple[Params, list[Filter]]:
    """Return the parameters without the filters that are carried out here, and those."""
    names = {k.split(".")[1]: v for k, v in params.items() if re.fullmatch(r"Filter\.\d+\.Name", k)}
    here = {number for number, name in names.items() if name in HERE or name.startswith("tag:")}
    rest = {k: v for k, v in params.items() if not (k.startswith("Filter.") and k.split(".")[1] in here)}
    values = {n: [v for k, v in params.items() if k.startswith(f"Filter.{n}.Value.")] for n in here}
    return rest, [(names[n], values[n]) for n in sorted(here)]


def passes(item: ET.Element, filters: list[Filter]) -> bool:
    """Tell whether EC2 would list this group or rule."""
    return all(any(_like(value, pattern) for value in _values(item, name) for pattern in ps) for name, ps in filters)


def _values(item: ET.Element, name: str) -> list[str]:
    if name in HERE:
        return [item.findtext(HERE[name]) or ""]
    tags = {t.findtext("key"): t.findtext("value") or "" for t in item.iterfind("tagSet/item")}
    return [tags[name.removeprefix("tag:")]] if name.removeprefix("tag:") in tags else []


def _like(value: str, pattern: str) -> bool:
    r"""Compare as EC2's filters do: `*` is any text, `?` any character, and what follows a `\` is itself."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"*": ".*", "?": "."}
    made = "".join(wild.get(p) or re.escape(p[1] if len(p) > 1 else p) for p in parts)
    return re.fullmatch(made, value, re.DOTALL) is not None


def check_filters(action: str, params: Params) -> None:
    """Refuse filters that EC2 doesn't know, and more values than it takes."""
    for key, value in params.items():
        name = re.fullmatch(r"Filter\.(\d+)\.Name", key)
        if name and action == "DescribeSecurityGroupRules" and not RULE_FILTERS.fullmatch(value):
            raise Refused("InvalidParameterValue", f"The filter '{value}' is invalid")
        if name and sum(k.startswith(f"Filter.{name[1]}.Value.") for k in params) > MOST_VALUES:
            raise Refused("FilterLimitExceeded", f"The maximum number of filter values ({MOST_VALUES}) was exceeded")


def page(params: Params, least: int, most: int) -> tuple[int, int]:
    """Return how many items the page has, and how many come before it."""
    size = int(params.get("MaxResults", most))
    if not least <= size <= most:
        raise Refused("InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid.")
    token = params.get("NextToken", "page-0")
    if not token.startswith("page-"):
        raise Refused("InvalidNextToken", "The token is not valid")
    return size, int(token.removeprefix("page-"))
