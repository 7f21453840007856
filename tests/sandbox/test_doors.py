"""What the local vendor's runners find: exactly what the clouds' rules say."""

from __future__ import annotations

import pytest

from ipsync.sandbox.doors import group_lets_in, network_lets_in

GROUP = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIpv4": "8.8.8.0/24"}
RULE = {"direction": "INGRESS", "allowed": [{"IPProtocol": "tcp", "ports": ["443"]}], "sourceRanges": ["8.8.8.0/24"]}


@pytest.mark.parametrize(
    ("change", "address", "open_"),
    [
        ({}, "8.8.8.8", True),
        ({}, "8.8.9.8", False),
        ({}, "2600::1", False),
        ({"FromPort": 80, "ToPort": 500}, "8.8.8.8", True),
        ({"FromPort": 444, "ToPort": 500}, "8.8.8.8", False),
        ({"IpProtocol": "udp"}, "8.8.8.8", False),
        ({"IpProtocol": "-1", "FromPort": -1, "ToPort": -1}, "8.8.8.8", True),
        ({"CidrIpv4": None, "CidrIpv6": "2600::/32"}, "2600::1", True),
        ({"CidrIpv4": None}, "8.8.8.8", False),
    ],
)
def test_a_group(change, address, open_):
    assert group_lets_in([GROUP | change], address) is open_


@pytest.mark.parametrize(
    ("change", "open_"),
    [
        ({}, True),
        ({"disabled": True}, False),
        ({"direction": "EGRESS"}, False),
        ({"sourceRanges": ["9.9.9.9"]}, False),
        ({"sourceRanges": []}, False),
        ({"allowed": [{"IPProtocol": "tcp", "ports": ["400-500"]}]}, True),
        ({"allowed": [{"IPProtocol": "tcp", "ports": ["80"]}]}, False),
        ({"allowed": [{"IPProtocol": "tcp"}]}, True),
        ({"allowed": [{"IPProtocol": "all"}]}, True),
        ({"allowed": [{"IPProtocol": "udp", "ports": ["443"]}]}, False),
    ],
)
def test_a_network(change, open_):
    assert network_lets_in([RULE | change], "8.8.8.8") is open_


def test_no_rule_is_a_shut_door():
    assert not group_lets_in([], "8.8.8.8")
    assert not network_lets_in([], "8.8.8.8")
