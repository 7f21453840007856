"""One entry, many projects: what Resource Manager lists, and what happens when it doesn't."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factory import NOW, Log, config, gcp_target, hosts, snapshot

from ipsync import engine
from ipsync.targets import registry
from ipsync.targets.base import Unlisted
from ipsync.targets.gcp.where import GcpMany, GcpRule

PERMISSIONS = ["resourcemanager.folders.get", "resourcemanager.folders.list", "resourcemanager.projects.list"]


def many(gcp, *projects: str, name="edge", folder=None, **labels):
    each = GcpRule("", "default", "allow-qatech", endpoint=gcp.endpoint)
    return replace(gcp_target(name), where=GcpMany(each, projects, folder, tuple(labels.items())))


def run(made, listed):
    clouds = engine.Clouds(
        lambda f: snapshot(listed, feed=f.name),
        registry.open_reader,
        registry.open_writer,
        pause=lambda _s: None,
        places=registry.places,
    )
    return engine.Run("r", made, clouds, Log(), lambda: NOW, frozenset(t.name for t in made.targets))


def statuses(report) -> list[tuple[str, str]]:
    return [(e.resource, e.status.value) for e in report.plan.target_changes]


def listed(target) -> list[str]:
    (found,) = registry.places([target])
    return [w.project for w in found.found]


@pytest.fixture
def tree(gcp):
    """A folder with two projects and a folder beneath it, with three; the page of the sandbox holds two."""
    top, inner = gcp.resources.folder("11"), gcp.resources.folder("12", parent="folders/11")
    for name in ("acme-one", "acme-two"):
        gcp.resources.project(name, parent=top, env="prod", tier="web")
    for name in ("acme-three", "acme-four", "acme-five"):
        gcp.resources.project(name, parent=inner, env="prod")
    gcp.resources.project("acme-gone", parent=inner, state="DELETE_REQUESTED", env="prod")
    gcp.resources.project("beside", parent=gcp.resources.folder("13"), env="prod")
    return gcp


def test_the_same_rule_in_every_project_of_a_folder_s_tree(tree):
    made = config(many(tree, folder="11", tier="web"))
    report = engine.sync(run(made, hosts(2)))
    assert statuses(report) == [("gcp/acme-one/allow-qatech", "applied"), ("gcp/acme-two/allow-qatech", "applied")]
    assert report.notices == ("target edge: 2 projects of folder 11 with the labels tier=web",)
    assert len(tree.firewalls("acme-two")["allow-qatech"]["sourceRanges"]) == 2
    assert {s for _, s in statuses(engine.sync(run(made, hosts(2))))} == {"in-sync"}


def test_every_page_of_every_folder_and_what_is_being_deleted_is_left_out(tree):
    (found,) = registry.places([many(tree, folder="11")])
    assert [w.project for w in found.found] == ["acme-five", "acme-four", "acme-one", "acme-three", "acme-two"]
    assert found.notices == ("target edge: 5 projects of folder 11, 1 being deleted left out (acme-gone)",)


def test_labels_alone_are_searched_for_and_all_of_them_must_be_there(tree):
    """Google joins several labels of a query by OR."""
    assert listed(many(tree, env="prod")) == sorted(
        ["acme-one", "acme-two", "acme-three", "acme-four", "acme-five", "beside"]
    )
    assert listed(many(tree, env="prod", tier="web")) == ["acme-one", "acme-two"]


def test_named_projects_are_asked_for_by_nobody(tree):
    tree.reset_calls()
    assert listed(many(tree, "acme-one", "elsewhere")) == ["acme-one", "elsewhere"]
    assert tree.calls == []


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_a_listing_that_is_denied_says_what_would_help_and_touches_nothing(tree, permission):
    made = config(many(tree, folder="11"))
    engine.sync(run(made, hosts(3)))
    before = tree.firewalls("acme-one")
    tree.deny(permission)
    report = engine.sync(run(made, hosts(2)))
    (error,) = report.plan.target_changes
    assert (error.resource, error.status.value) == ("gcp/-/allow-qatech", "error")
    assert error.error.startswith("listing the projects of folder 11: 403 ")
    assert error.error.endswith("--role=roles/resourcemanager.folderViewer")
    assert tree.firewalls("acme-one") == before


@pytest.mark.parametrize("fault", ["malformed", "500", "reset-before"])
def test_a_page_that_gives_no_answer_is_no_shorter_list(tree, fault, monkeypatch):
    monkeypatch.setattr("ipsync.targets.gcp.calls.FIRST_PAUSE", 0.0)
    monkeypatch.setattr("ipsync.targets.gcp.calls.DEADLINE", 0.2)
    tree.faults.plan("resources.projects.list", "", *[fault] * 200)
    (lost,) = registry.places([many(tree, folder="11")])[0].found
    assert isinstance(lost, Unlisted)
    assert lost.why.startswith("listing the projects of folder 11: ")
    assert lost.may_name("gcp/any/allow-qatech")
    assert not lost.may_name("gcp/any/other")


@pytest.mark.parametrize(
    "page",
    [
        {"status": "ok"},
        [],
        {"projects": "all"},
        {"projects": [{"projectId": "p"}]},
        {"projects": [{"projectId": "p", "state": "ACTIVE", "parent": "folders/9"}]},
        {"projects": [], "nextPageToken": 7},
    ],
)
def test_an_answer_of_another_shape_is_none(tree, page, monkeypatch):
    monkeypatch.setattr("ipsync.targets.gcp.calls.DEADLINE", 0.0)
    monkeypatch.setattr(tree, "_judge", lambda *_: None)
    monkeypatch.setattr(tree.resources.__class__, "_paged", lambda *_: page)
    (lost,) = registry.places([many(tree, folder="11")])[0].found
    assert "the answer isn't Google's" in lost.why


def test_a_folder_that_is_not_there_is_no_empty_one(tree):
    (lost,) = registry.places([many(tree, folder="99")])[0].found
    assert "listing the projects of folder 99: 403" in lost.why


def test_two_entries_ask_once(tree):
    tree.reset_calls()
    registry.places([many(tree, folder="11"), many(tree, name="two", folder="11")])
    operations = [c.operation for c in tree.calls]
    assert operations.count("resources.folders.get") == 1
    assert operations.count("resources.projects.list") == 3  # two pages of the inner folder


def test_two_targets_that_ask_for_another_rule_in_a_listed_project_are_told(tree):
    """The config can't know that they share it."""
    other = replace(
        gcp_target("other"), where=GcpRule("acme-one", "default", "allow-qatech", 900, endpoint=tree.endpoint)
    )
    report = engine.sync(run(config(many(tree, folder="11", tier="web"), other), hosts(2)))
    said = {e.resource: [v.detail for v in e.violations] for e in report.plan.target_changes if e.target == "edge"}
    assert said["gcp/acme-two/allow-qatech"] == []
    assert said["gcp/acme-one/allow-qatech"] == [
        "targets edge and other ask for another priority of this rule; make them agree, or name another `rule:`"
    ]
    assert "allow-qatech" not in tree.firewalls("acme-one")
