"""The config: what is right loads, what is wrong says file, line, key and what would be right, all at once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import yaml
from factory import networks
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsync import config
from ipsync.config import ConfigError
from ipsync.core.configured import Growth, Limits, Threshold
from ipsync.core.model import Service
from ipsync.targets.aws.where import AwsGroups
from ipsync.targets.gcp.where import GcpRule

HEAD = "version: 1\nowner: acme-prod\nfeeds:\n  qatech: {}\n"
AWS = """\
targets:
  - name: web
    kind: aws-security-group
    feed: qatech
    region: eu-north-1
    groups: [sg-0123456789abcdef0]
    ports: [443/tcp, 8000-8100/tcp]
"""
GCP = """\
  - name: edge
    kind: gcp-firewall
    feed: [qatech]
    project: acme-staging
    rule: allow-qatech
    ports: [443/tcp]
"""


def loaded(tmp_path: Path, text: str, environ: dict[str, str] | None = None):
    path = tmp_path / "ipsync.yaml"
    path.write_text(text)
    return config.load(path, environ or {})


def complaints(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, environ)
    lines = str(caught.value).splitlines()
    assert all(re.match(r".*ipsync\.yaml:\d+: ", line) for line in lines), lines
    return [line.split("ipsync.yaml:", 1)[1] for line in lines]


def with_target(line: str) -> str:
    """Return a config whose first target has this line too (or instead)."""
    key = line.strip().split(":")[0]
    kept = [old for old in AWS.splitlines() if not old.strip().startswith(f"{key}:")]
    return HEAD + "\n".join([*kept, f"    {line}"]) + "\n"


def test_the_smallest_config_and_its_defaults(tmp_path):
    made = loaded(tmp_path, HEAD + AWS + GCP)
    assert made.owner == "acme-prod"
    assert made.grace == timedelta(hours=72)
    assert (made.every, made.jitter, made.audit_path) == (900, 60, "./audit.jsonl")
    assert made.listen == ("127.0.0.1", 9464)
    (feed,) = made.feeds
    assert (feed.url, feed.select) == ("https://api.qa.tech/v1/outbound-ips", "ipAddresses")
    assert (feed.timeout, feed.max_bytes) == (30, 5 * 1024 * 1024)
    web, edge = made.targets
    assert web.services == (Service("tcp", 443, 443), Service("tcp", 8000, 8100))
    assert web.where == AwsGroups("eu-north-1", ("sg-0123456789abcdef0",))
    assert edge.where == GcpRule("acme-staging", "default", "allow-qatech")
    limits = dict(web.limits)["qatech"]
    assert (limits.min_prefix_v4, limits.min_prefix_v6, limits.max_addresses) == (16, 32, 1000)
    assert (limits.max_removals, limits.max_additions) == (Threshold(1, 30), Threshold(20, 50))


def test_everything_that_the_contract_names(tmp_path):
    text = """\
version: 1
owner: acme-prod
feeds:
  qatech: {}
  cdn:
    url: https://feeds.example.com/ranges.json
    format: json
    select: "prefixes[?service=='EDGE'].ip_prefix"
    timeout: 10s
    max_bytes: 1MiB
    headers: {Authorization: "Bearer ${TOKEN}"}
    allow_special_use: [10.0.0.0/8]
    guards: {max-addresses: 50}
removal: {grace: never}
guards: {max-removals: {percent: 10}}
targets:
  - name: staging-web
    kind: aws-security-group
    feed: [qatech, cdn]
    region: eu-north-1
    account: {role_arn: "arn:aws:iam::111122223333:role/ipsync", external_id: x}
    match: {tags: {allow-qatech: "true"}, vpc: vpc-0123456789abcdef0}
    ports: [all]
    static: [198.51.100.7/32]
    remove_first: true
    guards: {max-removals: {count: 5}, max-addresses: 60}
  - name: staging-gcp
    kind: gcp-firewall
    feed: qatech
    project: acme-staging
    network: default
    rule: allow-qatech
    ports: [443/tcp]
    target_tags: [web]
    priority: 900
audit: {path: ./audit.jsonl, hmac_key: "${KEY}", hmac_keys_before: ["${KEY}2", null]}
schedule: {every: 15m, jitter: 60s}
aws: {endpoint_url: null}
gcp: {endpoint: "http://127.0.0.1:1"}
"""
    made = loaded(tmp_path, text, {"TOKEN": "t0p", "KEY": "k"})
    cdn = made.feeds[1]
    assert cdn.headers == (("Authorization", "Bearer t0p"),)
    assert "t0p" not in repr(made)
    assert made.grace is None
    limits = dict(made.targets[0].limits)
    assert limits["cdn"].max_removals == Threshold(5, 10)
    assert limits["cdn"].max_addresses == 60
    assert limits["cdn"].allow_special_use == networks("10.0.0.0/8")
    assert limits["qatech"].allow_special_use == ()
    assert made.targets[0].where.match_tags == (("allow-qatech", "true"),)
    assert made.targets[0].static == networks("198.51.100.7/32")
    assert made.targets[1].where.endpoint == "http://127.0.0.1:1"
    assert made.audit_hmac_key == "k"
    assert made.audit_hmac_keys_before == ("k2", None)


@pytest.mark.parametrize(
    ("text", "hours"), [("72h", 72), ("0s", 0), ("3d", 72), ("1d12h", 36), ("90m", 1.5), ("1w", 168)]
)
def test_durations(tmp_path, text, hours):
    assert loaded(tmp_path, HEAD + f"removal: {{grace: {text}}}\n" + AWS).grace == timedelta(hours=hours)


WRONG = [
    ("owner: acme-prod", "owner: Acme!", r"2: owner: 'Acme!' is not an owner; use 1 to 32 of a-z"),
    ("owner: acme-prod", "owner: " + "a" * 33, r"2: owner: 'a+' is not an owner"),
    ("owner: acme-prod", "owner: no", r'2: owner: must be a text, but YAML reads no as true or false; .* quotes: "no"'),
    ("owner: acme-prod", "owner: 12", r'2: owner: must be a text, but YAML reads 12 as a number; .* quotes: "12"'),
    ("owner: acme-prod", "owner: 22:22", r"2: owner: YAML reads 22:22 as a number in a special form .* in quotes"),
    ("owner: acme-prod", "owner:", r"2: owner: is empty; write a text, or leave the key out"),
    ("owner: acme-prod", "owner: [a]", r"2: owner: must be a text, not a list or keys and values"),
    ("owner: acme-prod", "owner: !env acme", r"2: owner: the YAML tag !env has no meaning here"),
    ("owner: acme-prod", "owner: !!binary acme", r"2: owner: the YAML tag !!binary has no meaning"),
    ("owner: acme-prod\n", "", r"1: owner: is required; add it"),
    ("version: 1", "version: 2", r"1: version: must be 1"),
    ("version: 1", "version: true", r"1: version: must be 1"),
    ("version: 1", "version: 1.0", r"1: version: must be 1"),
    ("version: 1", 'version: "1"', r"1: version: must be 1"),
    ("feeds:", "fedes:", r"3: fedes: unknown key; did you mean feeds\?"),
    ("feeds:\n", "rule: x\nfeeds:\n", r"3: rule: unknown key; known here: version, owner, feeds, removal, guards"),
    ("qatech: {}", "qatech: {timeot: 3s}", r"4: feeds.qatech.timeot: unknown key; did you mean timeout\?"),
    ("qatech: {}", "qatech: {ports: 3}", r"4: feeds.qatech.ports: unknown key; known here: url, format, select"),
    ("qatech: {}", "qatech: {timeout: 3 s}", r"4: feeds.qatech.timeout: '3 s' is not a duration; write it like 90s"),
    ("qatech: {}", "qatech: {timeout: 0}", r"4: feeds.qatech.timeout: 0 is not a time to wait for a feed"),
    ("qatech: {}", "qatech: {timeout: 1h}", r"4: feeds.qatech.timeout: '1h' is not .* 1s to 600s"),
    (
        "qatech: {}",
        "qatech: {timeout: true}",
        r"4: feeds.qatech.timeout: true is not a duration; write it like 90s, 15m, 72h or 1d12h$",
    ),
    ("qatech: {}", "qatech: {max_bytes: big}", r"4: feeds.qatech.max_bytes: 'big' is not a size; write it like 5MiB"),
    ("qatech: {}", "qatech: {max_bytes: 0}", r"4: feeds.qatech.max_bytes: 0 is not a size"),
    ("qatech: {}", "qatech: {max_bytes: 101MiB}", r"4: feeds.qatech.max_bytes: .*up to 100MiB"),
    ("qatech: {}", "qatech: {url: 'http://a.example'}", r"4: feeds.qatech.url: is plain http; use https, or say insec"),
    (
        "qatech: {}",
        "qatech: {url: 'https://me:pw@a.example'}",
        r"4: feeds.qatech.url: holds credentials; put them into h",
    ),
    ("qatech: {}", "qatech: {url: 'https://@a.example'}", r"4: feeds.qatech.url: holds credentials"),
    ("qatech: {}", "qatech: {url: 'gopher://a'}", r"4: feeds.qatech.url: is not an https:// address"),
    ("qatech: {}", "qatech: {url: 'https://a b'}", r"4: feeds.qatech.url: is not an https:// address"),
    ("qatech: {}", "qatech: {url: 'https://[a'}", r"4: feeds.qatech.url: is not a URL; check the host"),
    ("qatech: {}", "qatech: {url: 'https://a:x'}", r"4: feeds.qatech.url: is not a URL; check the host and the port"),
    ("qatech: {}", "qatech: {select: 'a[?'}", r"4: feeds.qatech.select: 'a\[\?' is not a JMESPath"),
    (
        "qatech: {}",
        "qatech: {select: 'ab.#'}",
        r"4: feeds.qatech.select: 'ab.#' is not a JMESPath, wrong from character 4",
    ),
    (
        "qatech: {}",
        "qatech: {select: 'a[].nope(@)'}",
        r"4: feeds.qatech.select: .* calls nope\(\), which JMESPath doesn't have",
    ),
    (
        "qatech: {}",
        "qatech: {select: 'a[?contain(b, c)]'}",
        r"4: feeds.qatech.select: .* contain\(\), .* mean contains\(\)\?",
    ),
    (
        "qatech: {}",
        "qatech: {select: 'keys(a, b)'}",
        r"4: feeds.qatech.select: .* gives keys\(\) 2, and it takes 1 argument$",
    ),
    (
        "qatech: {}",
        "qatech: {select: 'a[*].b[?contains(c)].d'}",
        r"4: .* gives contains\(\) 1, and it takes 2 arguments$",
    ),
    (
        "qatech: {}",
        "qatech: {select: 'a.{b: not_null()}'}",
        r"4: .* gives not_null\(\) 0, and it takes at least 1 argument$",
    ),
    ("qatech: {}", "qatech: {select: 'sort_by(a, &nope(b))'}", r"4: feeds.qatech.select: .* calls nope\(\)"),
    ("qatech: {}", "qatech: {select: 'a[::0]'}", r"4: feeds.qatech.select: 'a\[::0\]' has a slice whose step is 0"),
    ("qatech: {}", "qatech: {format: text, select: a}", r"4: feeds.qatech.select: is for json feeds"),
    ("qatech: {}", "qatech: {format: xml}", r"4: feeds.qatech.format: must be 'json' or 'text'"),
    ("qatech: {}", "qatech: {ca_file: /no/such}", r"4: feeds.qatech.ca_file: there is no such file"),
    ("qatech: {}", "qatech: {insecure: 1}", r"4: feeds.qatech.insecure: must be true or false"),
    (
        "qatech: {}",
        "qatech: {headers: {Host: a}}",
        r"4: feeds.qatech.headers.Host: is a header that ipsync sets itself",
    ),
    ("qatech: {}", "qatech: {headers: {'a b': a}}", r"4: feeds.qatech.headers.a b: is not a header's name"),
    (
        "qatech: {}",
        'qatech: {headers: {a: "b\\n"}}',
        r"4: feeds.qatech.headers.a: can't be a header's value: .* line br",
    ),
    ("qatech: {}", "qatech: 3", r"4: feeds.qatech: must hold keys and values"),
    (
        "qatech: {}",
        "qatech: {allow_special_use: 10.0.0.0/8}",
        r"4: .*allow_special_use: must be a list; write it like \[",
    ),
    ("qatech: {}", "qatech: {}\n  cdn: {}", r"5: feeds.cdn: needs a url; only the feed named qatech"),
    ("qatech: {}", "static: {url: 'https://a.example'}", r"4: feeds.static: is a word that ipsync uses itself"),
    ("qatech: {}", "a b: {url: 'https://a.example'}", r"4: feeds.a b: 'a b' is not a name"),
    ("qatech: {}", "qatech: {}\n  qatech: {}", r"5: feeds.qatech: this key stands here twice, first on line 4"),
    ("qatech: {}", "qatech: {}\n  [a]: {}", r"5: feeds: a key must be a plain word"),
    ("feed: qatech", "feed: qatch", r"8: targets\[0\].feed: there is no feed qatch; did you mean qatech\?"),
    ("feed: qatech", "feed: [qatech, zz]", r"8: targets\[0\].feed\[1\]: there is no feed zz; the file has: qatech"),
    ("region: eu-north-1", "region: europe", r"9: targets\[0\].region: 'europe' is not an AWS region; write it like"),
    (
        "sg-0123456789abcdef0",
        "sg-xyz",
        r"10: targets\[0\].groups\[0\]: 'sg-xyz' is not a security group's id; write it",
    ),
    ("sg-0123456789abcdef0", "012", r"10: targets\[0\].groups\[0\]: YAML reads 012 as a number in a special form"),
    ("443/tcp", "443", r"11: targets\[0\].ports\[0\]: 443 is not a port; write it like 443/tcp"),
    ("443/tcp", "0/tcp", r"11: targets\[0\].ports\[0\]: '0/tcp' is not a range of ports from 1 to 65535"),
    ("443/tcp", "65536/tcp", r"11: targets\[0\].ports\[0\]: '65536/tcp' is not a range"),
    ("443/tcp", "90-80/tcp", r"11: targets\[0\].ports\[0\]: '90-80/tcp' is not a range .* the smaller one first"),
    ("443/tcp", "443/icmp", r"11: targets\[0\].ports\[0\]: '443/icmp' is not a port"),
    ("443/tcp", "1-9000/tcp, 3/tcp", r"11: targets\[0\].ports: 1-9000/tcp and 3/tcp overlap; write them as one"),
    ("443/tcp", "8050/tcp", r"11: targets\[0\].ports: 8050/tcp and 8000-8100/tcp overlap"),
    ("443/tcp", "53/udp, 53/udp", r"11: targets\[0\].ports: 53/udp stands here twice"),
    ("443/tcp", "icmp, icmp", r"11: targets\[0\].ports: icmp stands here twice"),
    ("443/tcp", "all", r"11: targets\[0\].ports: all stands alone"),
    ("443/tcp", "22/sctp", r"11: targets\[0\].ports\[0\]: AWS ignores sctp's port and would open all of them"),
    ("443/tcp", "SCTP:22", r"11: targets\[0\].ports\[0\]: AWS ignores sctp's port and would open all of them"),
    ("443/tcp", "tcp", r"11: targets\[0\].ports\[0\]: 'tcp' names no port; write all of them like 0-65535/tcp"),
    ("443/tcp", "any", r"11: targets\[0\].ports\[0\]: 'any' is not a port; write \[all\] for every protocol and port"),
    ("443/tcp", "8/icmp", r"11: .*'8/icmp' is not a port: icmp has none; write icmp \(IPv4\) or icmpv6 \(IPv6\)"),
    ("443/tcp", "esp", r"11: targets\[0\].ports\[0\]: 'esp' is a protocol that can't be named here"),
    (
        "443/tcp",
        "'80,443/tcp'",
        r"11: targets\[0\].ports\[0\]: '80,443/tcp' is not a port; write it like .* one an entry",
    ),
    ("443/tcp", "0/tcp", r"11: targets\[0\].ports\[0\]: '0/tcp' is not a range of ports from 1 to 65535"),
    ("443/tcp", "tcp:8050, tcp:443, 443/TCP", r"11: targets\[0\].ports: 443/tcp stands here twice"),
    ("443/tcp", "tcp:8050", r"11: targets\[0\].ports: 8050/tcp and 8000-8100/tcp overlap"),
    ("[443/tcp, 8000-8100/tcp]", "443/tcp", r"11: targets\[0\].ports: must be a list; write it like \[443/tcp\]"),
    (
        "kind: aws-security-group",
        "kind: aws",
        r"7: targets\[0\].kind: 'aws' is not a kind .*; did you mean aws-securit",
    ),
    ("kind: aws-security-group", "kind: aws-sg", r"7: targets\[0\].kind: 'aws-sg' is not .* mean aws-security-group\?"),
    (
        "kind: aws-security-group",
        "kind: AWS_SECURITY_GROUPS",
        r"7: .*'AWS_SECURITY_GROUPS' is not .* aws-security-group",
    ),
    ("kind: aws-security-group", "kind: gcp-firewal", r"7: targets\[0\].kind: 'gcp-firewal' is not .* gcp-firewall\?"),
    (
        "kind: aws-security-group",
        "kind: nginx",
        r"7: .*'nginx' is not a kind of target; there are aws-security-group,",
    ),
    (
        "kind: aws-security-group",
        "kind: 7",
        r"7: targets\[0\].kind: is not a kind; there are aws-security-group, gcp",
    ),
    ("kind: aws-security-group", "kind: [a]", r"7: targets\[0\].kind: is not a kind; there are aws-security-group,"),
    ("kind: aws-security-group", "kind:", r"7: targets\[0\].kind: is not a kind; there are aws-security-group, gcp"),
    (
        "    kind: aws-security-group\n",
        "",
        r"6: targets\[0\]: needs a kind; write kind: aws-security-group or kind: gcp-",
    ),
    (
        "kind: aws-security-group",
        "kind: aws-security-group\n    rule: x",
        r"8: targets\[0\].rule: unknown key; known here: ",
    ),
    ("name: web", "name: my web", r"6: targets\[0\].name: 'my web' is not a name"),
    ("name: web", "name: 'a;b'", r"6: targets\[0\].name: 'a;b' is not a name"),
    ("name: web", "name: " + "a" * 65, r"6: targets\[0\].name: 'a+…? is not a name"),
    ("name: web", "name: static", r"6: targets\[0\].name: is a word that ipsync uses itself"),
]


@pytest.mark.parametrize(("right", "wrong", "words"), WRONG)
def test_each_error_names_line_key_and_remedy(tmp_path, right, wrong, words):
    text = HEAD + AWS
    assert right in text
    found = complaints(tmp_path, text.replace(right, wrong, 1))
    assert any(re.match(words, line) for line in found), found


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("static: [0.0.0.0/0]", r"12: targets\[0\].static\[0\]: is the whole internet; .* any network but /0"),
        ("static: ['::/0']", "is the whole internet"),
        ("static: [1.2.3.4/24]", r"host bits set; the network would be 1.2.3.0/24"),
        ("static: [1.2.3.04]", r"static\[0\]: '1.2.3.04' is not"),
        ("static: [01.2.3.4]", r"static\[0\]: '01.2.3.4' is not"),
        ("static: [7]", r"static\[0\]: 7 is not a text"),
        ("match: {tags: {a: b}}", "needs either groups"),
        ("groups: []", "needs either groups"),
        ("match: {tags: {}}", r"match.tags: must not be empty"),
        ("match: {vpc: vpc-0123456789abcdef0}", r"match.tags: is required; add it"),
        ("match: {tags: {a: b}, vpc: default}", r"match.vpc: 'default' is not a VPC's id; write it like vpc-"),
        ("match: {tags: {a: true}}", r'match.tags.a: must be a text, but YAML reads true as true or false; .*"true"'),
        ("match: {tags: {a: %s}}" % ("x" * 257), r"match.tags.a: .* is not a tag's value"),
        ("account: {external_id: x}", "goes with a role_arn"),
        ("account: {role_arn: x}", "'x' is not a role's ARN; write it like arn:aws:iam"),
        ("account: {rolearn: x}", r"account.rolearn: unknown key; did you mean role_arn\?"),
        *((f"guards: {{{key}: {{}}}}", f"guards.{key}: this guard is always on and has no setting")
          for key in ("feed", "special-use", "special_use", "empty", "capacity", "drift")),
        ("guards: {max-removals: {percent: 101}}", r"guards.max-removals.percent: must be 100 or less"),
        ("guards: {max-removals: {percent: -1}}", r"guards.max-removals.percent: must be 0 or more"),
        ("guards: {max-removals: {count: 1.5}}", r"guards.max-removals.count: must be a whole number"),
        ("guards: {max-removals: {count: true}}", r"guards.max-removals.count: must be a whole number"),
        ("guards: {max-removals: {count: 0x10}}", r"guards.max-removals.count: YAML reads 0x10 as a number in a special"),
        ("guards: {max-removals: {count: 9999999}}", r"guards.max-removals.count: must be 1000000 or less"),
        ("guards: {max-removals: 30}", r"guards.max-removals: must hold keys and values like \{count: 1, percent: 30\}"),
        ("guards: {max-removal: {}}", r"guards.max-removal: unknown key; did you mean max-removals\?"),
        ("guards: {max_removals: {}}", r"guards.max_removals: unknown key; did you mean max-removals\?"),
        ("guards: {min-prefix: {ipv4: 33}}", r"guards.min-prefix.ipv4: must be 32 or less"),
        ("guards: {max-growth: 4096}", r"max-growth: must hold keys and values like \{ipv4: 4096, ipv6: 16x/48, perce"),
        ("guards: {max-growth: {ipv4: /33}}", r"max-growth.ipv4: '/33' is not a number of addresses; write it like 262"),
        ("guards: {max-growth: {ipv4: -1}}", r"max-growth.ipv4: -1 is not a number of addresses"),
        ("guards: {max-growth: {ipv4: 4294967297}}", r"max-growth.ipv4: 4294967297 is not a number of addresses"),
        ("guards: {max-growth: {percent: 10001}}", r"max-growth.percent: must be 10000 or less"),
        ("guards: {max-coverage: {ipv6: 2x/0}}", r"max-coverage.ipv6: '2x/0' is not a number .* like /32 or 16x/48"),
        ("guards: {max-coverage: {ipv6: a lot}}", r"max-coverage.ipv6: 'a lot' is not a number of addresses"),
        ("guards: {max-coverage: {ipv4: 1.5}}", r"max-coverage.ipv4: 1.5 is not a number of addresses"),
        ("guards: {max-coverage: {ipv4: true}}", r"max-coverage.ipv4: true is not a number of addresses"),
        ("guards: {max-coverage: {count: 1}}", r"max-coverage.count: unknown key; known here: ipv4, ipv6"),
        ("guards: {max-addresses: 0}", r"guards.max-addresses: must be 1 or more"),
        ("remove_first: yep", "remove_first: must be true or false$"),
        ("ports: []", "ports: must not be empty"),
        ("groups: [1234]", 'must be a text, but YAML reads 1234 as a number; write it in quotes: "1234"'),
        ("feed: []", "wants nothing: it needs a feed, or static addresses"),
    ],
)  # fmt: skip
def test_targets_are_checked(tmp_path, line, words):
    found = complaints(tmp_path, with_target(line))
    assert any(re.search(words, problem) for problem in found), found


OTHERS = [
    ("443/tcp", "80/tcp", "ports"),
    ("rule: allow-qatech\n", "rule: allow-qatech\n    priority: 7\n", "priority"),
    ("rule: allow-qatech\n", "rule: allow-qatech\n    network: dmz\n", "network"),
    ("rule: allow-qatech\n", "rule: allow-qatech\n    target_tags: [a]\n", "target_tags"),
    ("rule: allow-qatech\n", "rule: allow-qatech\n    target_service_accounts: [a@b.c]\n", "target_service_accounts"),
    ("rule: allow-qatech\n", "rule: allow-qatech\n    max_ranges: 9\n", "max_ranges"),
]


def test_a_key_s_old_name_is_read_and_told(tmp_path):
    old = loaded(tmp_path, HEAD + AWS + "    swap: true\n")
    assert old.targets[0].remove_first
    assert old.notices == ("`swap` is now called `remove_first`; rename it in the config (web)",)
    assert not loaded(tmp_path, HEAD + AWS + "    swap: false\n").targets[0].remove_first
    new = loaded(tmp_path, HEAD + AWS + "    remove_first: true\n")
    assert (new.targets, new.notices) == (old.targets, ())
    (found,) = complaints(tmp_path, HEAD + AWS + "    swap: true\n    remove_first: true\n")
    assert found == "12: targets[0].swap: is the old name of remove_first, which stands here too; leave swap out"


@pytest.mark.parametrize(("right", "other", "key"), OTHERS)
def test_two_targets_of_one_rule_must_agree(tmp_path, right, other, key):
    second = GCP.replace("edge", "two").replace(right, other)
    (found,) = complaints(tmp_path, HEAD + AWS + GCP + second)
    assert re.fullmatch(
        rf"18: targets\[2\]: rule allow-qatech has another {key} in the target on line 12; make them agree, or .*",
        found,
    )


@pytest.mark.parametrize("neighbour", ["allow-v6", "allow-2", "allow-v6-3"])
def test_a_rule_may_not_stand_where_anothers_neighbours_go(tmp_path, neighbour):
    first, second = GCP.replace("allow-qatech", "allow"), GCP.replace("edge", "b").replace("allow-qatech", neighbour)
    expected = rf"\[\d\].rule: {neighbour} is a name that ipsync keeps for .* of the rule on line"
    for text in (first + second, second + first):
        (found,) = complaints(tmp_path, HEAD + AWS + text)
        assert re.search(expected, found)


@pytest.mark.parametrize("other", ["allow2", "allow-v66", "allow-v6-x", "allow-2-b"])
def test_a_rule_that_only_looks_like_a_neighbour_is_fine(tmp_path, other):
    second = GCP.replace("edge", "b").replace("allow-qatech", other)
    loaded(tmp_path, HEAD + AWS + GCP.replace("allow-qatech", "allow") + second)


def test_the_same_rule_name_in_another_project_is_another_rule(tmp_path):
    second = GCP.replace("edge", "b").replace("443", "80").replace("acme-staging", "acme-live")
    assert len(loaded(tmp_path, HEAD + AWS + GCP + second).targets) == 3


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (GCP.replace("edge", "web"), r"12: targets\[1\].name: web names the target on line 6 already; choose another"),
        (GCP.replace("allow-qatech", "Allow"), r"rule: 'Allow' is not a firewall rule's name"),
        (GCP.replace("allow-qatech", "a" * 57), r"rule: 'a+' is not a firewall rule's name; .* at most 56 characters"),
        (GCP.replace("acme-staging", "123"), r'project: must be a text, but YAML reads 123 as a number; .*"123"'),
        (GCP.replace("acme-staging", "Acme"), r"project: 'Acme' is not a GCP project's id; write it like acme-staging"),
        (GCP + "    priority: 65536\n", r"18: targets\[1\].priority: must be 65535 or less"),
        (GCP + "    max_ranges: 0\n", r"max_ranges: must be 1 or more"),
        (GCP + "    target_service_accounts: [web]\n", r"accounts\[0\]: 'web' is not a service account; write it like"),
        (GCP + "    target_tags: [a]\n    target_service_accounts: [b@c]\n", "not both; leave one out"),
        ("schedule: {every: 5s, jitter: 1s}\n", r"12: schedule.every: '5s' is too often; write 10s or longer"),
        ("schedule: {every: 60s, jitter: 60s}\n", "12: schedule: jitter must be shorter than every"),
        ("schedule: {every: 30s}\n", "12: schedule: jitter must be shorter than every; .* 60s where nothing else is"),
        ("schedule: {every: 900}\n", "schedule.every: 900 is not a duration; .* so add the unit"),
        ("listen: 9464\n", "12: listen: 9464 is not an address and a port; write it like 127.0.0.1:9464, or null to"),
        ("listen: ':9464'\n", "listen: ':9464' is not an address and a port"),
        ("listen: example.com:9464\n", "listen: 'example.com:9464' is not an address and a port"),
        ("listen: 127.0.0.1:65536\n", "listen: '127.0.0.1:65536' is not an address and a port"),
        ('listen: "[1:2]:9464"\n', "holds no IPv6 address; write it like"),
        ("removal: {grace: 72}\n", "removal.grace: 72 is not a duration; .* so add the unit"),
        ("removal: {grace: 1:30}\n", "12: removal.grace: YAML reads 1:30 as a number in a special form"),
        ("removal: {grace: 010}\n", "12: removal.grace: YAML reads 010 as a number in a special form"),
        ("removal: {grace: 400d}\n", "removal.grace: '400d' is longer than a year"),
        ("removal: {grace: .inf}\n", "removal.grace: YAML reads .inf as"),
        ("removal: {grace: -1h}\n", "removal.grace: '-1h' is not a duration"),
        ("removal: {grace: }\n", "removal.grace: an empty value is not a duration; .* or never$"),
        ("removal: {grace: Never}\n", "removal.grace: 'Never' is not a duration; .* or never$"),
        ("removal: 72h\n", "12: removal: must hold keys and values like {grace: 72h}$"),
        ("guards: {max-addresses: '5'}\n", "max-addresses: must be a whole number, without quotes$"),
        ("guards: {max-removals: {percent: 30%}}\n", "percent: must be a whole number$"),
        ("guards: {max-removals: {percent: 0.5}}\n", "percent: must be a whole number$"),
        ("waves: canary\n", r"12: waves: must be a list; write it like \[{name: canary}\]$"),
        ("waves: [canary]\n", r"12: waves\[0\]: must hold keys and values like {name: canary}$"),
        ("removal:\n", "12: removal: must hold keys and values like {grace: 72h}; an empty section can be left out"),
        ("audit: {path: ''}\n", "audit.path: is not a path"),
        ("audit: {path: ~/audit}\n", r"audit.path: is not a path; ~ is not expanded, write \$\{HOME\}"),
        ('audit: {hmac_key: ""}\n', "audit.hmac_key: must not be empty"),
        ('audit: {hmac_keys_before: [a, ""]}\n', "must not be empty"),
        ('audit: {path: "a\\0"}\n', "audit.path: holds bytes that are not UTF-8 text"),
        ("audit: {object: 's3://b'}\n", "audit.object: unknown key; did you mean objects?"),
        ("audit: {objects: 'ftp://bucket'}\n", "audit.objects: 'ftp://bucket' is not a bucket; write it like s3://"),
        ("aws: {endpoint_url: 'http://emulator.example'}\n", "plain http to another machine"),
        ("gcp: {endpoint: 'http://emulator.example'}\n", "plain http to another machine"),
    ],
)
def test_what_concerns_the_file_or_more_than_one_key(tmp_path, extra, words):
    found = complaints(tmp_path, HEAD + AWS + extra)
    assert any(re.search(words, problem) for problem in found), found


def test_two_targets_may_share_a_rule_that_they_agree_on(tmp_path):
    assert len(loaded(tmp_path, HEAD + AWS + GCP + GCP.replace("edge", "two")).targets) == 3


def test_all_errors_at_once(tmp_path):
    text = (HEAD + AWS).replace("acme-prod", "${NOPE}").replace("443/tcp", "x").replace("eu-north-1", "y") + "typo: 1\n"
    found = complaints(tmp_path, text)
    assert [f.split(":")[0] for f in found] == ["2", "9", "11", "12"]
    assert "owner: the environment variable NOPE is not set" in found[0]


def test_what_does_not_fit_together_is_said_beside_what_is_misspelt(tmp_path):
    text = (HEAD + AWS).replace("443/tcp", "x").replace("feed: qatech", "feed: nope").replace("groups:", "grops:")
    twin = GCP.replace("edge", "web") + GCP.replace("edge", "c").replace("443", "80")
    found = complaints(tmp_path, text + twin)
    said = ["needs either", "no feed nope", "did you mean groups", "'x' is not", "names the target", "another ports"]
    assert [any(words in line for line in found) for words in said] == [True] * 6
    assert len(found) == 6


def test_variables_are_filled_in_and_escaped(tmp_path):
    text = HEAD.replace("acme-prod", "${WHO}") + "audit: {path: '$${x}/${DIR}'}\n" + AWS
    made = loaded(tmp_path, text, {"WHO": "me", "DIR": "d"})
    assert (made.owner, made.audit_path) == ("me", "${x}/d")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("${NAME:-x}", r"must hold a variable's name, without a default"),
        ("${}", r"must hold a variable's name"),
        ("${NAME", r"must hold a variable's name"),
        ("${NOPE}", r"the environment variable NOPE is not set; set it, or write \$\$\{NOPE\}"),
        ("${BAD}", r"holds bytes that are not UTF-8 text"),
    ],
)
def test_variables_that_cannot_be_filled_in(tmp_path, value, words):
    (found,) = complaints(tmp_path, HEAD + AWS + f"audit: {{path: '{value}'}}\n", {"NAME": "x", "BAD": "\udcff"})
    assert re.match(rf"12: audit.path: .*{words}", found)


def test_a_variable_is_no_number_and_the_error_does_not_speak_of_quotes(tmp_path):
    (found,) = complaints(tmp_path, HEAD + AWS + "guards:\n  max-addresses: ${FIVE}\n", {"FIVE": "5"})
    assert found == "13: guards.max-addresses: must be a whole number, and a variable is a text: write it here itself"


def test_a_variable_without_quotes_in_braces_gets_a_hint(tmp_path):
    (found,) = complaints(tmp_path, HEAD + AWS + "audit: {path: ${DIR}}\n", {"DIR": "x"})
    assert "12: not YAML: " in found
    assert '${NAME} needs quotes: "${NAME}"' in found


FULL = """\
version: 1
owner: acme
feeds:
  qatech: {url: "https://a.example", format: json, select: a, timeout: 3s, max_bytes: 1MiB, headers: {a: b}, ca_file: /x}
removal: {grace: 72h}
targets:
  - {name: a, kind: aws-security-group, feed: [qatech], region: eu-north-1, match: {tags: {a: b}, vpc: vpc-01234567},
     account: {role_arn: "arn:aws:iam::111122223333:role/i", external_id: x, profile: p}, ports: [443/tcp, 80/tcp],
     static: [1.2.3.4]}
  - {name: b, kind: aws-security-group, feed: qatech, region: eu-north-1, groups: [sg-01234567], ports: [443/tcp]}
  - {name: c, kind: gcp-firewall, feed: qatech, project: acme-staging, network: default, rule: allow, ports: [80/tcp]}
  - {name: d, kind: gcp-firewall, feed: qatech, project: acme-staging, rule: allow-2, ports: [80/tcp], target_tags: [a]}
audit: {path: a, hmac_key: k}
schedule: {every: 15m, jitter: 60s}
aws: {endpoint_url: null}
gcp: {endpoint: "http://localhost:1"}
"""
SECRETS = [
    "p4ssW0rd",
    "p4ss W0rd!",
    "p4ss'W\\0\"rd\n",
    "http://p4ss:W0rd@x",
    "p4ss[?W0rd",
    "sg-p4ssW0rd",
    "p4ss-2",
    "p4ss@W0rd",
]


def leaves(value, path=()):
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    elif isinstance(value, str):
        yield path


def replaced(value, path, new):
    value = yaml.safe_load(yaml.safe_dump(value))
    inner = value
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = new
    return value


@pytest.mark.parametrize("path", list(leaves(yaml.safe_load(FULL))), ids=str)
@pytest.mark.parametrize("shape", ["${SECRET}", "x-${SECRET}", "${SECRET}, ${SECRET}"])
def test_no_value_from_the_environment_is_ever_echoed(tmp_path, path, shape):
    text = yaml.safe_dump(replaced(yaml.safe_load(FULL), path, shape))
    for secret in SECRETS:
        found = complaints(tmp_path, text, {"SECRET": secret})  # ca_file alone is wrong enough
        assert "p4ss" not in "".join(found)


@pytest.mark.parametrize("ports", [("8443/tcp", "8443/tcp"), ("8000-9000/tcp", "8443/tcp")])
def test_nor_is_what_was_made_of_it(tmp_path, ports):
    text = HEAD + AWS.replace("[443/tcp, 8000-8100/tcp]", "['${A}', '${B}']")
    (found,) = complaints(tmp_path, text, dict(zip("AB", ports, strict=True)))
    assert found.startswith("11: targets[0].ports: ")
    assert "8443" not in found
    (found,) = complaints(tmp_path, with_target("static: ['${A}']"), {"A": "1.2.3.4/24"})
    assert "1.2.3" not in found


def test_literal_secrets_are_not_shown_either(tmp_path):
    text = HEAD.replace("{}", "{headers: {X-Token: 123456, X-Other: 0x99}}") + AWS + "audit: {hmac_key: 7654321}\n"
    found = complaints(tmp_path, text)
    assert len(found) == 3
    assert not re.search("123456|0x99|7654321", "".join(found))
    made = loaded(tmp_path, HEAD.replace("{}", "{headers: {X-Token: t0p}}") + AWS + "audit: {hmac_key: t0p}\n")
    assert "t0p" not in repr(made)


def test_merge_keys_bring_in_what_is_not_said(tmp_path):
    second = "  - <<: *web\n    name: two\n    ports: [53/udp]\n"
    web, two = loaded(tmp_path, HEAD + AWS.replace("- name", "- &web\n    name") + second).targets
    assert (two.name, two.services) == ("two", (Service("udp", 53, 53),))
    assert two.where == web.where
    assert any("<< takes a mapping" in f for f in complaints(tmp_path, HEAD + AWS + "<<: 3\n"))
    assert any("<< takes a mapping" in f for f in complaints(tmp_path, HEAD + AWS + "x: &x {<<: *x}\n<<: *x\n"))


def test_the_guards_win_field_by_field(tmp_path):
    text = HEAD.replace("{}", "{guards: {max-removals: {count: 2}, max-additions: {count: 7}, min-prefix: {ipv6: 48}}}")
    text += "guards: {max-removals: {count: 9, percent: 11}, max-addresses: 5, min-prefix: {ipv4: 24, ipv6: 40}}\n"
    target = "    guards: {max-removals: {percent: 0}, max-additions: {count: 0}}\n    static: [1.2.3.4]\n"
    limits = dict(loaded(tmp_path, text + AWS + target).targets[0].limits)
    assert limits["qatech"] == Limits(24, 48, 5, Threshold(2, 0), Threshold(0, 50))
    assert limits["static"] == Limits(24, 40, 5, Threshold(9, 0), Threshold(0, 50))


LOOSER = "qatech: {guards: {max-removals: {percent: 80}}}"
CDN = "\n  cdn: {url: 'https://a.example/x'}"


@pytest.mark.parametrize(
    ("feeds", "line", "percents"),
    [
        (LOOSER, "feed: qatech", {"qatech": 80}),
        (LOOSER + CDN, "feed: [qatech, cdn]", {"qatech": 80, "cdn": 30}),
        (LOOSER, "static: [1.2.3.4]", {"qatech": 80, "static": 30}),
    ],
)
def test_a_feed_s_own_limit_is_not_held_back_by_static_addresses_that_are_not_there(tmp_path, feeds, line, percents):
    text = with_target(line).replace("qatech: {}", feeds)
    limits = loaded(tmp_path, text).targets[0].limits
    assert {name: limit.max_removals.percent for name, limit in limits} == percents


@pytest.mark.parametrize(
    ("written", "growth", "coverage"),
    [
        ("", Growth(4096, 16 * 2**80, 100), (2**18, 16 * 2**96)),
        ("max-growth: {ipv4: 100}", Growth(100, 16 * 2**80, 100), (2**18, 16 * 2**96)),
        ("max-growth: {ipv4: /20, ipv6: /48, percent: 500}", Growth(4096, 2**80, 500), (2**18, 16 * 2**96)),
        ("max-growth: {ipv4: 0, percent: 0}", Growth(0, 16 * 2**80, 0), (2**18, 16 * 2**96)),
        ("max-coverage: {ipv4: /12}", Growth(4096, 16 * 2**80, 100), (2**20, 16 * 2**96)),
        ("max-coverage: {ipv4: 3 x /16, ipv6: 20x/32}", Growth(4096, 16 * 2**80, 100), (3 * 2**16, 20 * 2**96)),
        ("max-coverage: {ipv4: '4096', ipv6: 0}", Growth(4096, 16 * 2**80, 100), (4096, 0)),
    ],
)
@pytest.mark.parametrize("level", ["top", "feed", "target"])
def test_how_much_may_be_covered_is_set_at_every_level(tmp_path, level, written, growth, coverage):
    guards = f"guards: {{{written}}}"
    texts = {
        "top": HEAD + guards + "\n" + AWS,
        "feed": HEAD.replace("{}", f"{{{guards}}}") + AWS,
        "target": HEAD + AWS + f"    {guards}\n",
    }
    limits = dict(loaded(tmp_path, texts[level]).targets[0].limits)["qatech"]
    assert (limits.max_growth, (limits.max_coverage_v4, limits.max_coverage_v6)) == (growth, coverage)
    jsonschema.validate(yaml.safe_load(texts[level]), config.schema())


def test_static_alone_is_enough_and_doubles_count_once(tmp_path):
    text = AWS.replace("feed: qatech", "static: [1.2.3.4, 1.2.3.4/32, '2001:db8::1']")
    (web,) = loaded(tmp_path, HEAD + text).targets
    assert web.feeds == ()
    assert web.static == networks("1.2.3.4/32", "2001:db8::1/128")
    (web,) = loaded(tmp_path, with_target("feed: [qatech, qatech]")).targets
    assert (web.feeds, len(web.limits)) == (("qatech",), 1)


def test_paths_are_kept_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ca.pem").write_text("")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    made = loaded(folder, HEAD.replace("{}", "{ca_file: ca.pem}") + AWS + "audit: {path: log/a.jsonl}\n")
    assert (made.feeds[0].ca_file, made.audit_path) == ("ca.pem", "log/a.jsonl")
    assert loaded(folder, HEAD + AWS + "audit: {path: '-'}\n").audit_path == "-"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8/x", "http://localhost/x", "http://[::1]:8/x", "https://a.example/x"]
)
def test_urls_that_need_no_excuse(tmp_path, url):
    assert loaded(tmp_path, HEAD.replace("{}", f"{{url: '{url}'}}") + AWS).feeds[0].url == url


def test_plain_http_with_an_excuse_and_text_feeds(tmp_path):
    head = HEAD + "  lab:\n    url: http://lab.example/x\n    insecure: true\n    format: text\n    timeout: 2.5\n"
    _, lab = loaded(tmp_path, head + AWS).feeds
    assert (lab.insecure, lab.format, lab.select, lab.timeout) == (True, "text", None, 2.5)
    plain = HEAD + "  lab: {url: 'https://lab.example/x', max_bytes: 4096}\n"
    _, lab = loaded(tmp_path, plain + AWS).feeds
    assert (lab.select, lab.max_bytes) == ("@", 4096)


@pytest.mark.parametrize("region", ["eu-north-1", "us-gov-west-1", "us-iso-east-1", "ap-southeast-7", "eusc-de-east-1"])
def test_regions(tmp_path, region):
    assert loaded(tmp_path, HEAD + AWS.replace("eu-north-1", region)).targets[0].where.region == region


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("443/TCP", "443/tcp"),
        ("tcp:443", "443/tcp"),
        ("tcp/443", "443/tcp"),
        ("443:tcp", "443/tcp"),
        ("TCP/8000-8100", "8000-8100/tcp"),
        ("Udp:53", "53/udp"),
        ("0-65535/tcp", "0-65535/tcp"),
        ("tcp:0-65535", "0-65535/tcp"),
        ("0443/tcp", "443/tcp"),
        ("ICMP", "icmp"),
        ("icmp6", "icmpv6"),
        ("ipv6-icmp", "icmpv6"),
        ("ALL", "all"),
    ],
)
def test_ports_as_other_tools_write_them(tmp_path, written, meant):
    for text in (
        HEAD + AWS.replace("443/tcp, 8000-8100/tcp", written),
        HEAD + "targets:\n" + GCP.replace("443/tcp", written),
    ):
        assert [str(s) for s in loaded(tmp_path, text).targets[0].services] == [meant]


def test_sctp_is_for_gcp(tmp_path):
    text = "targets:\n" + GCP.replace("443/tcp", "443/tcp, 22/sctp, icmp, icmpv6")
    (edge,) = loaded(tmp_path, HEAD + text).targets
    assert [str(s) for s in edge.services] == ["443/tcp", "22/sctp", "icmp", "icmpv6"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file must hold keys"),
        ("- 1\n", "the file must hold keys"),
        ("a: [", "not YAML"),
        ("a: 1\na: 2\n", "2: a: this key stands here twice"),
        ("a: &x [1]\nb: *y\n", "2: not YAML: "),
        ("a: 1\n---\na: 1\n", "2: not YAML: a second document begins here (---); keep one in a file"),
        ("a: b\n\tc: d\n", "2: not YAML: found a tab"),
        ("a:\n\t- b\n", "2: not YAML: found character that cannot start any token; indent with spaces, not with tabs"),
        ("a: 1\nb: \x01\n", "not YAML"),
        ("a: &a [*a]\n", "nested too deeply"),
        ("a: " + "[" * 5000, "1: not a config: it is nested too deeply"),
        ("[" * 1_000_000, "nested too deeply"),
        ("- " * 500_000, "nested too deeply"),
        ("{a: " * 200_000, "nested too deeply"),
        ("? " * 500_000, "nested too deeply"),
        (("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e]\n"), "too many values"),
        ("? [&a [x,x,x,x,x,x,x,x,x]" + "".join(f", &{n} [{f'*{m},' * 9}]" for m, n in pairwise("abcdefghij")) + "]\n: 1\n",
         "1: a key must be a plain word"),
        ("x: &x {" + "".join(f"k{i}: 1, " for i in range(1000)) + "}\ny: {<<: [" + "*x," * 1000 + "]}\n", "too many values"),
        ("x: &x {a: 1}\ny: {<<: *x, <<: *x}\n", "2: not a config: << stands twice in one place"),
    ],
)  # fmt: skip
def test_what_is_no_config_at_all(tmp_path, text, words):
    assert any(words in line for line in complaints(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="name another with -c PATH"):
        config.load(tmp_path / "none.yaml", {})
    (tmp_path / "x").write_bytes(b"a: 1\nb: \xff")
    with pytest.raises(ConfigError, match=r"x:2: not UTF-8"):
        config.load(tmp_path / "x", {})
    (tmp_path / "big").write_bytes(b"#" * 2_000_000)
    with pytest.raises(ConfigError, match="too many"):
        config.load(tmp_path / "big", {})


def test_the_digest_tells_configs_apart(tmp_path):
    first, second = (loaded(tmp_path, HEAD + AWS), loaded(tmp_path, HEAD + "# a comment\n" + AWS))
    assert re.fullmatch("sha256:[0-9a-f]{64}", first.digest)
    assert first.digest == second.digest
    assert loaded(tmp_path, HEAD + AWS + GCP).digest != first.digest


def test_the_digest_covers_secrets_but_is_not_made_of_them(tmp_path, monkeypatch):
    text = HEAD.replace("{}", '{headers: {a: "${T}"}}') + AWS
    text = text.replace(
        "    ports", "    account: {role_arn: 'arn:aws:iam::111122223333:role/i', external_id: t0pId}\n    ports"
    )
    hashed = []
    monkeypatch.setattr(
        config, "digest", lambda value, made=config.digest: hashed.append(json.dumps(value)) or made(value)
    )
    text += "audit: {hmac_key: t0pKey, hmac_keys_before: [t0pOld]}\n"
    first = loaded(tmp_path, text, {"T": "t0pA"}).digest
    assert "t0p" not in hashed[-1]
    assert loaded(tmp_path, text, {"T": "t0pB"}).digest != first
    assert loaded(tmp_path, text.replace("t0pKey", "t0pK"), {"T": "t0pA"}).digest != first
    assert loaded(tmp_path, text, {"T": "t0pA"}).digest == first


def test_the_schema_accepts_what_loads_and_refuses_what_does_not():
    schema = json.loads(json.dumps(config.schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    good = yaml.safe_load(HEAD + AWS + GCP)
    jsonschema.validate(good, schema)
    jsonschema.validate(yaml.safe_load(FULL), schema)
    jsonschema.validate({**good, "schedule": {"jitter": 0}}, schema)  # 0 needs no unit
    jsonschema.validate({**good, "owner": "${WHO}"}, schema)  # before variables are filled in
    wrong = [
        {**good, "typo": 1},
        {**good, "owner": "A!"},
        {**good, "removal": {"grace": "soon"}},
        {**good, "version": 2},
    ]
    wrong += [{**good, "guards": {"empty": {}}}, replaced(good, ("targets", 0, "ports", 0), "443")]
    wrong += [replaced(good, ("targets", 0, "groups", 0), "x"), replaced(good, ("targets", 1, "kind"), "x")]
    for one in wrong:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(one, schema)


def test_the_schema_describes_every_key():
    schema = config.schema()
    models = [schema, *(d for d in schema["$defs"].values() if d.get("properties"))]
    bare = [key for model in models for key, node in model["properties"].items() if not node.get("description")]
    assert bare == []
    assert len(models) == 26


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("null", None),
        ("0.0.0.0:9464", ("0.0.0.0", 9464)),
        ("localhost:0", ("localhost", 0)),
        ('"[::1]:9464"', ("::1", 9464)),
        ('"[0:0::1]:65535"', ("::1", 65535)),
    ],
)
def test_where_to_listen(tmp_path, written, read):
    assert loaded(tmp_path, f"{HEAD}{AWS}listen: {written}\n").listen == read


@pytest.mark.parametrize("page", ["README.md", "docs/aws.md", "docs/gcp.md", "docs/config.md"])
def test_whole_examples_in_the_pages_load(tmp_path, page):
    text = (Path(__file__).parents[2] / page).read_text()
    whole = [b for b in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if b.lstrip().startswith("version:")]
    for block in whole:
        assert loaded(tmp_path, block, {"CDN_TOKEN": "x", "IPSYNC_AUDIT_KEY": "x"}).targets
    assert whole or page in {"docs/aws.md", "docs/gcp.md"}


def test_the_deployed_example_loads(tmp_path):
    text = (Path(__file__).parents[2] / "deploy/kubernetes/base/ipsync.yaml").read_text()
    assert loaded(tmp_path, text).owner == "acme-prod"


def test_importing_it_stays_cheap():
    script = "import sys, ipsync.config; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert {"pydantic", "yaml"} <= set(found)
    assert not {"jmespath", "requests", "boto3", "botocore", "google", "click", "difflib"} & set(found)


yamlish = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["version", "owner", "feeds", "targets", "qatech", "kind", "guards", "ports", "name", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=200)
@given(
    where=st.sampled_from([*leaves(yaml.safe_load(FULL)), ("targets", 0), ("feeds", "qatech"), ("guards",)]),
    value=yamlish,
)
def test_nor_does_garbage_in_one_place_of_a_good_file(tmp_path_factory, where, value):
    path = tmp_path_factory.mktemp("g") / "c.yaml"
    path.write_text(yaml.safe_dump(replaced(yaml.safe_load(FULL), where, value)))
    with pytest.raises(ConfigError):  # its ca_file never exists
        config.load(path, {})


@settings(max_examples=150)
@given(value=yamlish, noise=st.text(max_size=20))
def test_no_garbage_crashes_with_anything_but_a_config_error(tmp_path_factory, value, noise):
    path = tmp_path_factory.mktemp("g") / "c.yaml"
    for text in (yaml.safe_dump(value), yaml.safe_dump(value) + noise, noise):
        path.write_text(text, encoding="utf-8", errors="replace")
        with pytest.raises(ConfigError):
            config.load(path, {})
