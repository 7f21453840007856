"""The JSON Schema of the config file: pydantic's, with what it can't know of what fits together.

As strict as the tool, as far as JSON Schema can say it: what an editor passes should load. Every rule is a condition
(`if`, `then`), so that an error stands at the key that is wrong, not at everything around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ipsync.config.rules import PRESET, SINKS
from ipsync.config.schema import file_model
from ipsync.config.wave_rules import FOR_COMMANDS
from ipsync.targets import registry
from ipsync.targets.base import Kind, when
from ipsync.values.fields import OUR_HEADERS, PLAIN_HTTP, PLAIN_HTTP_HERE, RESERVED
from ipsync.values.models import old_names
from ipsync.values.ports import ALL
from ipsync.values.shown_values import pattern

Node = dict[str, Any]


def schema() -> Node:
    """Return the JSON Schema (draft 2020-12) of the file, for editors and CI."""
    names = registry.names()
    kinds = [kind for name in names if (kind := registry.kind(name))]
    made = _tidy(file_model(names).model_json_schema(by_alias=True))
    for name, rules in RULES.items():
        made["$defs"][name]["allOf"] = rules
    narrower = dict(NARROWER)
    for kind in kinds:
        made["$defs"][kind.schema.__name__]["allOf"] = [*EVERY_KIND, *_one_name_only(kind)]
        for name, rules in kind.schema_rules.items():
            known = made["$defs"][name].setdefault("allOf", [])
            known += [rule for rule in rules if rule not in known]  # kinds share models, and say the same of them
        narrower |= kind.schema_narrower
    for name, (key, node) in narrower.items():
        made["$defs"][name]["properties"][key] |= node
    made["properties"]["feeds"] |= FEEDS
    made["properties"]["verify"] |= {"propertyNames": FEEDS["propertyNames"]}
    made["properties"]["targets"]["items"] = _by_kind(made["properties"]["targets"]["items"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "ipsync config, version 1"}


# ── rules ────────────────────────────────────────────────────────────────────


def _must(key: str, holds: Node) -> Node:
    return {"required": [key], "properties": {key: holds}}


def _may(key: str, holds: Node) -> Node:
    return {"properties": {key: holds}}


def _any_case(word: str) -> str:
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in word)


SOME: Node = {"minItems": 1, "type": "array"}
_FEED_NAME = pattern("[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}").partition("|")[0]  # keys take no variables
_WANTS_SOMETHING = when(
    "feed", {"anyOf": [{"type": "string"}, SOME]}, {}, otherwise=_must("static", {**SOME, "type": "array"})
)
_ALL_ALONE = when("ports", {"contains": {"type": "string", "pattern": f"^{ALL}$"}}, _may("ports", {"maxItems": 1}))
_SOMETHING: Node = {"not": {"type": "null"}}
_ALWAYS_IS_ENOUGH = when("when", {"const": "always"}, _may("every", {"type": "null"}))
RULES: Mapping[str, list[Node]] = {
    "Feed": [
        when(
            "url",
            {"type": "string", "pattern": PLAIN_HTTP, "not": {"pattern": PLAIN_HTTP_HERE}},
            _must("insecure", {"const": True}),
        ),
        when("format", {"const": "text"}, _may("select", {"type": "null"})),
    ],
    "Notification": [
        {"oneOf": [_must(key, _SOMETHING) for key in SINKS]},
        when("secret", _SOMETHING, _must("webhook", _SOMETHING)),
    ],
    "Check": [
        {"oneOf": [_must("qatech", {"type": "object"}), _must("command", {"type": "array"})]},
        when("qatech", {"type": "object"}, {"not": {"anyOf": [{"required": [key]} for key in FOR_COMMANDS]}}),
        _ALWAYS_IS_ENOUGH,
    ],
    "Qatech": [_ALWAYS_IS_ENOUGH],
}
"""By the model's name: what concerns more than one of its keys."""
EVERY_KIND = (_WANTS_SOMETHING, _ALL_ALONE)
"""What concerns more than one key of any target."""
_HEADERS: Node = {
    "propertyNames": {
        "pattern": r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$",
        "not": {"pattern": f"^(?:{'|'.join(_any_case(h) for h in sorted(OUR_HEADERS))})$"},
    }
}
NARROWER: Mapping[str, tuple[str, Node]] = {
    "Feed": ("headers", _HEADERS),
}
"""By the model's name: a key, and what pydantic doesn't say of it."""
FEEDS: Node = {
    "propertyNames": {"pattern": _FEED_NAME, "not": {"enum": sorted(RESERVED)}},
    "properties": {PRESET: {"anyOf": [{"$ref": "#/$defs/Feed"}, {"type": "null"}]}},
    "additionalProperties": {"$ref": "#/$defs/Feed", **_must("url", {"type": "string"})},
}


def _one_name_only(kind: Kind) -> list[Node]:
    """Refuse an old name beside the new one."""
    return [when(new, {}, _may(old, {"not": {}})) for old, new in old_names(kind.schema).items()]


def _by_kind(items: Node) -> Node:
    """Choose a target's model by its kind, where pydantic tries them all and so tells nothing of any."""
    models: Mapping[str, str] = items["discriminator"]["mapping"]
    kind = {"enum": list(models), "description": "Which kind of target this is."}
    chosen = [when("kind", {"const": name}, {"$ref": place}) for name, place in models.items()]
    return {"type": "object", "required": ["kind"], "properties": {"kind": kind}, "allOf": chosen}


# ── what nobody reads ────────────────────────────────────────────────────────


def _tidy(node: Any) -> Any:
    """Leave out what pydantic adds and nobody reads: titles, and defaults that say nothing."""
    if isinstance(node, list):
        return [_tidy(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    return {k: _tidy(v) for k, v in node.items() if not (k == "title" or (k == "default" and _says_nothing(v)))}


def _says_nothing(default: Any) -> bool:
    return default is None or isinstance(default, dict | list)
