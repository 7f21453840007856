"""The status page's content: what a person must know of each feed, target and change, after real passes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
import time_machine
import waves
from factory import NOW, Stage, aws_target, config, gcp_target, hosts, snapshot
from scene import EVIL, FOUGHT, Scene

from ipsync.core.configured import Limits
from ipsync.core.errors import AuditLogError
from ipsync.core.events import Copied, FeedRead, RunStarted, Verification
from ipsync.core.model import Status as Outcome
from ipsync.core.plan import FeedResult
from ipsync.core.report import written
from ipsync.core.sharding import Shard
from ipsync.core.signals import ConfigRead, FeedFetched, PassEnded, StageBegan
from ipsync.core.standing import RUNNING
from ipsync.observers import standing
from ipsync.observers.keeper import Keeper
from ipsync.observers.ledger import Ledger
from ipsync.observers.page import TONES, StatusPage, ago, duration, verdict
from ipsync.render import rules
from ipsync.verification.base import Result


@pytest.fixture(scope="module")
def scene():
    return Scene().play()


@pytest.fixture(scope="module")
def status(scene):
    return scene.keeper.status


@pytest.fixture(scope="module")
def html(status):
    return StatusPage(lambda: status, lambda: None)().body.decode()


def target(status, name):
    return next(t for t in status.targets if t.name == name)


def feed(status, name):
    return next(f for f in status.feeds if f.name == name)


# ── content ──────────────────────────────────────────────────────────────────


def test_each_feed_says_what_it_lists_and_since_when(status):
    good, gone = feed(status, "qatech"), feed(status, "gone")
    assert (good.number, good.error, good.since, good.at_least) == (7, None, NOW + timedelta(minutes=30), False)
    assert "13.51.7.77/32" in good.addresses
    assert (gone.number, gone.good_at, gone.since, gone.at_least) == (3, NOW + timedelta(minutes=15), NOW, True)
    assert gone.error.startswith("feed gone: https://gone.example/ips answered 503")


def test_each_target_says_what_it_lets_in(status):
    web = target(status, "staging-web")
    assert (web.status, web.allowed, web.leaving, web.waiting, web.by_others) == ("waiting", 8, 2, 2, 1)
    (place,) = web.places
    assert {row.cidr for row in place.rows} >= {"8.0.0.2/32", "13.51.7.77/32", "2600:1f14:436:5801::10/128"}
    assert {(row.ports, row.origin) for row in place.rows} == {("443/tcp", "qatech")}
    assert [(row.cidr, row.until) for row in place.leaving] == [
        (f"8.0.0.{i}/32", NOW + timedelta(minutes=15, hours=72)) for i in (4, 5)
    ]
    assert place.by_others == ("8.0.0.0/32 443/tcp",)
    assert place.contested.startswith("staging-web: ")
    assert [said.guard for said in place.guards] == ["max-removals"]


def test_the_same_on_many_resources_stands_once(status):
    fleet = target(status, "fleet")
    (place,) = fleet.places
    assert (place.where, place.number, place.allowed) == ("5 groups of 1 account", 5, 12)
    assert (fleet.resources, fleet.allowed, fleet.waiting) == (5, 60, 45)


def test_a_refused_write_and_what_was_not_done(status):
    (place,) = target(status, "denied").places
    assert place.status == "failed"
    assert "AccessDenied" in place.error
    assert "add 13.51.7.78/32 443/tcp" in place.undone
    assert place.allowed == 8


def test_what_a_wave_holds_back_is_told_as_held_with_what_is_not_done():
    here = waves.stage(waves.A)
    here.vendor.open = lambda: False
    made = standing.Standing(here.config, here.sync(), {}, {}, "ipsync sync")
    canary, held = made.targets()
    assert (canary.status, held.status) == ("in sync", "held")
    assert held.places[0].undone == (f"add {waves.A} 443/tcp",)


def waved(*listed, **more):
    """Return a stage in waves, and what keeps its status."""
    here = waves.stage(*listed, **more)
    ledger = Ledger(here.config, clock=lambda: here.now)
    keeper = Keeper(here.config, ledger, again="ipsync sync", clock=lambda: here.now)
    return here, ledger, keeper


def page_of(keeper):
    return StatusPage(lambda: keeper.status, lambda: None)().body.decode()


def test_a_wave_that_holds_others_back_says_why_and_what_lets_them_go():
    here, ledger, keeper = waved(waves.A)
    here.vendor.open = lambda: False
    here.watched(ledger, keeper)
    canary, rest = keeper.status.waves
    assert (canary.name, canary.state, canary.changed, rest.state) == ("wave canary", "failed", 1, "held")
    [check] = canary.checks
    assert (check.name, check.state, check.url, check.failed) == (
        "smoke",
        "failed",
        "https://qa/run1",
        ("The start page",),
    )
    assert re.fullmatch(r"ipsync sync --approve wave:[0-9a-f]+", canary.command)
    html = page_of(keeper)
    assert verdict(keeper.status).title == "Wave canary holds the rest"
    assert '<a href="https://qa/run1" rel="noopener noreferrer">run run1</a>' in html
    assert canary.command in html
    [told] = [
        w for w in json.loads(StatusPage(lambda: keeper.status, lambda: None).json().body)["waves"] if w["command"]
    ]
    assert told["checks"][0]["failed"] == ["The start page"]
    here.watched(ledger, keeper, approve=[canary.command.split()[-1]])
    assert [w.state for w in keeper.status.waves] == ["approved", "applied"]
    assert not any(w.command for w in keeper.status.waves)


def test_while_a_check_runs_its_run_is_named():
    here, ledger, keeper = waved(waves.A)
    stages = []
    here.vendor.on_poll = lambda: stages.append(keeper.status.stage)
    here.watched(ledger, keeper)
    assert stages == ["waiting for a wave's proof: check smoke of wave canary, https://qa/run1"]
    assert [w.state for w in keeper.status.waves] == ["verified", "applied"]
    assert verdict(keeper.status).title == "All as wished"
    keeper(Verification(wave="canary", check="own", state=RUNNING), Place)
    assert keeper.status.stage == "waiting for a wave's proof: check own of wave canary", "a command has no run to name"


def test_a_wave_that_is_too_large_waits_with_a_command_of_its_own():
    small = (replace(waves.WAVES[0], max_changed_targets=0), waves.WAVES[1])
    here, ledger, keeper = waved(waves.A, waves=small)
    here.watched(ledger, keeper)
    [large] = keeper.status.approvals
    assert (large.subject, large.text[:32]) == ("wave canary", "changes 1 target in wave canary,")
    assert re.fullmatch(r"ipsync sync --approve wave:[0-9a-f]+", large.command)
    assert keeper.status.approve_all == large.command
    here.watched(ledger, keeper, approve=[large.command.split()[-1]])
    assert keeper.status.approvals == ()


def test_what_a_vendor_says_harms_no_page():
    here, ledger, keeper = waved(waves.A)
    here.vendor.ends = [Result("failed", failed=(EVIL,), url="javascript:alert(1)")]
    here.watched(ledger, keeper)
    html = page_of(keeper)
    assert "<script" not in html
    assert 'href="javascript' not in html


def test_without_waves_the_page_has_none(html):
    assert 'id="waves"' not in html


def test_the_page_has_a_word_a_place_and_a_colour_for_each_status_that_a_target_can_have():
    assert set(standing.WORDS) == set(Outcome)
    assert set(standing.WORDS.values()) <= set(standing.WORST)
    assert set(standing.WORST) - {standing.UNREAD, standing.ELSEWHERE, standing.UNSELECTED} <= set(TONES)


@pytest.mark.parametrize(("shard", "word"), [(None, "not read yet"), (Shard(0, 2), "in another shard")])
def test_a_target_of_which_a_shard_has_no_place_is_in_another(shard, word):
    report = Stage(config(aws_target("web")), lists={"qatech": ["8.8.8.8"]}).sync()
    both = replace(config(aws_target("web"), aws_target("far")), shard=shard)
    found = standing.Standing(both, report, {}, {}, "ipsync sync").targets()
    assert [t.status for t in found] == ["in sync", word]


def test_what_can_not_be_read_shows_what_was_read_last(status):
    failed, last = target(status, "unreadable").places
    assert (failed.status, last.status, last.now, last.allowed) == ("failed", "unknown", False, 8)
    assert last.read_at == NOW + timedelta(minutes=15)
    assert target(status, "frozen").allowed == 3, "the doors stand as they stood"


def test_what_waits_comes_with_the_command_that_lets_it_go(scene, status):
    single, fleet = status.approvals
    again = "ipsync sync -c /etc/ipsync/ipsync.yaml --approve "
    assert re.fullmatch(re.escape(again) + r"change:[0-9a-f]+", single.command)
    assert (single.subject, single.text) == (
        f"staging-web · {FOUGHT}",
        "Removing 8.0.0.4/32 443/tcp, 8.0.0.5/32 443/tcp needs approval",
    )
    assert (fleet.command.count("--approve"), len(fleet.one_by_one), len(fleet.entries)) == (5, 5, 9)
    assert status.approve_all.count("--approve") == 6
    given = [word for word in status.approve_all.split() if word.startswith("change:")]
    scene = Scene().play()
    scene.stage.cloud.before = lambda _operation: None
    scene.sync(approve=given)
    assert scene.keeper.status.approvals == ()
    assert target(scene.keeper.status, "fleet").allowed == 15, "the commands did what they said"


def test_more_than_a_command_can_name_is_approved_by_the_plan(monkeypatch):
    for module in (standing, rules):
        monkeypatch.setattr(module, "AT_ONCE", 4)
    scene = Scene().play()
    scene.stage.cloud.before = lambda _operation: None
    scene.sync()
    report = scene.sync()
    assert not written(report)
    status = scene.keeper.status
    assert status.approve_all.endswith(f"--approve {report.plan.id}")
    (fleet,) = (each for each in status.approvals if each.one_by_one)
    assert fleet.text.endswith("; the command names the first 4 of 5 resources")
    assert status.approve_all in page_of(scene.keeper), "beside a command that names only some of it"


def test_after_a_write_no_plan_is_approved_that_is_another_one_by_now(monkeypatch):
    """The plan's id holds for the world before the write; a command with it was refused when it was copied."""
    for module in (standing, rules):
        monkeypatch.setattr(module, "AT_ONCE", 4)
    scene = Scene().play()
    scene.stage.cloud.before = lambda _operation: None
    scene.stage.lists["qatech"] = [*scene.stage.lists["qatech"], "13.51.7.79"]
    report = scene.sync()
    assert written(report)
    status = scene.keeper.status
    assert status.approve_all == ""
    assert status.approve_how.startswith("To approve all that waits, plan again")
    assert status.approve_how in page_of(scene.keeper).replace("&#39;", "'")
    assert report.plan.id not in page_of(scene.keeper)
    assert verdict(status).title.endswith("wait for approval") or verdict(status).tone == "bad"


def test_the_last_passes_and_the_head(scene, status):
    assert [p.result for p in status.passes] == ["partial", "done", "done"]
    assert (status.passes[0].seconds, status.passes[0].text[:5], status.passes[0].run) == (2.4, "Sync:", "r1")
    log = scene.stage.log
    assert (status.head.seq, status.head.hash) == (len(log.records), "0" * 64)
    assert status.next_at == NOW + timedelta(minutes=45)


# ── as it goes on ────────────────────────────────────────────────────────────


@pytest.fixture
def keeper():
    made = config(aws_target())
    return Keeper(made, Ledger(made), again="ipsync sync", clock=lambda: NOW)


class Place:
    seq, hash = 7, "ab" * 32


def test_a_pass_under_way_is_told(keeper):
    keeper.waits(NOW)
    keeper(RunStarted(mode="sync"), Place)
    assert (keeper.status.stage, keeper.status.next_at, keeper.status.head.seq) == ("beginning", None, 7)
    keeper(StageBegan("open"), None)
    assert keeper.status.stage == "letting in"
    keeper(PassEnded("sync", 1, error=AuditLogError("held by pid 7")), None)
    assert (keeper.status.stage, keeper.status.result) == ("", "failed")
    assert keeper.status.passes[0].text == "held by pid 7"


def test_each_event_makes_a_new_value(keeper):
    before = keeper.status
    keeper(StageBegan("open"), None)
    assert before.stage == ""


def test_a_feed_s_age_is_the_log_s_not_the_worker_s(keeper):
    for listed in (snapshot(hosts(2)), None):
        keeper(FeedFetched(FeedResult("qatech", "https://x", listed, None if listed else "503"), 1), None)
        rejected = None if listed else "503"
        keeper(FeedRead(feed="qatech", url="https://x", since="2025-12-01T00:00:00Z", rejected=rejected), Place)
    (known,) = keeper.status.feeds
    assert (known.since, known.at_least) == (datetime(2025, 12, 1, tzinfo=UTC), False)
    assert known.failing_since == datetime(2025, 12, 1, tzinfo=UTC)
    keeper(FeedRead(feed="qatech", url="https://x", since="2025-12-01T00:00:00Z"), Place)
    assert keeper.status.feeds[0].failing_since is None


def test_a_config_that_is_read_again_holds_and_one_that_is_refused_is_told(keeper):
    fresh = config(aws_target(), aws_target("new"))
    keeper(ConfigRead(keeper._config, ("ipsync.yaml:9: targets[0].feed: <b>there is no feed</b> qatch",)), None)
    html = StatusPage(lambda: keeper.status, lambda: None)().body.decode()
    assert "targets[0].feed: &lt;b&gt;there is no feed" in html
    keeper(ConfigRead(fresh), None)
    assert [t.name for t in keeper.status.targets] == ["web", "new"]
    assert keeper.status.refused == ()


def test_a_config_that_is_read_again_shows_its_own_owner_and_addresses(keeper):
    keeper(ConfigRead(replace(keeper._config, owner="other"), ()), None)
    assert keeper.status.owner == "other"
    moved = [replace(f, url="http://new.example/ips", insecure=True) for f in keeper._config.feeds]
    keeper(ConfigRead(replace(keeper._config, feeds=tuple(moved))), None)
    assert [(f.url, f.insecure) for f in keeper.status.feeds] == [("http://new.example/ips", True)]


def test_what_the_worker_does_not_act_for_is_said_so():
    both = config(aws_target(), gcp_target(feeds=("cdn",), limits=(("cdn", Limits()),)))
    here = Stage(both, lists={"qatech": hosts(2)})
    ledger = Ledger(both)
    keeper = Keeper(both, ledger, again="ipsync sync", only=["web"], clock=lambda: NOW)
    for _ in range(2):
        assert target(keeper.status, "edge").status == "not selected"
        assert (feed(keeper.status, "qatech").used, feed(keeper.status, "cdn").used) == (True, False)
        assert "so it isn't read" in page_of(keeper)
        here.watched(ledger, keeper, only=["web"])
    assert target(keeper.status, "web").status == "in sync"


def test_how_far_the_log_is_copied(keeper):
    keeper(Copied(object="s3://b/x", through=6), Place)
    keeper(RunStarted(mode="sync"), Place)
    assert keeper.status.head.copied == 6


def test_it_holds_so_many_passes(keeper):
    for _ in range(50):
        keeper(PassEnded("sync", 1, error=RuntimeError()), None)
    assert len(keeper.status.passes) == 20


def test_a_large_page_is_bounded_and_its_numbers_are_whole(monkeypatch, scene):
    monkeypatch.setattr(standing, "PLACES", 1)
    report, holdings = scene.stage.sync(), scene.ledger.holdings
    made = standing.Standing(scene.stage.config, report, holdings, {}, "ipsync sync", rows_left=10)
    targets = made.targets()
    assert sum(len(place.rows) for t in targets for place in t.places) == 10
    assert sum(t.allowed for t in targets) == sum(len(h.allowed) for held in holdings.values() for h in held.values())
    unreadable = next(t for t in targets if t.name == "unreadable")
    assert (len(unreadable.places), unreadable.not_shown) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "title", "tone"),
    [
        ({"result": ""}, "The first pass isn't over", "idle"),
        ({"result": "failed"}, "Something failed", "bad"),
        ({"result": "refused", "approve_all": ""}, "A guard refuses a change", "wait"),
        ({"result": "refused"}, "2 changes wait for approval", "wait"),
        ({"result": "done", "approve_all": ""}, "Contested", "wait"),
        ({"result": "done", "approve_all": "", "contested": ()}, "All as wished", "good"),
    ],
)
def test_the_sum_of_it(status, changes, title, tone):
    made = verdict(replace(status, **changes))
    assert (made.title, made.tone) == (title, tone)


# ── the page ─────────────────────────────────────────────────────────────────


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *each) for each in attrs]


def test_text_from_outside_stays_text(html):
    assert "alert(1)" in html
    page = Tags(html)
    assert not {"script", "img", "iframe", "object", "link", "form"} & set(page.tags)
    assert page.tags.count("style") == 1
    assert not [a for a in page.attributes if a[1].startswith("on") or a[1] in {"src", "style", "srcset"}]
    assert all(value.startswith(("/", "#")) for _, key, value in page.attributes if key == "href")
    assert not {"\u202e", "\x1b"} & set(html)
    assert "{{ 7*7 }}" in html
    assert EVIL not in html


def test_the_policy_lets_its_own_style_in_and_nothing_else(status, html):
    answer = StatusPage(lambda: status, lambda: None)()
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "style-src": f"'sha256-{digest}'",
    }


def test_everything_that_a_person_must_know_is_on_it(html):
    for text in (
        "Something failed",
        "5 groups of 1 account",
        "--approve change:",
        "after 2026-02-03 09:15 UTC",
        "Contested: somebody undoes this",
        "What it listed before stays allowed.",
        "Next pass at 2026-01-31 09:45 UTC",
        "ipsync audit verify --anchor ",
    ):
        assert text in html, text


def test_it_is_one_page_for_ears_too(html):
    page = Tags(html)
    assert page.tags.count("h1") == 1
    ids = [value for _, key, value in page.attributes if key == "id"]
    assert len(ids) == len(set(ids))
    assert {v for _, k, v in page.attributes if k == "aria-labelledby"} <= set(ids)
    assert {v[1:] for _, k, v in page.attributes if k == "href" and v.startswith("#")} <= set(ids)
    assert ("html", "lang", "en") in page.attributes
    assert page.tags.count("table") == page.tags.count("caption")


def test_before_the_first_pass_there_is_a_page_too(keeper):
    html = StatusPage(lambda: keeper.status, lambda: None)().body.decode()
    assert "The first pass isn&#39;t over" in html
    assert "not read yet" in html


def test_it_is_made_once_as_long_as_nothing_changes(keeper, monkeypatch):
    with time_machine.travel(NOW, tick=False) as clock:
        page = StatusPage(lambda: keeper.status, lambda: None)
        first = page()
        keeper(StageBegan("open"), None)
        assert page() is first, "while a pass runs something changes with every call"
        clock.shift(1.5)
        assert "letting in" in page().body.decode()
        keeper(PassEnded("sync", 1, error=RuntimeError("boom")), None)
        ended = page()
        assert "boom" in ended.body.decode(), "a pass that is over is shown at once"
        clock.shift(30)
        assert page() is ended
        clock.shift(60)
        assert page() is not ended, "it says how long ago things were"


def test_a_loop_that_does_not_turn_is_told(keeper):
    html = StatusPage(lambda: keeper.status, lambda: "a pass is due")().body.decode()
    assert "The loop doesn't turn: a pass is due." in html


def test_the_same_as_json(status):
    page = StatusPage(lambda: status, lambda: None)
    answer = page.json()
    body = json.loads(answer.body)
    assert answer.type.startswith("application/json")
    assert (body["verdict"], body["health"], body["owner"]) == ("Something failed", "ok", "acme-prod")
    assert body["approvals"][0]["command"] == status.approvals[0].command
    assert body["targets"][0]["places"][0]["leaving"][0]["until"] == "2026-02-03T09:15:00Z"
    assert not {"\u202e", "\x1b"} & set(answer.body.decode())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "just now"), (60, "1 minute ago"), (7200, "2 hours ago"), (90000, "1 day ago"), (-900, "in 15 minutes")],
)
def test_how_long_ago(seconds, text):
    assert ago(NOW, NOW + timedelta(seconds=seconds)) == text


def test_how_long_it_took():
    assert [duration(1.26), duration(83), duration(600)] == ["1.3 s", "1 min", "10 min"]
