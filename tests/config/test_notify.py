"""`notify:` in the config: each error says what would be right, and no error shows an address or a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipsync import config
from ipsync.core.configured import Notify

HEAD = """\
version: 1
owner: acme
feeds: {qatech: {}}
targets: [{name: web, kind: aws-security-group, feed: qatech, region: eu-north-1, groups: [sg-0123456789abcdef0], ports: [443/tcp]}]
notify:
"""
ENVIRONMENT = {
    "SLACK": "https://hooks.slack.com/services/T0AB/B0CD/abcdefgh12345678",
    "WRONG": "https://slack.example.com/tok3n/abc",
}


def load(folder: Path, text: str):
    path = folder / "ipsync.yaml"
    path.write_text(HEAD + text)
    return config.load(path, ENVIRONMENT)


def test_each_way_to_tell_somebody(tmp_path):
    made = load(
        tmp_path,
        """
  - {webhook: "https://hooks.example.com/ipsync", secret: "${SLACK}", on: [applied, blocked, failed, held, contested, feed-changed, feed-unchanged]}
  - {slack: "${SLACK}", on: [blocked, failed, held], remind_every: 12h}
  - {command: ["/usr/local/bin/page"]}
""",
    )
    every = ("applied", "blocked", "failed", "held", "contested", "feed-changed", "feed-unchanged")
    assert made.notify == (
        Notify("webhook", every, url="https://hooks.example.com/ipsync", secret=ENVIRONMENT["SLACK"]),
        Notify("slack", ("blocked", "failed", "held"), url=ENVIRONMENT["SLACK"], remind_every=43200.0),
        Notify(
            "command",
            ("blocked", "failed", "held", "contested", "feed-unchanged"),
            command=("/usr/local/bin/page",),
        ),
    )
    assert "hooks" not in repr(made.notify)


@pytest.mark.parametrize(
    ("element", "said"),
    [
        ("{on: [failed]}", "notify[0]: names nobody to tell; it needs one of webhook, slack, command"),
        ('{webhook: "https://a.example", slack: "${SLACK}"}', "has webhook and slack; write an element for each"),
        (
            '{webhook: "https://a.example", on: [faild]}',
            "notify[0].on[0]: must be 'applied', 'blocked', 'failed', 'held',",
        ),
        ('{webhook: "https://a.example", on: []}', "must not be empty; name at least one"),
        ('{webhook: "https://a.example", on: failed}', "must be a list; write it like [blocked, failed]"),
        ('{webhook: "http://a.example/x"}', "is plain http to another machine"),
        ('{webhook: "hooks.example/x"}', "notify[0].webhook: is not an https:// address"),
        (
            '{slack: "${WRONG}"}',
            "notify[0].slack: is not the URL of a Slack incoming webhook; it looks like https://hooks",
        ),
        ('{slack: "https://hooks.slack.com/services/T0/B0"}', "is not the URL of a Slack incoming webhook"),
        ('{slack: "http://hooks.slack.com/services/T0AB/B0CD/abcdefgh12345678"}', "is not the URL of a Slack"),
        ("{command: /usr/local/bin/page}", "must be a list; write it like [/usr/local/bin/page, --quiet]"),
        ("{command: []}", "must not be empty"),
        ('{command: ["page"], secret: "x"}', "notify[0].secret: signs what a webhook gets; without one, leave it out"),
        ('{command: ["page"], remind_every: 10s}', "is too often; write 1m or longer"),
        ('{hook: "https://a.example"}', "unknown key; did you mean webhook?"),
        ("{command: [page], webhook: null, slack: null}", ""),
        ('{webhook: "http://127.0.0.1:9/x"}', ""),
        ('{slack: "http://localhost:9/x"}', ""),
    ],
)
def test_what_is_wrong_is_told(tmp_path, element, said):
    if not said:
        assert load(tmp_path, f"  - {element}\n")
        return
    with pytest.raises(config.ConfigError) as raised:
        load(tmp_path, f"  - {element}\n")
    assert said in str(raised.value)
    assert "tok3n" not in str(raised.value)
    assert "abcdefgh" not in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_the_digest_tells_nothing_of_an_address(tmp_path, monkeypatch):
    """A saved plan names the config's digest; its preimage holds a hash in a secret's place."""
    digests = {load(tmp_path, f"  - {{slack: {url}}}\n").digest for url in ('"${SLACK}"', f'"{ENVIRONMENT["SLACK"]}"')}
    assert len(digests) == 1
    assert config.documents.meant_secret(("notify", 0, "slack"))
    assert config.documents.meant_secret(("notify", 0, "webhook"))
