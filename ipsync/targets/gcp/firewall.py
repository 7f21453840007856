"""The kind `gcp-firewall`: a VPC firewall rule of one project; IPv6 goes to RULE-v6, overflow to RULE-2.

What the config may say of it, what fits together, its traits, and where its reader and its writer are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from ipsync.core.configured import Target
from ipsync.core.errors import CloudError
from ipsync.targets.base import Endpoints, Kind, Path, Places, Problems, Reader, Writer, as_configured, must, some, when
from ipsync.targets.gcp.rules import NAME, TRAITS, where_of
from ipsync.targets.gcp.where import GcpMany, GcpRule
from ipsync.values import fields as f
from ipsync.values import models
from ipsync.values.models import Strict

AGREED = ("network", "priority", "ports", "target_tags", "target_service_accounts", "max_ranges")
"""What a rule has one of, whoever names it."""
LISTED = "-"
"""In place of a project: only a run knows which ones these are."""
_NEIGHBOUR = re.compile(r"(.+?)(?:-v6)?(?:-[0-9]+)?")


class ListedProjects(Strict):
    """Projects that Resource Manager lists: those of a folder, with labels, or both."""

    folder: f.Folder | None = Field(
        None, description="A folder's number: its projects, and those of all folders beneath."
    )
    labels: dict[f.LabelKey, f.LabelValue] = Field({}, description="Only projects that have all of these labels.")


def _form(value: object) -> str:
    return "listed" if isinstance(value, dict) else "list"


Projects = Annotated[
    Annotated[list[f.Project], Field(min_length=1), f.Unique, Tag("list")] | Annotated[ListedProjects, Tag("listed")],
    Discriminator(_form),
]


class GcpFirewall(models.Target):
    """A VPC firewall rule of one project or of many; IPv6 goes to RULE-v6, overflow to RULE-2."""

    kind: Literal["gcp-firewall"] = Field(description="Which kind of target this is.")
    project: f.Project | None = Field(
        None, description="The project's id; with a Shared VPC, the host project's; or projects."
    )
    projects: Projects | None = Field(None, description="Several projects, or those of a folder or with labels.")
    network: f.NetworkName = Field("default", description="The VPC network's name.")
    rule: f.Rule = Field(
        description="The rule's name, at most 56 characters; IPv6 goes to RULE-v6, overflow to RULE-2."
    )
    priority: Annotated[int, Field(ge=0, le=65535)] = Field(1000, description="0 (first) to 65535.")
    target_tags: Annotated[list[f.Tag], f.Unique] = Field(
        [], description="Only instances with one of these network tags; not with target_service_accounts."
    )
    target_service_accounts: Annotated[list[f.ServiceAccount], f.Unique] = Field(
        [], description="Only instances that run as one of these; not with target_tags."
    )
    max_ranges: Annotated[int, Field(ge=1, le=5000)] = Field(
        256, description="Source ranges that one rule holds; more go to RULE-2."
    )


def where(target: GcpFirewall, endpoints: Endpoints) -> GcpRule | GcpMany:
    """Return where the target's rule is."""
    each = GcpRule(
        project=target.project or "",
        network=target.network,
        rule=target.rule,
        priority=target.priority,
        target_tags=tuple(sorted(target.target_tags)),
        target_service_accounts=tuple(sorted(target.target_service_accounts)),
        max_ranges=target.max_ranges,
        endpoint=endpoints["gcp"],
    )
    if target.projects is None:
        return each
    if isinstance(target.projects, list):
        return GcpMany(each, tuple(target.projects))
    return GcpMany(each, (), target.projects.folder, tuple(sorted(target.projects.labels.items())))


def check(path: Path, target: Mapping[str, Any], problems: Problems) -> None:
    """Say what doesn't fit together in one target."""
    if target.get("target_tags") and target.get("target_service_accounts"):
        problems.add(path, "a GCP rule has target_tags or target_service_accounts, not both; leave one out")
    project, projects = target.get("project"), target.get("projects")
    if project is not None and projects is not None:
        problems.add((*path, "projects"), "project and projects say where this target is; leave one of them out")
    if project is None and projects is None:
        problems.add((*path, "project"), "is required; add it, or projects")
    if isinstance(projects, dict) and not projects.get("folder") and not projects.get("labels"):
        problems.add((*path, "projects"), "needs a folder, or labels, or both")


def check_all(targets: Iterable[tuple[int, GcpFirewall]], problems: Problems) -> None:
    """Two targets may share a rule only if they ask the same of it, and not stand in each other's way."""
    seen: dict[tuple[str, str], tuple[int, GcpFirewall]] = {}
    for index, target in targets:
        for project in _projects(target):
            first, other = seen.setdefault((project, target.rule), (index, target))
            _agree((index, target), (first, other), problems)
    _neighbours(seen, problems)


def _projects(target: GcpFirewall) -> list[str]:
    """Return the target's projects as far as the config names them."""
    if isinstance(target.projects, list):
        return target.projects
    return [target.project] if target.project else [LISTED]


def _agree(second: tuple[int, GcpFirewall], first: tuple[int, GcpFirewall], problems: Problems) -> None:
    differ = [key for key in AGREED if _value(second[1], key) != _value(first[1], key)]
    if differ:
        path: Path = ("targets", second[0])
        rule = problems.shown((*path, "rule"), second[1].rule)
        text = (
            f"rule {rule} has another {', '.join(differ)} in the target on line {problems.line(('targets', first[0]))}"
        )
        problems.add(path, f"{text}; make them agree, or name another rule")


def _value(target: GcpFirewall, key: str) -> object:
    value = getattr(target, key)
    return frozenset(value) if isinstance(value, list) else value


def _neighbours(rules: Mapping[tuple[str, str], tuple[int, GcpFirewall]], problems: Problems) -> None:
    for (project, rule), (index, _) in rules.items():
        stems = {_stem(rule), rule.removesuffix("-v6"), re.sub(r"-[0-9]+$", "", rule)} - {rule}
        for stem in sorted(stems):
            if other := _of_one_project(rules, project, stem):
                path: Path = ("targets", index, "rule")
                line = problems.line(("targets", other[0]))
                text = "is a name that ipsync keeps for the IPv6 and the overflow of the rule"
                problems.add(path, f"{problems.shown(path, rule)} {text} on line {line}; choose another")


def _of_one_project(
    rules: Mapping[tuple[str, str], tuple[int, GcpFirewall]], project: str, rule: str
) -> tuple[int, GcpFirewall] | None:
    """Return a target that names a rule in a project, or may: what is listed may be any project."""
    may = [other for (p, name), other in rules.items() if name == rule and (p == project or LISTED in {p, project})]
    return may[0] if may else None


def _stem(rule: str) -> str:
    match = _NEIGHBOUR.fullmatch(rule)
    return match[1] if match else rule


def _reader(target: Target) -> Reader:
    from ipsync.targets.gcp.rule_reader import Reader as RuleReader

    return RuleReader(target)


def _places(targets: Sequence[Target]) -> Sequence[Places]:
    if not any(isinstance(t.where, GcpMany) for t in targets):
        return as_configured(targets)
    from ipsync.targets.gcp.listing import places

    return places(targets)


def _homes(targets: Sequence[Target]) -> Sequence[str | CloudError]:
    return [f"gcp/{where_of(t).project}" for t in targets]


def _writer(target: Target) -> Writer:
    from ipsync.targets.gcp.rule_writer import Writer as RuleWriter

    return RuleWriter(target)


_SOME_LABELS = {"required": ["labels"], "properties": {"labels": {"minProperties": 1}}}

KIND = Kind(
    name=NAME,
    traits=TRAITS,
    schema=GcpFirewall,
    where=where,
    reader=_reader,
    writer=_writer,
    places=_places,
    homes=_homes,
    check=check,
    check_all=check_all,
    schema_rules={
        "GcpFirewall": [
            when("target_tags", some(), {"properties": {"target_service_accounts": {"maxItems": 0}}}),
            when(
                "projects",
                {"not": {"type": "null"}},
                {"properties": {"project": {"type": "null"}}},
                otherwise=must("project", "string"),
            ),
        ],
        "ListedProjects": [when("folder", {"type": "string"}, {}, otherwise=_SOME_LABELS)],
    },
    schema_narrower={
        "GcpFirewall": ("ports", {"uniqueItems": True}),
        "ListedProjects": ("labels", {"propertyNames": {"pattern": f"^{f.LABEL_KEY}$"}}),
    },
)
