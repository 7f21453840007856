"""Waves and checks in the config: what is right becomes values, what is wrong says file, line, key and what would be right."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml

from ipsync import config
from ipsync.config import ConfigError
from ipsync.core.rollout import Check, Command, TestedApplication, VendorRun, Wave

HEAD = """\
version: 1
owner: acme-prod
feeds: {qatech: {}}
targets:
  - name: web
    kind: aws-security-group
    feed: qatech
    region: eu-north-1
    groups: [sg-0123456789abcdef0]
    ports: [443/tcp]
    wave: canary
"""
WAVES = "waves:\n  - {name: canary, verify: [smoke]}\n"
SMOKE = WAVES + "verify:\n  smoke: "
TOKEN = "tok-0123456789"


def loaded(folder: Path, text: str):
    path = folder / "ipsync.yaml"
    path.write_text(HEAD + text)
    return config.load(path, {"T": TOKEN})


def test_every_key_becomes_a_value(tmp_path):
    made = loaded(
        tmp_path,
        """\
waves:
  - {name: canary, verify: [smoke, own], pause: 10m}
  - {name: rest, max-changed-targets: 500}
verify:
  smoke:
    qatech:
      url: https://qa.example/v1
      token: ${T}
      test_plan: pln_abc
      applications:
        - {application: app_a, environment: env_b, device_preset: preset_c}
        - {application: app_d, environment: {url: "https://pr.example", name: PR}}
      timeout: 5m
      rerun_failed: 2
      every: 24h
  own: {command: [/bin/reach, --staging], when: always}
""",
    )
    assert made.targets[0].wave == "canary"
    assert made.waves == (Wave("canary", ("smoke", "own"), 600.0), Wave("rest", max_changed_targets=500))
    applications = (
        TestedApplication("app_a", environment="env_b", device_preset="preset_c"),
        TestedApplication("app_d", environment_url="https://pr.example", environment_name="PR"),
    )
    run = VendorRun("https://qa.example/v1", TOKEN, "pln_abc", applications)
    assert made.checks == (
        Check("smoke", run, 300.0, 2, every=timedelta(days=1)),
        Check("own", Command(("/bin/reach", "--staging")), 300.0, when="always"),
    )
    assert TOKEN not in repr(made)


def test_what_is_left_out_has_a_default(tmp_path):
    made = loaded(tmp_path, SMOKE + "{qatech: {}}\n")
    assert made.checks == (Check("smoke", VendorRun(), 1800.0, 1),)
    plain = config.load(_plain(tmp_path), {})
    assert (plain.waves, plain.checks, plain.targets[0].wave) == ((), (), "")


def _plain(folder: Path) -> Path:
    path = folder / "plain.yaml"
    path.write_text(HEAD.replace("    wave: canary\n", ""))
    return path


WRONG = {
    "waves: [{name: canari}]\n": "11: targets[0].wave: there is no wave canary; did you mean canari?",
    "waves: []\n": "11: targets[0].wave: there is no wave canary; add it under waves",
    "waves: [{name: canary}, {name: canary}]\n": "12: waves[1].name: canary names a wave already; choose another",
    "waves: [{name: canary, verify: [smok]}]\nverify: {smoke: {qatech: {}}}\n": (
        "12: waves[0].verify[0]: there is no check smok; did you mean smoke?"
    ),
    "waves: [{name: canary, max-changed-targets: 0}]\n": "12: waves[0].max-changed-targets: must be 1 or more",
    "waves: [{name: canary, pause: 10}]\n": "12: waves[0].pause: 10 is not a duration",
    "waves: [{name: canary}]\nverify: {smoke: {qatech: {}}}\n": "13: verify.smoke: no wave asks for it; name it in",
    SMOKE + "{}\n": "15: verify.smoke: needs qatech: {…} or command: [PROGRAM]",
    SMOKE + "{qatech: {}, command: [/bin/x]}\n": "15: verify.smoke: names both qatech and command; keep one of them",
    SMOKE + "{command: []}\n": "15: verify.smoke.command: must not be empty; name at least one",
    SMOKE + "{command: /bin/x}\n": "15: verify.smoke.command: must be a list",
    SMOKE + "{qatech: {}, timeout: 5m}\n": "15: verify.smoke.timeout: is for a command; write it inside of qatech",
    SMOKE + "{command: [/x], timeout: 0s}\n": "15: verify.smoke.timeout: '0s' is no time to wait; write it like 30m",
    SMOKE + "{qatech: {when: sometimes}}\n": "15: verify.smoke.qatech.when: must be 'changed' or 'always'",
    SMOKE + "{qatech: {when: always, every: 24h}}\n": "15: verify.smoke.qatech.every: says nothing beside when: always",
    SMOKE + "{qatech: {rerun_failed: 9}}\n": "15: verify.smoke.qatech.rerun_failed: must be 3 or less",
    SMOKE + "{qatech: {test_plan: app_x}}\n": "15: verify.smoke.qatech.test_plan: app_x is the id of an application,",
    SMOKE + "{qatech: {applications: [{environment: env_x}]}}\n": (
        "15: verify.smoke.qatech.applications[0].application: is required; add it"
    ),
    SMOKE + "{qatech: {applications: [{application: app_x, environment: pln_x}]}}\n": (
        "15: verify.smoke.qatech.applications[0].environment: pln_x is the id of a test plan,"
    ),
    SMOKE + "{qatech: {url: 'https://app.qa.tech/api/projects/x/runs'}}\n": (
        "15: verify.smoke.qatech.url: that is QA.tech's legacy API"
    ),
    SMOKE + "{qatech: {url: 'http://qa.example'}}\n": "15: verify.smoke.qatech.url: is plain http to another machine",
    SMOKE + "{qatech: {applications: [{application: app_x, environment: {url: 'ftp://a.example'}}]}}\n": (
        "15: verify.smoke.qatech.applications[0].environment.url: is not an http:// or https:// address; write it like"
    ),
    SMOKE + "{qatech: {applications: [{application: app_x, environment: {url: 'https://me:pw@a.example'}}]}}\n": (
        "15: verify.smoke.qatech.applications[0].environment.url: holds a user or password; QA.tech keeps those in"
    ),
    SMOKE + "{qatech: {applications: [{application: app_x, environment: {url: 'https://a.example', name: ' '}}]}}\n": (
        "15: verify.smoke.qatech.applications[0].environment.name: must not be empty"
    ),
    SMOKE + "{qatech: {tokn: x}}\n": "15: verify.smoke.qatech.tokn: unknown key; did you mean token?",
}


def test_what_follows_from_another_error_is_not_said_as_well(tmp_path):
    made = "[{application: app_x, environment: {name: PR}}]"
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, SMOKE + f"{{qatech: {{applications: {made}}}}}\n")
    assert [line.partition(": ")[2] for line in caught.value.lines] == [
        "verify.smoke.qatech.applications[0].environment.url: is required; add it"
    ]
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "waves: [{name: canary, verify: smoke}]\nverify: {smoke: {qatech: {}}}\n")
    assert [line.partition(": ")[2] for line in caught.value.lines] == [
        "waves[0].verify: must be a list; write it like [smoke]"
    ]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_says_where_and_what_would_be_right(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert WRONG[text] in str(caught.value)
    assert all("ipsync.yaml:" in line for line in str(caught.value).splitlines())


LOOSE = ("there is no", "names a wave already", "no wave asks")
"""What JSON Schema can't say: names that don't exist, or twice, or that nobody uses."""


@pytest.mark.parametrize("text", [text for text, said in WRONG.items() if not any(word in said for word in LOOSE)])
def test_the_schema_refuses_it_too(text):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(HEAD + text), config.schema())


def test_the_schema_takes_what_is_right():
    text = SMOKE + "{qatech: {token: '${T}', applications: [{application: app_x, environment: {url: 'https://x'}}]}}\n"
    jsonschema.validate(yaml.safe_load(HEAD + text), config.schema())


@pytest.mark.parametrize(
    "url",
    [
        "https://api.qa.tech/v1", "https://app.qa.tech.example:8443/v1/", "http://localhost", "http://127.0.0.1:8080/v1",
        "http://[::1]:1", "${QATECH_API_URL}", "https://${HOST}/v1",
        "https://app.qa.tech", "https://app.qa.tech/api/projects/u/runs", "https://proxy.example/api/projects/u",
        "http://qa.example/v1", "http://localhost.example/v1", "https://qa.example/v1?a=b", "https://u:p@qa.example/v1",
        "https://qa.example/#v1", "qa.example/v1",
    ],
)  # fmt: skip
def test_the_schema_and_the_tool_agree_on_an_address_of_the_api(tmp_path, url):
    text = HEAD + SMOKE + f"{{qatech: {{url: '{url}', token: long-enough-1}}}}\n"
    path = tmp_path / "ipsync.yaml"
    path.write_text(text)
    try:
        config.load(path, {"QATECH_API_URL": "https://qa.example/v1", "HOST": "qa.example"})
        taken = True
    except ConfigError:
        taken = False
    assert jsonschema.Draft202012Validator(config.schema()).is_valid(yaml.safe_load(text)) is taken


@pytest.mark.parametrize("token", ["two words", "line\n"])
def test_a_token_is_never_shown(tmp_path, token):
    path = tmp_path / "ipsync.yaml"
    path.write_text(HEAD + SMOKE + "{qatech: {token: '${T}'}}\n")
    with pytest.raises(ConfigError) as caught:
        config.load(path, {"T": token})
    assert "token: holds a space, a line break" in str(caught.value)
    assert token not in str(caught.value)


def test_another_token_is_another_config_and_its_digest_holds_none(tmp_path):
    path = tmp_path / "ipsync.yaml"
    path.write_text(HEAD + SMOKE + "{qatech: {token: '${T}'}}\n")
    assert config.load(path, {"T": "one-token-1"}).digest != config.load(path, {"T": "two-token-2"}).digest
