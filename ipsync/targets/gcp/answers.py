"""Is an answer Compute Engine's? Each page, rule and operation must say so itself.

google-cloud-compute leaves out of an answer whatever it doesn't know. So what a gateway says in Google's place, `{}` or
`{"status": "ok"}` with 200, becomes an empty list of rules. Every resource of the API names its own kind (Compute
Engine's discovery document, the `kind` of each schema): an answer without it is no answer.
"""

from __future__ import annotations

from typing import Any

from ipsync.targets.gcp.rules import ours

PAGE, RULE, OPERATION, PROJECT = "compute#firewallList", "compute#firewall", "compute#operation", "compute#project"
STATES = {"PENDING", "RUNNING", "DONE"}


class Unreadable(ValueError):
    """An answer of another shape than asked for. It says nothing about what there is, or what was done."""


def plain(answer: Any) -> Any:
    """Return the protobuf message inside one of the library's: each look at a field of theirs takes 30 µs."""
    return type(answer).pb(answer)


def page(answer: Any) -> Any:
    """Return one page of rules as it came. Raises Unreadable for anything else, or for a rule that lacks something."""
    _of_kind(answer, PAGE)
    for item in answer.items:
        rule(item)
    return answer


def rule(answer: Any, *, name: str = "") -> Any:
    """Return a rule (of this name, if one was asked for) as it came. Raises Unreadable where something is missing."""
    _of_kind(answer, RULE)
    _has(answer, "name", "network", "direction")
    if name and answer.name != name:
        raise Unreadable(f"rule {answer.name} came in place of {name}")
    if not answer.allowed and not answer.denied:
        raise Unreadable(f"rule {answer.name} neither allows nor denies anything")
    sources = answer.source_ranges or answer.source_tags or answer.source_service_accounts
    if answer.direction == "INGRESS" and ours(answer.description) and not sources:
        raise Unreadable(f"rule {answer.name} has no sources; Google shows 0.0.0.0/0 where everybody is let in")
    return answer


def operation(answer: Any, *, name: str = "") -> Any:
    """Return an operation (of this name, if one was asked for) as it came. Raises Unreadable for anything else."""
    _of_kind(answer, OPERATION)
    _has(answer, "name")
    if name and answer.name != name:
        raise Unreadable(f"operation {answer.name} came in place of {name}")
    if state(answer) not in STATES:
        raise Unreadable(f"operation {answer.name} has no status")
    return answer


def state(answer: Any) -> str:
    """Return an operation's status as a word: the library may give an enum's value, or a text."""
    return str(getattr(answer.status, "name", answer.status))


def permissions(answer: object) -> set[str]:
    """Return which permissions are held (Resource Manager, projects.testIamPermissions); none is an empty object."""
    if not isinstance(answer, dict) or answer.keys() - {"permissions"}:
        raise Unreadable("it isn't a list of permissions")
    held = answer.get("permissions", [])
    if not isinstance(held, list) or not all(isinstance(p, str) for p in held):
        raise Unreadable("it isn't a list of permissions")
    return set(held)


def rules_limit(answer: object) -> int:
    """Return the limit of the quota FIREWALLS of a project. Raises Unreadable where it isn't there."""
    if not isinstance(answer, dict) or answer.get("kind") != PROJECT:
        raise Unreadable(f"it isn't a {PROJECT}")
    quotas = answer.get("quotas")
    items = [q for q in quotas if isinstance(q, dict)] if isinstance(quotas, list) else []
    limit = next((q.get("limit") for q in items if q.get("metric") == "FIREWALLS"), None)
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise Unreadable("a project without the quota FIREWALLS")
    return int(limit)


def _of_kind(answer: Any, kind: str) -> None:
    if answer.kind != kind:
        raise Unreadable(f"it isn't a {kind}" + (f" but a {answer.kind[:60]}" if answer.kind else ""))


def _has(answer: Any, *fields: str) -> None:
    if missing := [field for field in fields if not getattr(answer, field)]:
        raise Unreadable(f"a {answer.kind} without {', '.join(missing)}")
