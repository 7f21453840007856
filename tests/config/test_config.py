"""The config: what is right loads, what is wrong says file, line, key and what would be right, all at once."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml
from factory import networks
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsync import config
from ipsync.config import ConfigError
from ipsync.model import AwsGroups, GcpRule, Service, Threshold

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
    swap: true
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
audit: {path: ./audit.jsonl, hmac_key: "${KEY}"}
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


@pytest.mark.parametrize(
    ("text", "hours"), [("72h", 72), ("0s", 0), ("3d", 72), ("1d12h", 36), ("90m", 1.5), ("1w", 168)]
)
def test_durations(tmp_path, text, hours):
    assert loaded(tmp_path, HEAD + f"removal: {{grace: {text}}}\n" + AWS).grace == timedelta(hours=hours)


WRONG = [
    ("owner: acme", "owner: Acme!", r"2: owner: is not an owner: 1 to 32"),
    ("owner: acme-prod", "owner: no", r"2: owner: must be a text; YAML reads it as something else"),
    ("owner: acme-prod\n", "", r"1: owner: is required"),
    ("version: 1", "version: 2", r"1: version: must be 1"),
    ("feeds:", "fedes:", r"3: fedes: unknown key; did you mean feeds\?"),
    ("qatech: {}", "qatech: {timeot: 3s}", r"4: feeds.qatech.timeot: unknown key; did you mean timeout\?"),
    ("qatech: {}", "qatech: {timeout: 3 s}", r"4: feeds.qatech.timeout: is not a duration"),
    ("qatech: {}", "qatech: {max_bytes: big}", r"4: feeds.qatech.max_bytes: is not a size; write it like 5MiB"),
    ("qatech: {}", "qatech: {url: 'http://a.example'}", r"4: feeds.qatech.url: is plain http; use https"),
    ("qatech: {}", "qatech: {url: 'https://me:pw@a.example'}", r"4: feeds.qatech.url: holds credentials"),
    ("qatech: {}", "qatech: {url: 'gopher://a'}", r"4: feeds.qatech.url: is not an https:// address"),
    ("qatech: {}", "qatech: {select: 'a[?'}", r"4: feeds.qatech.select: is not a JMESPath"),
    ("qatech: {}", "qatech: {format: text, select: a}", r"4: feeds.qatech.select: is for json feeds"),
    ("qatech: {}", "qatech: {ca_file: /no/such}", r"4: feeds.qatech.ca_file: there is no such file"),
    ("qatech: {}", "qatech: {}\n  cdn: {}", r"5: feeds.cdn: needs a url"),
    ("qatech: {}", "static: {url: 'https://a.example'}", r"4: feeds.static: is a word that ipsync uses itself"),
    ("feed: qatech", "feed: qatch", r"8: targets\[0\].feed: there is no feed qatch; the file has: qatech"),
    ("region: eu-north-1", "region: europe", r"9: targets\[0\].region: is not an AWS region; write it like"),
    ("sg-0123456789abcdef0", "sg-xyz", r"10: targets\[0\].groups\[0\]: is not a security group's id"),
    ("443/tcp", "443", r"11: targets\[0\].ports\[0\]: is not a port; write it like 443/tcp"),
    ("443/tcp", "0/tcp", r"11: targets\[0\].ports\[0\]: is not a range of ports from 1 to 65535"),
    ("443/tcp", "90-80/tcp", r"11: targets\[0\].ports\[0\]: is not a range"),
    ("443/tcp", "8050/tcp", r"11: targets\[0\].ports: .* overlap"),
    ("443/tcp", "all", r"11: targets\[0\].ports: all stands alone"),
    ("kind: aws-security-group", "kind: aws", r"6: targets\[0\]: needs a kind: aws-security-group or gcp-firewall"),
    ("name: web", "name: my web", r"6: targets\[0\].name: is not a name"),
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
        ("static: [0.0.0.0/0]", "the whole internet"),
        ("static: [1.2.3.4/24]", r"host bits set; the network would be 1.2.3.0/24"),
        ("match: {tags: {a: b}}", "needs either groups"),
        ("match: {tags: {}}", r"match.tags: must not be empty"),
        ("account: {external_id: x}", "goes with a role_arn"),
        ("account: {role_arn: x}", "is not a role's ARN"),
        ("guards: {empty: off}", "always on and has no setting"),
        ("guards: {max-removals: {percent: 101}}", "less than or equal to 100"),
        ("ports: []", "ports: must not be empty"),
        ("groups: [1234]", "must be a text; YAML reads it as something else"),
        ("feed: []", "wants nothing"),
    ],
)
def test_targets_are_checked(tmp_path, line, words):
    found = complaints(tmp_path, with_target(line))
    assert any(re.search(words, problem) for problem in found), found


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (GCP.replace("edge", "web"), r"12: targets\[1\].name: web is the name of the target on line 6 already"),
        (
            GCP + GCP.replace("edge", "two").replace("443", "80"),
            r"asks something else of rule allow-qatech than .* line 12",
        ),
        (GCP + GCP.replace("edge", "two").replace("allow-qatech", "allow-qatech-v6"), r"a name that ipsync keeps for"),
        (GCP + GCP.replace("edge", "two").replace("allow-qatech", "allow-qatech-2"), r"a name that ipsync keeps for"),
        (GCP.replace("allow-qatech", "Allow"), r"rule: is not a firewall rule's name"),
        (GCP + "    target_tags: [a]\n    target_service_accounts: [b@c]\n", "not both"),
        ("schedule: {every: 5s, jitter: 1s}\n", "shorter than 10s"),
        ("schedule: {every: 60s, jitter: 60s}\n", "jitter: must be shorter than every"),
        ("aws: {endpoint_url: 'http://emulator.example'}\n", "plain http to another machine"),
    ],
)
def test_what_concerns_more_than_one_key(tmp_path, extra, words):
    found = complaints(tmp_path, HEAD + AWS + extra)
    assert any(re.search(words, problem) for problem in found), found


def test_two_targets_may_share_a_rule_that_they_agree_on(tmp_path):
    assert len(loaded(tmp_path, HEAD + AWS + GCP + GCP.replace("edge", "two")).targets) == 3


def test_all_errors_at_once(tmp_path):
    text = (HEAD + AWS).replace("acme-prod", "${NOPE}").replace("443/tcp", "x").replace("eu-north-1", "y") + "typo: 1\n"
    found = complaints(tmp_path, text)
    assert [f.split(":")[0] for f in found] == ["2", "9", "11", "12"]
    assert "the environment variable NOPE is not set" in found[0]


def test_variables_are_filled_in_and_escaped(tmp_path):
    text = HEAD.replace("acme-prod", "${WHO}") + "audit: {path: '$${x}/${DIR}'}\n" + AWS
    made = loaded(tmp_path, text, {"WHO": "me", "DIR": "d"})
    assert (made.owner, made.audit_path) == ("me", "${x}/d")


def test_a_secret_is_not_echoed(tmp_path):
    found = complaints(tmp_path, HEAD.replace("acme-prod", "${SECRET}") + AWS, {"SECRET": "p4ss Word!"})
    assert "p4ss" not in "".join(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file must hold keys"),
        ("- 1\n", "the file must hold keys"),
        ("a: [", "not YAML"),
        ("a: 1\na: 2\n", "2: a: this key stands here twice"),
        ("a: &x [1]\nb: *y\n", "not YAML"),
        ("a: " + "[" * 5000, "not YAML"),
        (("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e]\n"), "too many values"),
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
    assert first.digest == second.digest
    assert loaded(tmp_path, HEAD + AWS + GCP).digest != first.digest


def test_the_schema_accepts_what_loads_and_knows_a_misspelt_key():
    schema = json.loads(json.dumps(config.schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    good = yaml.safe_load(HEAD + AWS + GCP)
    jsonschema.validate(good, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**good, "typo": 1}, schema)


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


@settings(max_examples=150, deadline=None)
@given(value=yamlish, noise=st.text(max_size=20))
def test_no_garbage_crashes_with_anything_but_a_config_error(tmp_path_factory, value, noise):
    path = tmp_path_factory.mktemp("g") / "c.yaml"
    for text in (yaml.safe_dump(value), yaml.safe_dump(value) + noise, noise):
        path.write_text(text, encoding="utf-8", errors="replace")
        with pytest.raises(ConfigError):
            config.load(path, {})
