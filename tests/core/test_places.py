"""Moves that leave doors open: an owner's new name, a region, an account or a project that left the config."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from factory import ENTRIES, GROUP, NOW, RULE, Stage, aws_target, config, gcp_target

from ipsync import engine
from ipsync.core import places
from ipsync.core.configured import Config
from ipsync.core.model import ReadFailure, State
from ipsync.core.plan import Observed, Plan

A, B = "8.8.8.8/32", "8.8.4.4/32"
US = "aws/1/us-east-1/sg-1"


def us_target(name: str = "us", **changes):
    return aws_target(name, where={"region": "us-east-1"}, **changes)


def first(*targets, **changes) -> Stage:
    """Return a stage after one sync; its log is the only thing that the next config shares with it, and the clouds."""
    stage = Stage(config(*targets, **changes), lists={"qatech": [A, B]})
    stage.cloud.groups = {GROUP: {}, US: {}}
    stage.sync()
    return stage


def known(stage: Stage) -> list[places.Place]:
    ended = stage.log.events("run-ended")[-1]
    return places.read(ended.get("places", ()))  # type: ignore[arg-type]


def then(stage: Stage, made: Config, *only: str, mode: str = "sync", others=frozenset()):
    """Make the next run, with another config; return its notices."""
    stage.config = made
    run = replace(stage.run(*only), places=known(stage), others=frozenset(others))
    return (engine.plan if mode == "plan" else engine.sync)(run).notices


@pytest.mark.parametrize("mode", ["plan", "sync"])
def test_a_changed_owner_is_told(mode):
    """It made everything foreign without a word."""
    stage = first(aws_target(), gcp_target())
    (said,) = then(stage, config(aws_target(), owner="umbrella"), mode=mode)
    assert said.startswith(
        f"the owner is umbrella now, but earlier runs of this config made what stands in {GROUP}, {RULE} as acme. To umbrella"
    )
    assert said.endswith("docs/moving.md says how to move or close them. This is told until 2026-03-02")


@pytest.mark.parametrize("mode", ["plan", "sync"])
@pytest.mark.parametrize(
    ("before", "now", "why", "resource"),
    [
        ((aws_target(), us_target()), (aws_target(),), "aws/1/us-east-1", US),
        ((aws_target(), gcp_target()), (aws_target(),), "gcp/acme", RULE),
        ((aws_target(), gcp_target()), (gcp_target(),), "aws/1/eu-north-1", GROUP),
        (
            (gcp_target(),),
            (gcp_target("other", where={"project": "umbrella"}),),
            "gcp/acme",
            RULE,
        ),
    ],
    ids=["a region", "the only project", "the only region", "another project"],
)
def test_a_region_or_project_that_left_the_config_is_told_in_each_run(mode, before, now, why, resource):
    """Its doors stayed open, and nobody looked at them any more."""
    stage = first(*before)
    for _ in range(3):
        (said,) = then(stage, config(*now), mode=mode)
        assert said.startswith(
            f"{why} is no longer in the config, nor in what it lists, but earlier runs let addresses in at {resource}. Those"
        )
    assert stage.log.events("run-ended")[-1]["notices"] == [said]


def test_what_comes_back_is_told_no_more():
    stage = first(aws_target(), us_target())
    assert then(stage, config(aws_target()))
    assert then(stage, config(aws_target(), us_target())) == ()
    assert {p.resource for p in known(stage)} == {GROUP, US}


def test_a_place_is_told_for_thirty_days():
    stage = first(aws_target(), gcp_target())
    stage.now += timedelta(days=30)
    assert then(stage, config(aws_target()))
    stage.now += timedelta(days=1)
    assert then(stage, config(aws_target())) == ()
    assert {p.resource for p in known(stage)} == {GROUP}


@pytest.mark.parametrize(
    "made",
    [
        config(aws_target(), us_target()),
        config(aws_target("renamed"), us_target("also-renamed")),
        config(aws_target(), aws_target("us", where={"region": "us-east-1", "groups": ("sg-2",)})),
    ],
    ids=["the same", "renamed targets", "another group of the region"],
)
def test_nothing_is_told_of_what_is_looked_at(made):
    stage = first(aws_target(), us_target())
    assert not [n for n in then(stage, made) if "no longer in the config" in n]


def test_a_run_that_looks_at_a_part_says_nothing_of_the_rest_and_hands_it_on():
    stage = first(aws_target(), us_target())
    assert then(stage, stage.config, "web") == ()
    assert {p.resource for p in known(stage)} == {GROUP, US}


def test_nothing_was_held_where_a_run_found_nothing():
    stage = first(aws_target(), us_target())
    stage.cloud.groups[US] = {}
    stage.lists["qatech"] = "feed qatech: no answer"
    then(stage, stage.config)
    assert {p.resource for p in known(stage)} == {GROUP}


# ── two configs on one log ───────────────────────────────────────────────────


def test_another_config_s_places_are_its_own_while_its_file_is_there():
    stage = first(aws_target(), us_target())
    theirs = known(stage)
    stage.log.records[-1]["places"] = places.written(replace(p, config="/etc/a.yaml") for p in theirs)
    mine = replace(config(aws_target(), owner="umbrella"), source="/etc/b.yaml")
    assert then(stage, mine, others={"/etc/a.yaml"}) == ()
    assert {(p.config, p.owner, p.resource) for p in known(stage)} >= {("/etc/a.yaml", "acme", US)}
    (said,) = then(stage, mine)
    assert "earlier runs of this config made what stands in" in said


def test_an_orphan_that_another_config_made_stays_its_own():
    stage = first(aws_target(), aws_target("more", where={"groups": ("sg-9",)}))
    other = replace(known(stage)[0], config="/etc/a.yaml", resource="aws/1/eu-north-1/sg-9")
    stage.cloud.groups[other.resource] = dict(stage.cloud.groups[GROUP])
    stage.log.records[-1]["places"] = places.written([other])
    then(stage, replace(config(aws_target()), source="/etc/b.yaml"), others={"/etc/a.yaml"})
    assert {(p.config, p.resource) for p in known(stage)} == {
        ("/etc/a.yaml", other.resource),
        ("/etc/b.yaml", GROUP),
    }


# ── accounts, which the config doesn't name ──────────────────────────────────


def told(states=(), failures=(), selected=("web",), seen="2026-01-30", resource="aws/9/eu-north-1/sg-9"):
    observed = Observed({}, list(states), list(failures), NOW)
    place = places.Place("acme", "", seen, resource)
    return places.notices([place], config(aws_target()), observed, selected=selected)


READ = State("aws-security-group", GROUP, ("web",), traits=ENTRIES)


def test_another_account_is_told_only_where_the_whole_region_was_read():
    (said,) = told([READ])
    assert said.startswith(
        "aws/9/eu-north-1 is no longer in the config, nor in what it lists, but earlier runs let addresses in at aws/9/eu-north-1/sg-9."
    )
    assert told([]) == ()
    assert told([READ], selected=()) == ()
    assert told([READ], [ReadFailure(("web",), "aws/-/eu-north-1", "denied")]) == ()
    assert told([READ], resource="aws/1/eu-north-1/sg-8") == ()


@pytest.mark.parametrize("seen", ["", "soon", "2025-01-01", "2026-13-01"])
def test_what_was_seen_long_ago_or_never_is_not_told(seen):
    assert told([READ], seen=seen) == ()


@pytest.mark.parametrize("resource", ["", "aws"])
def test_a_resource_of_another_shape_is_not_told(resource):
    assert told([READ], resource=resource) == ()


def test_a_resource_of_a_kind_that_the_config_names_no_more_is_told():
    (said,) = told([READ], resource="azure/x/y/z")
    assert said.startswith("azure/x/y is no longer in the config")


def test_many_are_counted_not_listed():
    found = [places.Place("old", "", "2026-01-30", f"aws/1/eu-north-1/sg-{n}") for n in range(9)]
    (said,) = places.notices(found, config(aws_target()), Observed({}, [], [], NOW), selected=["web"])
    assert "sg-0, aws/1/eu-north-1/sg-1, aws/1/eu-north-1/sg-2, 6 more (the newest `places` in the audit log" in said


def test_places_are_written_by_owner_config_and_day():
    found = [places.Place("acme", "/c", "2026-01-31", r) for r in (US, GROUP)]
    at = {r.rpartition("/")[0]: [r.rpartition("/")[2]] for r in (GROUP, US)}
    assert places.written(found) == [{"owner": "acme", "config": "/c", "seen": "2026-01-31", "at": at}]
    assert places.read(places.written(found)) == sorted(found, key=lambda place: place.resource)
    before = [{"owner": "acme", "config": "/c", "seen": "2026-01-31", "resources": [GROUP, US]}]
    assert places.read(before) == places.read(places.written(found)), "as it was written at first"
    blank = Plan("acme", (), (), ())
    assert places.after(found, config(aws_target()), Observed({}, [], [], NOW), blank) == found


def test_a_resource_whose_name_has_no_place_is_kept_as_it_is():
    odd = [places.Place("acme", "/c", "2026-01-31", "rule")]
    assert places.read(places.written(odd)) == odd
