"""The JSON Schema is as strict as the tool: what an editor passes loads, as far as JSON Schema can say it.

Each document is one change to a sound one, judged by both.
"""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsync import config

GOOD = """\
version: 1
owner: acme-prod
feeds:
  qatech: {}
  cdn: {url: "https://feeds.example/x"}
targets:
  - {name: web, kind: aws-security-group, feed: qatech, region: eu-north-1, groups: [sg-0123456789abcdef0], ports: [443/tcp]}
  - {name: edge, kind: gcp-firewall, feed: [qatech, cdn], project: acme-staging, rule: allow-qatech, ports: [443/tcp]}
  - {name: many, kind: aws-security-group, feed: qatech, regions: [eu-north-1], accounts: [{profile: a}], match: {tags: {a: b}}, ports: [443/tcp]}
  - {name: listed, kind: gcp-firewall, feed: qatech, projects: {folder: "1"}, rule: other, ports: [443/tcp]}
"""
VALIDATOR = jsonschema.Draft202012Validator(config.schema())
GONE = ...  # stands for a key that is taken out; its name is the same in every process


def changed(path: str, value: object, *, read: bool = True) -> dict:
    """Return the sound document with another value (as YAML) at a path (`targets/0/ports`), or without it."""
    document = yaml.safe_load(GOOD)
    inner = document
    *steps, last = (int(s) if s.isdigit() else s for s in path.split("/"))
    for step in steps:
        inner = inner.setdefault(step, {}) if isinstance(inner, dict) else inner[step]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = yaml.safe_load(value) if isinstance(value, str) and read else value
    return document


def loads(document: dict, folder: Path) -> bool:
    path = folder / "ipsync.yaml"
    path.write_text(yaml.safe_dump(document))
    try:
        config.load(path, {"A": "x"})
    except config.ConfigError:
        return False
    return True


AWS, GCP, FEED = "targets/0", "targets/1", "feeds/cdn"
MANY, LISTED = "targets/2", "targets/3"
REFUSED = [
    # what the field showed
    ("removal/grace", "72"),
    (f"{AWS}/match", "{tags: {a: b}}"),
    ("feeds/cdn", "{}"),
    ("feeds/cdn", "{format: text}"),
    ("feeds/cdn", "null"),
    ("feeds/cdn", "{url: null}"),
    (f"{AWS}/ports", "[22/sctp]"),
    (f"{AWS}/ports", "['SCTP:22']"),
    # durations and sizes
    ("removal/grace", "72 hours"),
    ("removal/grace", "1"),
    ("removal/grace", "1.5"),
    ("removal/grace", "true"),
    ("removal/grace", "always"),
    ("schedule/every", "900"),
    ("schedule/every", "9s"),
    ("schedule/every", "0s"),
    ("schedule/jitter", "60"),
    ("listen", "9464"),
    ("listen", "':9464'"),
    ("listen", "127.0.0.1"),
    ("listen", "127.0.0.1:65536"),
    ("listen", "300.0.0.1:1"),
    ("listen", "a.example:1"),
    ("listen", "'::1:9464'"),
    (f"{FEED}/timeout", "0"),
    (f"{FEED}/timeout", "601"),
    (f"{FEED}/timeout", "0s"),
    (f"{FEED}/timeout", "601s"),
    (f"{FEED}/timeout", "11m"),
    (f"{FEED}/timeout", "1h"),
    (f"{FEED}/timeout", "-1"),
    (f"{FEED}/max_bytes", "0"),
    (f"{FEED}/max_bytes", "0MiB"),
    (f"{FEED}/max_bytes", "101MiB"),
    (f"{FEED}/max_bytes", "5 MiB"),
    (f"{FEED}/max_bytes", "5MB"),
    (f"{FEED}/max_bytes", "1000000000"),
    # feeds
    (f"{FEED}/url", "http://feeds.example/x"),
    (f"{FEED}/url", "HTTP://feeds.example/x"),
    (f"{FEED}/url", "http://localhost.example/x"),
    (f"{FEED}/url", "https://me:pw@feeds.example/x"),
    (f"{FEED}/url", "https://feeds.example/a b"),
    (f"{FEED}/url", "https://feeds.example:0/"),
    (f"{FEED}/url", "https://feeds.example:65536/"),
    (f"{FEED}/url", "https://feeds.example:x/"),
    (f"{FEED}/url", "https:///x"),
    (f"{FEED}/url", "ftp://feeds.example/x"),
    (f"{FEED}/url", "feeds.example/x"),
    (f"{FEED}/url", "''"),
    (f"{FEED}/format", "csv"),
    (f"{FEED}", "{url: 'https://a.example', format: text, select: a}"),
    (f"{FEED}/select", "''"),
    (f"{FEED}/headers", "{Host: a}"),
    (f"{FEED}/headers", "{hOST: a}"),
    (f"{FEED}/headers", "{Accept-Encoding: gzip}"),
    (f"{FEED}/headers", "{a b: a}"),
    (f"{FEED}/headers", "{a: ''}"),
    (f"{FEED}/headers", "{a: ' x'}"),
    (f"{FEED}/headers", "{a: 1}"),
    (f"{FEED}/ca_file", "~/ca.pem"),
    (f"{FEED}/insecure", "1"),
    (f"{FEED}/allow_special_use", "[10.0.0.0/33]"),
    (f"{FEED}/allow_special_use", "10.0.0.0/8"),
    (f"{FEED}/aggregate", "true"),
    ("feeds/static", "{url: 'https://a.example'}"),
    ("feeds/a b", "{url: 'https://a.example'}"),
    # guards
    ("guards", "{empty: {}}"),
    ("guards", "{max-addresses: 0}"),
    ("guards", "{max-removals: 30}"),
    ("guards", "{max-removals: {percent: 101}}"),
    ("guards", "{max-growth: {ipv4: /33}}"),
    ("guards", "{max-growth: {ipv4: -1}}"),
    ("guards", "{max-growth: {percent: 1.5}}"),
    ("guards", "{max-coverage: {ipv6: /129}}"),
    ("guards", "{max-coverage: {ipv4: 4294967297}}"),
    ("guards", "{max-coverage: {ipv4: a lot}}"),
    ("guards", "{max_growth: {}}"),
    # targets
    ("targets", "[]"),
    (f"{AWS}/name", "static"),
    (f"{AWS}/name", "a;b"),
    (f"{AWS}/kind", "aws-sg"),
    (f"{AWS}/kind", GONE),
    (f"{AWS}/feed", GONE),
    (f"{AWS}/feed", "[]"),
    (f"{AWS}/groups", GONE),
    (f"{AWS}/groups", "[]"),
    (f"{AWS}/groups", "[sg-xyz]"),
    (f"{AWS}/rule", "x"),
    (f"{AWS}/swap", "1"),
    (f"{AWS}/region", "europe"),
    (f"{AWS}/account", "{external_id: x}"),
    (f"{AWS}/account", "{role_arn: null, external_id: x}"),
    # many places
    (f"{AWS}/region", GONE),
    (f"{AWS}/regions", "[us-east-1]"),  # beside region, and with groups
    (f"{MANY}/regions", "[]"),
    (f"{MANY}/regions", "us-east-1"),
    (f"{MANY}/regions", "all"),
    (f"{MANY}/regions", "[europe]"),
    (f"{MANY}/region", "us-east-1"),
    (f"{MANY}/account", "{profile: a}"),
    (f"{MANY}/match", GONE),
    (f"{MANY}/accounts", "[]"),
    (f"{MANY}/accounts", "[{external_id: x}]"),
    (f"{MANY}/accounts", "[{organization: {ou: ou-ab12-11112222}}]"),
    (f"{MANY}/accounts", "[{organization: {role: i}, profile: a}]"),
    (f"{MANY}/accounts", "[{organization: {role: i}, external_id: x}]"),
    (f"{MANY}/accounts", "[{organization: {role: i, ou: ou-1}}]"),
    (f"{MANY}/accounts", "[{organization: {role: 'a b'}}]"),
    (f"{MANY}/accounts", "[{organization: {role: i, tags: {'': x}}}]"),
    (f"{GCP}/project", GONE),
    (f"{GCP}/projects", "[acme-prod]"),  # beside project
    (f"{LISTED}/projects", "{}"),
    (f"{LISTED}/projects", "[]"),
    (f"{LISTED}/projects", "acme-prod"),
    (f"{LISTED}/projects", "{labels: {}}"),
    (f"{LISTED}/projects", "{folder: 123}"),
    (f"{LISTED}/projects", "{folder: folders/1}"),
    (f"{LISTED}/projects", "{folder: '1', labels: {Env: a}}"),
    (f"{LISTED}/projects", "{labels: {env: A}}"),
    (f"{LISTED}/projects", "{folder: '1', parent: x}"),
    # networks
    (f"{AWS}/static", "[0.0.0.0/0]"),
    (f"{AWS}/static", "['::/0']"),
    (f"{AWS}/static", "[1.2.3.4/33]"),
    (f"{AWS}/static", "[256.2.3.4]"),
    (f"{AWS}/static", "[1.2.3.04]"),
    (f"{AWS}/static", "[1.2.3]"),
    (f"{AWS}/static", "['2600::/129']"),
    (f"{AWS}/static", "[1.2.3.4 - 1.2.3.5]"),
    (f"{AWS}/static", "[a.example]"),
    (f"{AWS}/ports", "[]"),
    (f"{AWS}/ports", "[443]"),
    (f"{AWS}/ports", "[tcp]"),
    (f"{AWS}/ports", "[0/tcp]"),
    (f"{AWS}/ports", "[65536/tcp]"),
    (f"{AWS}/ports", "[1-65536/tcp]"),
    (f"{AWS}/ports", "[443/icmp]"),
    (f"{AWS}/ports", "[443/tcp, 443/tcp]"),
    (f"{AWS}/ports", "[all, 443/tcp]"),
    (f"{AWS}/ports", "[icmp, ALL]"),
    (f"{AWS}/ports", "443/tcp"),
    (f"{GCP}/ports", "[443/tcp, 443/tcp]"),
    (f"{GCP}/ports", "[all, icmp]"),
    (f"{GCP}/rule", "Allow"),
    (f"{GCP}/rule", "a" * 57),
    (f"{GCP}/rule", GONE),
    (f"{GCP}/project", "Acme"),
    (f"{GCP}/groups", "[sg-0123456789abcdef0]"),
    (f"{GCP}/priority", "65536"),
    (f"{GCP}/max_ranges", "0"),
    (f"{GCP}", "{name: e, kind: gcp-firewall, project: acme-staging, rule: a, ports: [icmp]}"),
    ("targets/0/match", "{tags: {}}"),
    # the rest
    ("version", "2"),
    ("version", "'1'"),
    ("owner", "Acme!"),
    ("owner", GONE),
    ("audit/path", "''"),
    ("audit/path", "~/a"),
    ("audit/hmac_key", "''"),
    ("audit/objects", "ftp://bucket"),
    ("aws/endpoint_url", "http://emulator.example"),
    ("aws/endpoint_url", "localhost:4566"),
    ("gcp/endpoint", "http://127.0.0.1.example/"),
    ("notify", "[{on: [failed]}]"),
    ("notify", "[{webhook: 'https://a.example', slack: 'http://localhost/x'}]"),
    ("notify", "[{webhook: 'http://a.example'}]"),
    ("notify", "[{webhook: 'https://a.example', on: [faild]}]"),
    ("notify", "[{webhook: 'https://a.example', on: []}]"),
    ("notify", "[{webhook: 'https://a.example', remind_every: 59s}]"),
    ("notify", "[{slack: 'https://hooks.slack.com/services/T0/B0'}]"),
    ("notify", "[{slack: 'https://a.example/services/T0AB/B0CD/abcdefgh'}]"),
    ("notify", "[{command: page}]"),
    ("notify", "[{command: []}]"),
    ("notify", "[{command: [page], secret: x}]"),
    ("notify", "{command: [page]}"),
    (f"{FEED}/max_unchanged_age", "30"),
    (f"{FEED}/max_unchanged_age", "0s"),
    ("typo", "1"),
]


@pytest.mark.parametrize(("path", "value"), REFUSED, ids=str)
def test_what_the_tool_refuses_the_schema_refuses(tmp_path, path, value):
    document = changed(path, value)
    assert not loads(document, tmp_path)
    assert not VALIDATOR.is_valid(document)


def test_tags_and_accounts_of_a_gcp_rule_exclude_each_other_there_too(tmp_path):
    document = changed(f"{GCP}/target_tags", "[web]")
    assert VALIDATOR.is_valid(document)
    document["targets"][1]["target_service_accounts"] = ["a@b.c"]
    assert not loads(document, tmp_path)
    assert not VALIDATOR.is_valid(document)


def test_an_old_name_beside_the_new_one_is_refused_there_too(tmp_path):
    document = changed(f"{AWS}/swap", "true")
    document["targets"][0]["remove_first"] = True
    assert not loads(document, tmp_path)
    (error,) = VALIDATOR.iter_errors(document)
    assert list(error.absolute_path) == ["targets", 0, "swap"]


TAKEN = [
    ("notify", "[{webhook: 'http://user:pw@127.0.0.1/x'}, {webhook: 'https://user:p@w@a.example/x'}]"),
    ("owner", "acme"),
    ("removal/grace", "72h"),
    ("removal/grace", "0"),
    ("removal/grace", "never"),
    ("removal/grace", "1d12h"),
    ("schedule", "{every: 10s, jitter: 0}"),
    ("listen", "null"),
    ("listen", "127.0.0.1:0"),
    ("listen", "localhost:65535"),
    ("listen", "'[::]:9464'"),
    (f"{FEED}/timeout", "2.5"),
    (f"{FEED}/timeout", "10m"),
    (f"{FEED}/timeout", "600s"),
    (f"{FEED}/timeout", "1m30s"),
    (f"{FEED}/max_bytes", "4096"),
    (f"{FEED}/max_bytes", "100MiB"),
    (f"{FEED}/url", "http://localhost:8080/x"),
    (f"{FEED}/url", "http://[::1]/x"),
    (f"{FEED}/url", "HTTPS://a.example"),
    (f"{FEED}/url", "https://[2600::1]:8443/x?y=z#w"),
    (f"{FEED}", "{url: 'http://lab.example', insecure: true, format: text, select: null}"),
    (f"{FEED}/headers", "{Authorization: Bearer x, X-A: 'a b'}"),
    ("feeds/qatech", "null"),
    ("feeds/qatech", "{timeout: 3s}"),
    ("feeds/qatech", "{url: null}"),
    ("guards", "{max-growth: {ipv4: 4096, ipv6: 16x/48, percent: 200}, max-coverage: {ipv4: /12, ipv6: '20 x /32'}}"),
    (f"{AWS}/static", "[1.2.3.4, 1.2.3.4/32, '2600::1', '2600::/32', '::ffff:1.2.3.4']"),
    (f"{AWS}/ports", "[all]"),
    (f"{AWS}/ports", "[ALL]"),
    (f"{AWS}/ports", "[443/TCP, 'tcp:80', tcp/81, '53:udp', 8000-8100/Udp, 'UDP:1-9']"),
    (f"{AWS}/ports", "[0-65535/tcp, icmp, icmp6]"),
    (f"{AWS}/ports", "[ICMP, ipv6-icmp]"),
    (f"{GCP}/ports", "[22/sctp, 'sctp:23', icmp, icmpv6]"),
    (f"{AWS}/account", "{role_arn: 'arn:aws:iam::111122223333:role/i', external_id: x}"),
    (f"{AWS}/match", "null"),
    (f"{AWS}/regions", "null"),
    (f"{AWS}/accounts", "null"),
    (f"{MANY}/regions", "enabled"),
    (f"{MANY}/accounts", "null"),
    (f"{MANY}/accounts", "[{}, {profile: a}, {organization: {role: ops/i, tags: {a: ''}, external_id: x}}]"),
    (f"{MANY}/accounts", "[{organization: {role: i, ou: r-ab12}}, {organization: null}]"),
    (f"{LISTED}/projects", "[acme-prod, acme-staging]"),
    (f"{LISTED}/projects", "{folder: '123', labels: {env: prod}}"),
    (f"{LISTED}/projects", "{labels: {a_b-1: ''}}"),
    (f"{AWS}/remove_first", "true"),
    (f"{AWS}/swap", "true"),
    (f"{GCP}/target_service_accounts", "[a@b.c]"),
    ("aws/endpoint_url", "http://localhost:4566"),
    ("gcp/endpoint", "https://emulator.example/"),
    ("audit/path", "'-'"),
]


@pytest.mark.parametrize(("path", "value"), TAKEN, ids=str)
def test_what_the_tool_takes_the_schema_takes(tmp_path, path, value):
    document = changed(path, value)
    assert loads(document, tmp_path)
    VALIDATOR.validate(document)


BEYOND = [
    ("schedule", "{every: 30s}"),  # what differs between two keys
    (f"{AWS}/feed", "nope"),
    (f"{GCP}/name", "web"),
    (f"{AWS}/static", "[1.2.3.4/24]"),  # arithmetic
    (f"{AWS}/ports", "[90-80/tcp]"),
    (f"{AWS}/ports", "[1-90/tcp, 80/tcp]"),
    ("removal/grace", "400d"),
    (f"{FEED}/select", "nope(@)"),  # a language of its own
    (f"{FEED}/ca_file", "/no/such"),  # the file system
]


@pytest.mark.parametrize(("path", "value"), BEYOND, ids=str)
def test_what_json_schema_cannot_say_is_known(tmp_path, path, value):
    """A list to be looked at when it changes: these are left to the tool alone."""
    document = changed(path, value)
    assert not loads(document, tmp_path)
    assert VALIDATOR.is_valid(document)


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (f"{AWS}/region", "europe", ["targets", 0, "region"]),
        (f"{AWS}/groups", "[sg-xyz]", ["targets", 0, "groups", 0]),
        (f"{AWS}/ports", "[22/sctp]", ["targets", 0, "ports", 0]),
        (f"{GCP}/priority", "high", ["targets", 1, "priority"]),
        (f"{AWS}/kind", "aws-sg", ["targets", 0, "kind"]),
        (f"{FEED}/timeout", "0", ["feeds", "cdn", "timeout"]),
    ],
)
def test_an_error_stands_at_its_key(path, value, place):
    (error,) = VALIDATOR.iter_errors(changed(path, value))
    assert list(error.absolute_path) == place


def test_a_typo_inside_a_target_is_named_alone():
    (error,) = VALIDATOR.iter_errors(changed(f"{AWS}/grops", "[]"))
    assert "'grops' was unexpected" in error.message


@pytest.mark.parametrize(
    "key", ["owner", f"{FEED}/url", f"{AWS}/region", f"{AWS}/ports", "removal/grace", "audit/path"]
)
def test_a_variable_may_stand_anywhere(key):
    value = ["${A}"] if "ports" in key else "${A}"
    VALIDATOR.validate(changed(key, value))


spans = st.from_regex(r"(?:[0-9]{1,4}[smhdw]){1,3}", fullmatch=True)
sizes = st.from_regex(r"[0-9]{1,10}(?:B|KiB|MiB)?", fullmatch=True)
ports = st.from_regex(
    r"(?:[0-9]{1,5}(?:-[0-9]{1,5})?[/:](?:tcp|udp)|(?:tcp|UDP)[/:][0-9]{1,6}|[a-z]{1,6})", fullmatch=True
)
cidrs = st.from_regex(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?:/[0-9]{1,2})?", fullmatch=True)
amounts = st.from_regex(r"[0-9]{1,11}|(?:[0-9]{1,4} ?x ?)?/[0-9]{1,3}", fullmatch=True)
urls = st.from_regex(r"https?://[a-z:@\[\]./?# ]{1,12}", fullmatch=True)
WHERE = st.one_of(
    st.tuples(st.sampled_from(["removal/grace", f"{FEED}/timeout", "schedule/every"]), spans),
    st.tuples(st.just(f"{FEED}/max_bytes"), sizes),
    st.tuples(st.just(f"{AWS}/ports"), ports.map(lambda p: [p])),
    st.tuples(st.just(f"{AWS}/static"), cidrs.map(lambda c: [c])),
    st.tuples(st.just("guards/max-coverage"), amounts.map(lambda a: {"ipv4": a})),
    st.tuples(st.just(f"{FEED}/url"), urls),
)


@settings(max_examples=300, deadline=None)
@given(WHERE)
def test_the_schema_refuses_nothing_that_the_tool_takes(tmp_path_factory, change):
    document = changed(*change, read=False)
    if loads(document, tmp_path_factory.mktemp("s")):
        VALIDATOR.validate(document)
