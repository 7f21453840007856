"""`ipsync check`: whatever a provider raises, it ends in its table; what couldn't be tried has not passed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from factory import aws_target, config, gcp_target, snapshot

from ipsync import app
from ipsync.cli.check import render
from ipsync.core.errors import Denied, FeedError
from ipsync.targets.base import Finding


class Reader:
    """What a provider makes for one scope; `found` is what its check returns or raises."""

    def __init__(self, found):
        self.found = found

    def check(self, targets, *, owner):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def run(monkeypatch):
    def started(aws, gcp, feed=None):
        def fetch(_feed):
            if isinstance(feed, Exception):
                raise feed
            return snapshot(["8.8.8.8"])

        readers = {"aws-security-group": Reader(aws), "gcp-firewall": Reader(gcp)}
        monkeypatch.setattr(app, "fetch_feed", fetch)
        monkeypatch.setattr(app.registry, "open_reader", lambda target: readers[target.kind])
        return app.check_once(replace(config(aws_target(), gcp_target()), audit_path="/no/such/folder/audit.jsonl"))

    return started


GOOD = [Finding("gcp project acme: read", ok=True)]


@pytest.mark.parametrize(
    "error",
    [
        AttributeError("'NoneType' object has no attribute 'token'"),
        EOFError(),
        FileNotFoundError(2, "No such file"),
        KeyError("x"),
    ],
)
def test_what_one_check_raises_is_that_check_s_row(run, error):
    found = run(error, GOOD)
    (bad,) = (f for f in found if not f.ok)
    assert (bad.subject, type(error).__name__ in bad.detail) == ("target web", True)
    text = render(found, output="text", colour=False)
    assert "MISSING  target web: a fault in ipsync: " in text
    assert "ok       gcp project acme: read" in text
    assert text.endswith("3 of 4 checks passed, 1 to fix\n")


def test_what_a_feed_raises_is_its_row(run):
    assert "MISSING  feed qatech: a fault in ipsync: ValueError('x')" in render(
        run(GOOD, GOOD, ValueError("x")), output="text", colour=False
    )
    assert "MISSING  feed qatech: down" in render(run(GOOD, GOOD, FeedError("down")), output="text", colour=False)


def test_what_could_not_be_tried_is_skipped_and_has_not_passed(run):
    found = run([Finding("sg-1: revoke and tag", ok=True, detail="before the first sync", skipped=True)], Denied("no"))
    text = render(found, output="text", colour=False)
    assert "skipped  sg-1: revoke and tag: before the first sync" in text
    assert text.endswith("2 of 4 checks passed, 1 skipped, 1 to fix\n")
    assert [f["skipped"] for f in json.loads(render(found, output="json", colour=False))] == [
        False,
        False,
        True,
        False,
    ]
