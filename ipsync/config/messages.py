"""Pydantic's errors in our words: where in the file, what is wrong, what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ipsync.config.schema import file_model
from ipsync.config.yaml_document import Document, Path
from ipsync.targets import registry
from ipsync.values.shown_values import Shown, short

ALWAYS_ON = {"feed", "special-use", "empty", "capacity", "drift"}
SHORT_KINDS = {
    "aws": "aws-security-group",
    "aws-sg": "aws-security-group",
    "sg": "aws-security-group",
    "gcp": "gcp-firewall",
    "google": "gcp-firewall",
    "google-compute-firewall": "gcp-firewall",
}
"""What people write whose letters are too few, or too many, to find the kind by."""
PLAIN_VALUES = {"int_type": "a whole number", "int_from_float": "a whole number", "bool_type": "true or false"}
READ_AS = {bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}
LISTS = {
    "ports": "[443/tcp]",
    "groups": "[sg-0123456789abcdef0]",
    "static": "[198.51.100.7/32]",
    "allow_special_use": "[10.0.0.0/8]",
    "feed": "[qatech]",
    "regions": "[eu-north-1, us-east-1]",
    "accounts": "[{role_arn: …}, {organization: {ou: …, role: ipsync}}]",
    "projects": "[acme-staging, acme-prod]",
    "command": "[/usr/local/bin/page, --quiet]",
    "on": "[blocked, failed]",
    "notify": "[{slack: …}]",
    "targets": "[{name: staging-web, kind: aws-security-group, …}]",
    "waves": "[{name: canary}]",
    "verify": "[smoke]",
    "applications": "[{application: app_gXeBl2}]",
    "target_tags": "[web]",
    "target_service_accounts": "[web@acme-staging.iam.gserviceaccount.com]",
}
MAPPINGS = {
    "max-removals": "{count: 1, percent: 30}",
    "max-additions": "{count: 20, percent: 50}",
    "max-growth": "{ipv4: 4096, ipv6: 16x/48, percent: 100}",
    "max-coverage": "{ipv4: /14, ipv6: 16x/32}",
    "min-prefix": "{ipv4: 16, ipv6: 32}",
    "match": "{tags: {NAME: VALUE}}",
    "feeds": "{qatech: {}}",
    "headers": '{Authorization: "Bearer ${TOKEN}"}',
    "removal": "{grace: 72h}",
    "guards": "{max-removals: {count: 1, percent: 30}}",
    "account": "{role_arn: …}",
    "audit": "{path: ./audit.jsonl}",
    "schedule": "{every: 15m}",
    "verify": "{smoke: {qatech: {}}}",
    "qatech": "{test_plan: pln_abc123}",
    "aws": "{endpoint_url: …}",
    "gcp": "{endpoint: …}",
    "targets": "{name: staging-web, kind: aws-security-group, …}",
    "accounts": "{role_arn: …}",
    "waves": "{name: canary}",
    "applications": "{application: app_gXeBl2}",
    "notify": "{slack: …}",
}
"""By key: a mapping that stands there, or in the list that stands there."""
NEEDED = "is required; add it"


def explain(document: Document, item: Mapping[str, Any]) -> None:
    """Note one of pydantic's errors, unless something was said of that place already."""
    path = _real_path(document.value, item["loc"], absent=item["type"] == "missing")
    if item["type"] == "string_type" and isinstance(item["input"], dict) and len(path) < len(item["loc"]):
        return  # of a key that takes a text or keys and values: what is wrong in these stands beside it
    path = (*path, *_kind_key(item))
    if path and any(p.path == path for p in document.problems):
        return  # an unset variable, or another member of a union
    document.add(path, _words(document, path, item))


def _real_path(value: Any, loc: tuple[str | int, ...], *, absent: bool) -> Path:
    """Leave out what pydantic adds to a location: the names of union members and validators.

    Only of a key that is `absent` is the last step not there.
    """
    path: list[str | int] = []
    for i, step in enumerate(loc):
        inside = isinstance(value, dict) and step in value
        if inside or (isinstance(value, list) and isinstance(step, int) and step < len(value)):
            value = value[step]
        elif not absent or i < len(loc) - 1 or not isinstance(value, dict):
            continue
        path.append(step)
    return tuple(path)


def _words(document: Document, path: Path, item: Mapping[str, Any]) -> str:
    kind, key = item["type"], str(path[-1]) if path else ""
    if kind in {"extra_forbidden", "union_tag_invalid", "union_tag_not_found"}:
        return _unknown(document.value, path) if kind == "extra_forbidden" else _no_kind(document, path)
    if kind == "value_error":
        return _told(document, path, item["ctx"]["error"])
    if kind == "string_type":
        return _no_text(document, path, item["input"])
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        named = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
        example = f" like {MAPPINGS[named]}" if named in MAPPINGS else ""
        empty = "; an empty section can be left out" if item["input"] is None else ""
        return f"must hold keys and values{example}{empty}"
    if kind == "list_type":
        return f"must be a list; write it like {LISTS.get(key, '[ONE, ANOTHER]')}"
    return _plainly(document, path, item)


def _unquoted(document: Document, path: Path, value: object) -> str:
    """Say what to do about a number or a truth value that is a text: a variable always is one."""
    if not isinstance(value, str) or not re.fullmatch("-?[0-9]+|true|false", value):
        return ""
    return ", and a variable is a text: write it here itself" if document.secret(path) else ", without quotes"


def _plainly(document: Document, path: Path, item: Mapping[str, Any]) -> str:
    kind, ctx = item["type"], item.get("ctx", {})
    if kind in PLAIN_VALUES:
        return f"must be {PLAIN_VALUES[kind]}{_unquoted(document, path, item['input'])}"
    told = {
        "missing": NEEDED,
        "too_short": "must not be empty; name at least one",
        "string_too_short": "must not be empty; is the variable empty?",
        "greater_than_equal": f"must be {ctx.get('ge')} or more",
        "less_than_equal": f"must be {ctx.get('le')} or less",
        "literal_error": f"must be {ctx.get('expected')}",
    }
    return told.get(kind) or str(item["msg"]).replace("Input should", "must")


def _kind_key(item: Mapping[str, Any]) -> Path:
    """Return the key that an error about a target's kind belongs to: a wrong one, or what was written in its place."""
    if item["type"] == "union_tag_invalid":
        return ("kind",)
    if item["type"] == "union_tag_not_found" and isinstance(item["input"], dict):
        return tuple(difflib.get_close_matches("kind", item["input"], 1, 0.7))
    return ()


def _kinds() -> list[str]:
    return list(registry.names())


def _no_kind(document: Document, path: Path) -> str:
    """Answer a kind that there isn't with the word that was written, and the one that it may mean."""
    if path[-1] != "kind":
        needs = f"needs a kind; write kind: {' or kind: '.join(_kinds())}"
        return needs if isinstance(path[-1], int) else "unknown key; did you mean kind?"
    value: Any = document.value
    for step in path:
        value = value[step]
    known = _kinds()
    if not isinstance(value, str):
        return f"is not a kind; there are {', '.join(known)}"
    written = value.lower().replace("_", "-").strip()
    near = [SHORT_KINDS[written]] if written in SHORT_KINDS else difflib.get_close_matches(written, known, 1, 0.5)
    instead = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    word = document.shown(path, value) if document.secret(path) else short(value)
    return f"{word} is not a kind of target; {instead}"


def _told(document: Document, path: Path, error: Exception) -> str:
    return error.discreet if isinstance(error, Shown) and document.secret(path) else str(error)


def _no_text(document: Document, path: Path, value: object) -> str:
    if type(value) not in READ_AS:
        return "must be a text, not a list or keys and values"
    if value is None:
        return "is empty; write a text, or leave the key out"
    written = document.written.get(path, "")
    if document.secret(path) or not written:
        return f"must be a text, but YAML reads it as {READ_AS[type(value)]}; write it in quotes"
    return f'must be a text, but YAML reads {written} as {READ_AS[type(value)]}; write it in quotes: "{written}"'


# ── keys that nobody knows ───────────────────────────────────────────────────


def _unknown(value: Any, path: Path) -> str:
    key = str(path[-1])
    if path[-2:-1] == ("guards",) and key.replace("_", "-") in ALWAYS_ON:
        return "this guard is always on and has no setting; take the key out"
    known = _known_keys(value, path[:-1])
    near = difflib.get_close_matches(key.replace("_", "-"), [k.replace("_", "-") for k in known], 1)
    if near:
        return f"unknown key; did you mean {next(k for k in known if k.replace('_', '-') == near[0])}?"
    return f"unknown key; known here: {', '.join(known)}"


@lru_cache(maxsize=1)
def _schema() -> dict[str, Any]:
    return file_model(registry.names()).model_json_schema(by_alias=True)


def _known_keys(value: Any, path: Path) -> list[str]:
    node = _schema()
    defs = node["$defs"]
    for step in path:
        node = _resolved(node, defs, value)
        inner = _items(node) if isinstance(step, int) else node.get("properties", {}).get(step)
        node, value = inner or node["additionalProperties"], value[step]
    return list(_resolved(node, defs, value)["properties"])


def _items(node: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a list holds, be it one of several forms of a value."""
    return next((form["items"] for form in (node, *node.get("anyOf", ())) if "items" in form), None)


def _resolved(node: dict[str, Any], defs: Mapping[str, Any], value: Any) -> dict[str, Any]:
    if "discriminator" in node:
        node = {"$ref": node["discriminator"]["mapping"][value["kind"]]}
    node = _model(node) or node
    return dict(defs[node["$ref"].rpartition("/")[2]]) if "$ref" in node else node


def _model(node: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the one form of a value that has keys."""
    forms = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    return dict(node) if "$ref" in node else next((found for n in forms if (found := _model(n))), None)
