"""Whether the embedded clouds really let an address in: what the local vendor's runners find when they knock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

HTTPS = 443


def group_lets_in(rules: Iterable[Mapping[str, Any]], address: str) -> bool:
    """Tell whether a security group's inbound rules, as EC2 describes them, let an address in on port 443."""
    return any(
        rule["IpProtocol"] in {"tcp", "-1"}
        and (rule["IpProtocol"] == "-1" or rule["FromPort"] <= HTTPS <= rule["ToPort"])
        and _covers(rule.get("CidrIpv4") or rule.get("CidrIpv6"), address)
        for rule in rules
    )


def network_lets_in(rules: Iterable[Mapping[str, Any]], address: str) -> bool:
    """Tell whether some firewall rule of a network, as Compute Engine shows it, lets an address in on port 443."""
    return any(
        rule.get("direction") == "INGRESS"
        and not rule.get("disabled")
        and any(_allows(each) for each in rule.get("allowed", ()))
        and any(_covers(each, address) for each in rule.get("sourceRanges", ()))
        for rule in rules
    )


def _allows(allowed: Mapping[str, Any]) -> bool:
    spans = [str(each).partition("-") for each in allowed.get("ports", ())]
    within = any(int(first) <= HTTPS <= int(last or first) for first, _, last in spans)
    return allowed["IPProtocol"] == "all" or (allowed["IPProtocol"] == "tcp" and (within or not spans))


def _covers(cidr: str | None, address: str) -> bool:
    return cidr is not None and ip_address(address) in ip_network(cidr)
