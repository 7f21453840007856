"""What the fuzzers begin with: sound feeds and configs, and words that mean something in them."""

from __future__ import annotations

import re

from proof import ROOT


def _words(text: str) -> list[str]:
    return text.split()


ADDRESSES = _words("""
8.8.8.8 1.1.1.0/24 2600::1 2600:1f14::/32 0.0.0.0/0 ::/0 ::ffff:8.8.8.8 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 1::8 :: 01.2.3.4
1.2.3.4/32 1.2.3.4/24 1.2.3.4/032 1.2.3.4/255.0.0.0 fe80::1%eth0 64:ff9b::1.2.3.4 2600::1/128 2600::1/129 1.2.3 1.2.3.4.5
""")
JSON_WORDS = [
    *(f'"{text}"' for text in ADDRESSES),
    *_words(
        '"ipAddresses" "prefixes" "ip" "\\u0038.8.8.8" "\\ud83d" {} [] [[]] null true NaN Infinity -0 1e999 167772161'
    ),
]
FEEDS = [
    b'\x02{"ipAddresses": ["8.8.8.8", "1.1.1.0/24", "2600::1"]}',
    b'\x02{"a": {"b": [1, -2.5e3, true, null, "\\u00e9\\n"]}, "ipAddresses": []}',
    b'\x01["8.8.8.8", "2600:1f14:1234::/48", "64:ff9b::1.2.3.4"]',
    b'\x03{"prefixes": [{"ip": "8.8.8.8", "s": "E"}, [{"ip": "1.1.1.1"}], {"ip": null}, 3], "t": 1}',
    b"\x00# ours\n8.8.8.8  # one\r\n\n\t1.1.1.0/24 \n2600::1\n1:2:3:4:5:6:7::\n",
]


CONFIG_WORDS = [
    *ADDRESSES,
    *_words(
        "0 1 010 0x10 1.5 1:30 .inf 1e3 yes no on null ~ true 2026-01-31 = << *a &a !!str !!int !!binary ${TOKEN} $${X} ${EMPTY}"
    ),
    *_words(
        "0s 1s 9s 10s 15m 72h 1d12h never 400d 443/tcp 8000-8100/tcp 53/udp 22/sctp icmp icmpv6 all 0/tcp 90-80/tcp tcp:443 443/TCP 0-65535/tcp icmp6 16x/48 /14"
    ),
    *_words(
        "qatech cdn static web edge allow-qatech allow-qatech-v6 allow-qatech-2 sg-0123456789abcdef0 eu-north-1 text json"
    ),
    *_words(
        "aws-security-group gcp-firewall https://a.example http://127.0.0.1:1 http://a.example {} [] [a] {a:1} '' '0' 5MiB"
    ),
    *_words(
        "feeds: targets: feed: static: ports: groups: match: guards: jitter: every: grace: timeout: select: format:"
    ),
]
FULL = b"""\
version: 1
owner: acme-prod
feeds:
  qatech: {timeout: 3s, max_bytes: 1MiB, headers: {Authorization: "Bearer ${TOKEN}"}}
  cdn:
    url: https://feeds.example.com/ranges.json
    format: json
    select: "prefixes[?service=='EDGE'].ip_prefix"
    allow_special_use: [10.0.0.0/8]
    guards: {max-addresses: 50, min-prefix: {ipv4: 20, ipv6: 48}, max-coverage: {ipv4: /12, ipv6: 2x/32}}
  lab:
    url: http://lab.example/x
    insecure: true
    format: text
    timeout: 2.5
removal:
  grace: never
guards:
  max-removals: {count: 2, percent: 10}
  max-additions: {percent: 60}
  max-growth: {ipv4: 100, percent: 300}
targets:
  - &web
    name: web
    kind: aws-security-group
    feed: [qatech, cdn]
    region: eu-north-1
    account: {role_arn: "arn:aws:iam::111122223333:role/ipsync", external_id: x}
    match: {tags: {allow-qatech: "true"}, vpc: vpc-0123456789abcdef0}
    ports: [443/tcp, 8000-8100/tcp, icmp]
    static: [198.51.100.7/32, "${CIDR}", "2600::1"]
    remove_first: true
  - <<: *web
    name: two
    ports: [all]
  - name: edge
    kind: gcp-firewall
    feed: qatech
    project: acme-staging
    network: default
    rule: allow-qatech
    ports: [443/tcp, 22/sctp]
    target_tags: [web]
    priority: 900
    max_ranges: 100
  - name: far
    kind: gcp-firewall
    static: [8.8.8.0/24]
    project: acme-staging
    rule: other
    ports: [53/udp]
    target_service_accounts: [web@acme-staging.iam.gserviceaccount.com]
audit: {path: ./audit.jsonl, hmac_key: "${TOKEN}", objects: "s3://bucket/prefix"}
schedule: {every: 15m, jitter: 60s}
aws: {endpoint_url: null}
gcp: {endpoint: "http://127.0.0.1:1"}
"""


def configs() -> list[bytes]:
    """Return every whole config of the documentation, and one with every section."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    blocks = [b for p in pages for b in re.findall(rb"```yaml\n(.*?)```", p.read_bytes(), re.DOTALL)]
    whole = [b for b in blocks if b"version: 1" in b]
    return [FULL, *whole, (ROOT / "deploy/kubernetes/base/ipsync.yaml").read_bytes()]
