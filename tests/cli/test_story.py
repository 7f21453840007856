"""`ipsync run` through a feed that changes, breaks and heals, an approval that waits and a foreign edit.

Each is looked for in the metrics, on the page and in the notifications. SIGHUP is a pass at once, so nothing sleeps.
"""

from __future__ import annotations

import json
import re
import signal
import urllib.request

import pytest
from receiver import receiver
from worker_desk import CONFIG, Running, told

from ipsync.audit import verify
from ipsync.sandbox.feed import FeedServer

A, B, C, D, E = (f"18.196.41.{n}" for n in range(10, 15))


class Story:
    """The worker, the group that it keeps, and what each of the three says."""

    def __init__(self, aws, feed, somebody, folder) -> None:
        self.aws, self.feed, self.somebody, self.log = aws, feed, somebody, folder / "audit.jsonl"
        self.group, self.passes, self.heard = aws.make_group("web"), 0, 0
        text = CONFIG.format(
            feed=feed.url, group=self.group, ports="443/tcp", every="1h", folder=folder, hook=somebody.url
        )
        text = text.replace("listen: null", "listen: 127.0.0.1:0\nremoval: {grace: 0s}")
        words = "[applied, blocked, failed, contested, feed-changed]"
        path = folder / "ipsync.yaml"
        path.write_text(text.replace("on: [applied, failed]", f"on: {words}"))
        self.worker = Running(path, folder)
        self._over()
        self.url = re.search(r"http://127\.0\.0\.1:[0-9]+", self.worker.err.read_text())[0]

    def _over(self) -> None:
        self.passes += 1
        self.worker.waits_for(lambda: self.worker.says("Next pass", times=self.passes))

    def goes_on(self) -> None:
        """Make one more pass, at once."""
        self.worker.process.send_signal(signal.SIGHUP)
        self._over()

    def tells(self, *expected: str) -> None:
        """Wait for the next messages' content: nothing more, nothing less."""
        self.worker.waits_for(lambda: len(told(self.somebody)) >= self.heard + len(expected))
        assert sorted(told(self.somebody)[self.heard :]) == sorted(expected)
        self.heard += len(expected)

    def metric(self, name: str) -> float:
        lines = self._read("/metrics").splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def page(self) -> str:
        return self._read("/")

    def _read(self, path: str) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}{path}", timeout=30) as answer:
            return answer.read().decode()

    def undo(self, address: str) -> None:
        """Take a rule away, as somebody does who doesn't know of ipsync."""
        (rule,) = (r for r in self.aws.rules(self.group) if r.get("CidrIpv4") == f"{address}/32")
        self.aws.client("ec2").revoke_security_group_ingress(
            GroupId=self.group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]]
        )


@pytest.fixture
def story(aws, tmp_path):
    with receiver() as somebody, FeedServer([A, B, C, D]) as feed:
        made = Story(aws, feed, somebody, tmp_path)
        try:
            yield made
        finally:
            made.worker.process.kill()
            made.worker.process.wait()


@pytest.mark.slow
def test_the_story_is_told_in_all_three_places(story):
    story.tells("applied happened web")
    assert story.metric('ipsync_entries{state="allowed",target="web"}') == 4

    story.feed.addresses = [A, B, C, D, E]
    story.goes_on()
    story.tells("applied happened web", "feed-changed happened feed qatech")
    assert story.metric('ipsync_feed_addresses{feed="qatech"}') == 5
    assert f"{E}/32" in story.page()

    story.feed.respond(status="500 Oops")
    story.goes_on()
    story.tells("failed began feed qatech")
    assert story.metric('ipsync_sync_total{result="failed"}') == 1
    assert "500 Oops" in story.page()
    story.goes_on()
    story.tells()

    story.feed.recover()
    story.goes_on()
    story.tells("failed ended feed qatech")
    assert "500 Oops" not in story.page()

    story.feed.addresses = [A, B]
    story.goes_on()
    story.tells("blocked began web", "feed-changed happened feed qatech")
    change = next(c for c in _last(story.somebody) if c["word"] == "blocked")
    assert re.fullmatch(r"ipsync sync -c \S+ --approve change:[0-9a-f]+", change["approve"])
    assert change["approve"] in story.page()
    assert story.metric('ipsync_pending_changes{action="remove",target="web"}') == 3

    story.feed.addresses = [A, B, C, D, E]
    story.goes_on()
    story.tells("blocked ended web", "feed-changed happened feed qatech")

    for _ in range(4):
        story.undo(A)
        story.goes_on()
    story.tells(*["applied happened web"] * 4, "contested began web")
    assert story.metric('ipsync_contested_resources{target="web"}') == 1
    assert "contested" in story.page()

    story.worker.process.send_signal(signal.SIGTERM)
    assert story.worker.process.wait(timeout=30) == 0
    assert verify(story.log).ok


def _last(somebody) -> list[dict]:
    return json.loads(somebody.came[-1][2])["data"]["changes"]
