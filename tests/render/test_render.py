"""What people and machines read: the contract's JSON, calm text, colour only where asked, markdown."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import jsonschema
import pytest
from factory import GROUP, Stage, aws_target, config, gcp_target, networks

from ipsync.core.configured import Limits
from ipsync.core.errors import Denied
from ipsync.core.model import Entry, Held, Service, Status, Verdict, Violation
from ipsync.core.plan import Orphan
from ipsync.core.report import exit_code
from ipsync.core.waves import Proof, WaveReport, WaveState
from ipsync.render import pieces, render
from ipsync.render.json import document
from ipsync.render.rules import approval

A, B, C, D = "8.8.8.8/32", "8.8.4.4/32", "9.9.9.9/32", "1.1.1.1/32"
ENTRY = {"type": "object", "required": ["cidr", "ports"]}
CONTRACT = {
    "type": "object",
    "required": ["version", "id", "run", "mode", "owner", "created_at", "feeds", "targets", "orphaned", "summary"],
    "properties": {
        "version": {"const": 1},
        "id": {"pattern": "^sha256:[0-9a-f]{64}$"},
        "created_at": {"pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"},
        "feeds": {"items": {"required": ["name", "url", "digest", "addresses", "error"]}},
        "targets": {
            "items": {
                "required": [
                    *("target", "kind", "resource", "status", "add", "remove"),
                    *("leaving", "satisfied_by_others", "violations", "error"),
                ],
                "properties": {
                    "status": {"enum": ["in-sync", "change", "blocked", "error", "applied", "partial", "unknown"]},
                    "add": {"items": ENTRY},
                    "leaving": {"items": {"required": ["cidr", "ports", "until"]}},
                    "violations": {"items": {"required": ["guard", "verdict", "detail"]}},
                },
            }
        },
        "summary": {"required": ["add", "remove", "leaving", "in_sync", "blocked", "failed"]},
    },
}


@pytest.fixture
def rich():
    """A report with something of everything."""
    stage = Stage(config(aws_target(), gcp_target(), aws_target("bad", feeds=("cdn",))), lists={})
    stage.lists = {"qatech": [A, B, C, D], "cdn": "feed cdn: no answer in 30 s | look at https://cdn"}
    stage.cloud.put(GROUP, Entry(networks(A)[0], Service("all")))
    stage.sync()
    stage.lists["qatech"] = [A, B, C, "1.0.0.1"]
    stage.sync("edge")
    stage.now += timedelta(hours=80)
    return stage.plan()


def test_json_is_the_contract_s(rich):
    body = json.loads(render(rich, output="json", colour=True))
    jsonschema.validate(body, CONTRACT)
    web = next(t for t in body["targets"] if t["target"] == "web")
    edge = next(t for t in body["targets"] if t["target"] == "edge")
    assert web["resource"] == "aws/1/eu-north-1/sg-1"
    assert web["satisfied_by_others"] == [{"cidr": A, "ports": "443/tcp"}]
    assert edge["resource"] == "gcp/acme/allow-qatech"
    assert edge["remove"] == [{"cidr": D, "ports": None}]
    assert body["summary"]["failed"] == 1


def test_text_is_calm_in_a_log_and_coloured_on_a_terminal(rich):
    calm, coloured = (render(rich, output="text", colour=c) for c in (False, True))
    assert "\x1b" not in calm
    assert "\x1b[32m    + 1.0.0.1/32" in coloured
    for managed in ("already allowed by a rule that isn't ours", "- 1.1.1.1/32", "error: feed cdn", "Plan id: sha256:"):
        assert managed in calm


def test_markdown_holds_a_diff_and_escapes_tables(rich):
    text = render(rich, output="markdown", colour=False)
    assert "```diff" in text
    assert "+ 1.0.0.1/32" in text
    assert "no answer in 30 s \\| look" in text


def test_nothing_to_change_says_so():
    stage = Stage(config(aws_target()), lists={"qatech": [A]})
    stage.sync()
    assert "Nothing to change." in render(stage.plan(), output="text", colour=False)


def test_an_approval_is_explained_where_one_helps():
    stage = Stage(config(aws_target(), grace=timedelta(0)), lists={"qatech": [A, B, C, D]})
    stage.sync()
    stage.lists["qatech"] = [A, B]
    report = stage.plan()
    text = render(report, output="text", colour=False)
    assert f"ipsync sync --approve {report.plan.id}" in text
    assert "guard max-removals needs approval: removes 2 of 4 addresses, more than 1" in text


def test_what_a_sync_did_not_do_is_not_counted_as_done():
    stage = Stage(config(aws_target(), gcp_target()), lists={"qatech": [A, B, C]})

    def denied(operation):
        if operation.kind == "add":
            raise Denied("no")

    stage.cloud.before = denied
    text = render(stage.sync(), output="text", colour=False)
    assert "Sync: 3 added, 0 removed, 3 not done or not sure, 0 leaving; 1 target in sync, 0 blocked, 1 failed." in text
    stage.cloud.before = lambda _step: None
    assert "Sync: 3 added, 0 removed, 0 leaving;" in render(stage.sync(), output="text", colour=False)


def test_a_saved_plan_is_approved_where_it_is_applied():
    stage = Stage(config(aws_target(), grace=timedelta(0)), lists={"qatech": [A, B, C, D]})
    stage.sync()
    stage.lists["qatech"] = [A, B]
    report = replace(stage.plan(), mode="apply")
    assert f"ipsync apply FILE --approve {report.plan.id}" in render(report, output="text", colour=False)


def half_done(mode="sync"):
    """What came of a run that let an address in, and whose removals wait."""
    stage = Stage(config(aws_target(), grace=timedelta(0)), lists={"qatech": [A, B, C, D]})
    stage.sync()
    stage.lists["qatech"] = [A, B, "1.0.0.1"]
    return stage, replace(stage.sync(), mode=mode)


@pytest.mark.parametrize("output", ["text", "markdown"])
def test_the_command_that_approves_what_a_run_left_works_after_what_it_wrote(output):
    stage, report = half_done()
    shown = render(report, output=output, colour=False)
    (held,) = report.plan.target_changes[0].waiting
    assert f"--approve {report.plan.id}" not in shown, "the plan has another id once something was written"
    said = shown.partition("After looking at it, approve all that waits:")[2]
    assert said.split("\n")[3 if output == "markdown" else 0].strip() == f"ipsync sync --approve {held.id}"
    assert exit_code(stage.sync(approve=held.id), detailed=False) == 0


@pytest.mark.parametrize("output", ["text", "markdown"])
def test_what_an_apply_left_is_planned_anew_before_it_is_approved(output):
    _, report = half_done("apply")
    shown = render(report, output=output, colour=False)
    assert "approve this change, and only this one, after a new `ipsync plan --out FILE`: " in shown
    assert "To approve all that waits, plan again with `ipsync plan --out FILE`, and approve that plan after" in shown
    assert f"--approve {report.plan.id}" not in shown


def test_a_log_s_line_holds_the_command_that_still_works():
    _, report = half_done()
    assert approval(report, "ipsync sync")[1] == f"ipsync sync --approve {report.plan.target_changes[0].waiting[0].id}"
    large = replace(report.plan.target_changes[0], waiting=tuple(
        replace(report.plan.target_changes[0].waiting[0], id=f"change:{n}") for n in range(41)))  # fmt: skip
    report = replace(report, plan=replace(report.plan, target_changes=(large,)))
    sentence = "To approve all that waits, plan again with `ipsync plan`, and approve that plan after looking at it"
    assert approval(report, "ipsync sync") == (sentence, "")


def test_a_wave_that_is_too_large_has_its_own_command():
    text, page = (render(too_large(), output=output, colour=False) for output in ("text", "markdown"))
    assert "      approve this wave, and only this one: ipsync sync --approve wave:size\n" in text
    assert "  - approve this wave, and only this one: `ipsync sync --approve wave:size`\n" in page


def too_large():
    report = Stage(config(aws_target()), lists={"qatech": [A]}).plan()
    objection = Violation("max-changed-targets", Verdict.NEEDS_APPROVAL, "changes 2 targets in wave rest", "wave:size")
    (change,) = report.plan.target_changes
    change = replace(change, status=Status.BLOCKED, violations=(objection,))
    return replace(report, plan=replace(report.plan, target_changes=(change,)))


def test_a_rule_that_is_made_or_deleted_is_shown_with_every_setting():
    made = [("allow-qatech", "ports", "", "443/tcp"), ("allow-qatech", "network", "", "default")]
    more = [("allow-qatech", "target_tags", "", "web"), ("allow-qatech", "target_service_accounts", "", "")]
    gone = [("allow-qatech-2", "ports", "443/tcp", ""), ("allow-qatech-2", "priority", "1000", "")]
    changed = [("allow-qatech-v6", "ports", "443/tcp", "1-65535/tcp"), ("allow-qatech-v6", "target_tags", "", "web")]
    stage = Stage(config(gcp_target()), lists={"qatech": [A]})
    report = stage.plan()
    (target_change,) = report.plan.target_changes
    shown = replace(target_change, settings=(*made, *more, *gone, *changed))
    report = replace(report, plan=replace(report.plan, target_changes=(shown,)))
    text, page = (render(report, output=output, colour=False) for output in ("text", "markdown"))
    for line in (
        "+ rule allow-qatech is made: ports 443/tcp, network default, target_tags web",
        "- rule allow-qatech-2 is deleted; it had: ports 443/tcp, priority 1000",
    ):
        assert f"    {line}\n" in text
        assert f"\n{line}\n" in page
    assert (
        "    ~ allow-qatech-v6: ports 443/tcp -> 1-65535/tcp\n    ~ allow-qatech-v6: target_tags (none) -> web\n"
        in text
    )
    assert "\n! allow-qatech-v6: ports 443/tcp -> 1-65535/tcp\n" in page


def test_each_change_that_waits_has_its_own_command_and_an_address_says_its_feed():
    target = aws_target(feeds=("qatech", "cdn"), limits=(("qatech", Limits()), ("cdn", Limits())))
    stage = Stage(config(target, grace=timedelta(0)), lists={"qatech": [A, B, C, D], "cdn": ["8.0.0.1"]})
    stage.sync()
    stage.lists["qatech"] = [A, B, "1.0.0.1"]
    stage.lists["cdn"] = ["8.0.0.1", "8.0.0.2"]
    report = stage.plan()
    (held,) = report.plan.target_changes[0].waiting
    again = "ipsync sync -c x.yaml"
    text, page = (render(report, output=output, colour=False, again=again) for output in ("text", "markdown"))
    for shown in (text, page):
        assert f"{again} --approve {held.id}" in shown
        assert f"{again} --approve {report.plan.id}" in shown
        assert "removing 1.1.1.1/32 443/tcp, 9.9.9.9/32 443/tcp needs approval" in shown
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "+ 1.0.0.1/32 443/tcp from qatech" in lines
    assert "+ 8.0.0.2/32 443/tcp from cdn" in lines
    assert "+ 8.0.0.2/32 443/tcp from cdn" in page


# ── many resources ───────────────────────────────────────────────────────────


def many(*, quiet=()):
    """A plan of 1,300 groups in 13 accounts: 8.8.8.8 comes into each but those in `quiet`."""
    stage = Stage(config(aws_target()), lists={"qatech": [A]})
    report = stage.plan()
    (one,) = report.plan.target_changes
    names = [f"aws/{100 + n % 13}/eu-north-1/sg-{n:04}" for n in range(1_300)]
    calm = replace(one, status=Status.IN_SYNC, add=(), sources=(), held=1)
    changes = tuple(replace(calm if n in quiet else one, resource=name) for n, name in enumerate(names))
    return replace(report, plan=replace(report.plan, target_changes=changes))


def test_the_same_change_in_many_groups_is_shown_once():
    text = render(many(), output="text", colour=False)
    (line,) = [line for line in text.splitlines() if A in line]
    assert line.endswith("in 1,300 groups of 13 accounts")
    assert "aws/100/eu-north-1/sg-0000, aws/101/eu-north-1/sg-0001" in text
    assert "and 1,297 more" in text
    assert len(text.splitlines()) < 15
    page = render(many(), output="markdown", colour=False)
    assert page.count(f"+ {A}") == 1
    assert "1,300 groups of 13 accounts" in page


def test_what_is_in_sync_is_counted_and_listed_when_asked():
    report = many(quiet=range(1, 1_300))
    short, whole = (render(report, output="text", colour=False, verbose=v) for v in (False, True))
    assert "in sync  1,299 groups of 13 accounts (-v lists them)" in short
    assert "sg-0007" not in short
    assert "sg-0000" in short
    assert "aws/107/eu-north-1/sg-0007  in-sync" in whole
    assert "1,299 groups of 13 accounts in sync" in render(report, output="markdown", colour=False)


def changed(report, how):
    """Return the report with each of its changes as `how` makes it."""
    return replace(report, plan=replace(report.plan, target_changes=tuple(map(how, report.plan.target_changes))))


def denied(change):
    """Return what a cloud says of an account whose role can't be assumed: the role's name is in it."""
    account = change.resource.split("/")[1]
    why = f"not authorized to perform sts:AssumeRole on arn:aws:iam::{account}:role/ipsync"
    return replace(change, resource=f"aws/{account}/eu-north-1", status=Status.ERROR, add=(), sources=(), error=why)


@pytest.mark.parametrize("output", ["text", "markdown"])
def test_an_error_that_names_each_account_is_shown_once(output):
    shown = render(changed(many(), denied), output=output, colour=False)
    assert shown.count("not authorized") == 1
    assert "iam::100:role" in shown
    assert "and 1,297 more; what follows names the first of them" in shown
    whole = render(changed(many(), denied), output="text", colour=False, verbose=True)
    assert "iam::112:role" in whole


def test_errors_that_say_something_else_of_each_are_never_put_together():
    report = changed(many(), lambda c: replace(c, error=f"{c.resource[-4:]} seconds"))
    assert render(report, output="text", colour=False).count("seconds") == 1_300


def waiting(report, number):
    """Return the report with a removal that waits on each of so many groups."""
    entry = Entry(networks(B)[0], Service("tcp", 443, 443))

    def held(change):
        made = Held(f"change:{change.resource[-4:]}", "remove", (entry,), Verdict.NEEDS_APPROVAL)
        word = Violation("max-removals", Verdict.NEEDS_APPROVAL, "removes 1 of 1", made.id)
        return replace(change, status=Status.BLOCKED, add=(), sources=(), waiting=(made,), violations=(word,))

    made = changed(report, held)
    return replace(made, plan=replace(made.plan, target_changes=made.plan.target_changes[:number]))


@pytest.mark.parametrize("output", ["text", "markdown"])
def test_the_same_change_that_waits_on_many_is_shown_once_with_one_command(output):
    shown = render(waiting(many(), 3), output=output, colour=False, again="ipsync sync")
    assert shown.count(f"removing {B} 443/tcp needs approval") == 1
    ids = "--approve change:0000 --approve change:0001 --approve change:0002"
    assert f"approve these 3 changes, and only these: {'`' * (output == 'markdown')}ipsync sync {ids}" in shown


@pytest.mark.parametrize("output", ["text", "markdown"])
def test_a_change_that_waits_on_more_than_a_command_can_hold_says_where_its_ids_are(output):
    report = waiting(many(), 1_300)
    shown = render(report, output=output, colour=False, again="ipsync sync")
    assert "each of these 1,300 changes has an id of its own: -v shows it" in shown
    assert "--approve change:" not in shown
    assert f"ipsync sync --approve {report.plan.id}" in shown
    assert "ipsync sync --approve change:1299" in render(
        report, output="text", colour=False, again="ipsync sync", verbose=True
    )


@pytest.mark.parametrize("output", ["text", "markdown"])
def test_the_same_orphan_in_many_groups_is_shown_once(output):
    report = many()
    entry, other = Entry(networks(B)[0], Service("tcp", 443, 443)), Entry(networks(C)[0], Service("tcp", 443, 443))
    lost = (*(Orphan(c.resource, entry, "old") for c in report.plan.target_changes), Orphan("aws/1/x/sg-9", other, ""))
    report = replace(report, plan=replace(report.plan, orphaned=lost))
    shown, whole = (render(report, output=output, colour=False, verbose=v) for v in (False, True))
    (line,) = [line for line in shown.splitlines() if B in line]
    assert "1,300 resources: aws/100/eu-north-1/sg-0000, " in line
    assert "and 1,297 more" in line
    assert "old" in line
    assert [line for line in shown.splitlines() if C in line and "aws/1/x/sg-9" in line]
    if output == "text":
        assert whole.count(B) == 1_300


def test_what_differs_by_group_is_never_put_together():
    report = many(quiet=range(2, 1_300))
    first, second, *rest = report.plan.target_changes
    other = replace(second, add=(), remove=second.add)
    report = replace(report, plan=replace(report.plan, target_changes=(first, other, *rest)))
    text = render(report, output="text", colour=False)
    assert f"+ {A}" in text
    assert f"- {A}" in text
    assert text.index("sg-0000") < text.index("sg-0001")


def test_a_comment_holds_what_fits_and_says_what_it_left_out():
    report = many(quiet=range(1_300))
    pattern = report.plan.target_changes
    blocked = replace(pattern[0], status=Status.ERROR, error="denied")
    long = (*(replace(c, add=(Entry(networks(B)[0], Service("all")),)) for c in pattern), blocked)
    long = tuple(replace(c, status=Status.CHANGE, target=f"t{n}") for n, c in enumerate(long[:-1])) + long[-1:]
    report = replace(report, plan=replace(report.plan, target_changes=long))
    page = render(report, output="markdown", colour=False)
    assert 40_000 < len(page) <= 65_536
    assert "more sections don't fit into a comment" in page
    assert report.plan.id in page
    shown = page.count("#### ")
    assert f"**{1_301 - shown:,} more sections" in page


def test_a_comment_keeps_what_is_to_be_decided_before_the_rest():
    report = many(quiet=range(1_300))
    calm = [replace(c, marks=("m" * 60,), target=f"t{n}") for n, c in enumerate(report.plan.target_changes)]
    last = replace(calm[-1], status=Status.ERROR, error="denied", marks=())
    report = replace(report, plan=replace(report.plan, target_changes=(*calm, last)))
    page = render(report, output="markdown", colour=False)
    assert "denied" in page
    assert "more sections" in page


def test_json_in_pieces_is_the_document(rich):
    for report in (rich, many(), replace(rich, plan=replace(rich.plan, target_changes=()))):
        parts = list(pieces(report, output="json", colour=False))
        text = "".join(parts)
        body = json.loads(text)
        assert {k: body[k] for k in document(report)} == document(report)
        assert text == json.dumps(body, indent=2, ensure_ascii=False) + "\n"
    assert max(map(len, pieces(many(), output="json", colour=False))) < 5_000


def waved(mode="sync"):
    made = Stage(config(aws_target()), lists={"qatech": ["8.8.8.8"]}).sync()
    proof = Proof("smoke", "failed", "run1", "https://qa/run1", ("Start `page`\n",))
    waves = (
        WaveReport("canary", WaveState.FAILED, 1, "its check smoke failed", (proof,), "wave:1"),
        WaveReport("", WaveState.HELD, 2, "wave canary holds it"),
    )
    return replace(made, mode=mode, waves=waves)


def test_waves_stand_in_every_form_with_the_run_s_address_and_the_failed_tests():
    text, markdown, body = (render(waved(), output=o, colour=False) for o in ("text", "markdown", "json"))
    assert "wave canary  failed\n    check smoke  failed  run run1  https://qa/run1  failed: Start `page`" in text
    assert "to let the waves behind it go all the same: ipsync sync --approve wave:1\n" in text
    assert "the targets without a wave  held  (2 targets to change)\n    wave canary holds it\n" in text
    assert "``  - check" not in markdown
    planned = replace(waved("plan"), waves=(WaveReport("canary", WaveState.CHANGE, 1, asks=("smoke", "own")),))
    assert "to change)\n    a sync asks its checks smoke, own\n" in render(planned, output="text", colour=False)
    assert "https://qa/run1" in markdown
    assert json.loads(body)["waves"][0]["checks"] == [
        {"name": "smoke", "state": "failed", "run": "run1", "url": "https://qa/run1", "failed": ["Start `page`\n"],
         "detail": None}
    ]  # fmt: skip
    assert json.loads(body)["waves"][1] == {
        "name": None, "state": "held", "changed": 2, "detail": "wave canary holds it", "approve": None, "checks": [],
            "asks": [],
    }  # fmt: skip


def test_targets_without_a_wave_are_told_only_where_there_are_some():
    report = waved()
    (change,) = report.plan.target_changes
    report = replace(report, plan=replace(report.plan, target_changes=(replace(change, wave="canary"),)))
    for output in ("text", "markdown"):
        assert "the targets without a wave" not in render(report, output=output, colour=False)


def test_a_saved_plan_is_made_anew_before_what_it_held_goes_on():
    text = render(waved("apply"), output="text", colour=False)
    assert "all the same, after a new `ipsync plan --out FILE`: ipsync apply FILE --approve wave:1" in text
