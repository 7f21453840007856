"""docs/config.md has every key of the schema, with its description and default, and no other.

`python tests/config/test_reference.py` writes the page's tables anew.
"""

from __future__ import annotations

import re
from pathlib import Path

from ipsync import config

PAGE = Path(__file__).parents[2] / "docs/config.md"
PARTS = {
    "": ("", "File"),
    "A feed": ("feeds.NAME.", "Feed"),
    "Guards": ("guards.", "Guards"),
    "min-prefix": ("guards.min-prefix.", "MinPrefix"),
    "max-removals and max-additions": ("guards.max-….", "Threshold"),
    "max-growth": ("guards.max-growth.", "Growth"),
    "max-coverage": ("guards.max-coverage.", "Coverage"),
    "Every target": ("targets[].", "Target"),
    "aws-security-group": ("targets[].", "AwsSecurityGroup"),
    "account": ("targets[].account.", "Account"),
    "accounts": ("targets[].accounts[].", "Accounts"),
    "organization": ("targets[].accounts[].organization.", "Organization"),
    "match": ("targets[].match.", "Match"),
    "gcp-firewall": ("targets[].", "GcpFirewall"),
    "projects": ("targets[].projects.", "ListedProjects"),
    "aws-prefix-list": ("targets[].", "AwsPrefixList"),
    "waves": ("waves[].", "Wave"),
    "verify": ("verify.NAME.", "Check"),
    "qatech": ("verify.NAME.qatech.", "Qatech"),
    "applications": ("verify.NAME.qatech.applications[].", "Application"),
    "environment": ("….environment.", "Environment"),
    "removal": ("removal.", "Removal"),
    "audit": ("audit.", "Audit"),
    "schedule": ("schedule.", "Schedule"),
    "notify": ("notify[].", "Notification"),
    "Emulators": ("aws.", "Aws"),
    "Emulators, GCP": ("gcp.", "Gcp"),
}
"""The tables in the page's order: the keys' prefix, and the schema's name for what holds them."""

KINDS = ("AwsSecurityGroup", "GcpFirewall", "AwsPrefixList")


def models() -> dict[str, dict]:
    schema = config.schema()
    found = {"File": schema, **schema["$defs"]}
    kinds = {name: found[name] for name in KINDS}
    shared = set.intersection(*(set(kind["properties"]) for kind in kinds.values())) - {"kind"}
    one = kinds["AwsSecurityGroup"]
    found["Target"] = {**one, "properties": {k: v for k, v in one["properties"].items() if k in shared}}
    for name, model in kinds.items():
        found[name] = {**model, "properties": {k: v for k, v in model["properties"].items() if k not in shared}}
    return found


def table(prefix: str, model: dict) -> str:
    rows = ["| key | what it does | default |", "|---|---|---|"]
    for key, node in model["properties"].items():
        default = f"`{shown(node['default'])}`" if "default" in node else ""
        default = "required" if key in model.get("required", ()) else default
        rows.append(f"| `{prefix}{key}` | {node['description']} | {default} |".replace("  |", " |"))
    return "\n".join(rows)


def shown(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def tables() -> list[str]:
    found = models()
    return [table(prefix, found[name]) for prefix, name in PARTS.values()]


def written(page: str) -> list[str]:
    return re.findall(r"^\| key \|(?:.*\n)(?:\|.*(?:\n|$))+", page, re.MULTILINE)


def test_the_page_has_every_key_with_its_description_and_default():
    assert [t.strip() for t in written(PAGE.read_text())] == tables(), "run: python tests/config/test_reference.py"


def test_every_section_of_the_schema_stands_in_a_table():
    assert {name for _, name in PARTS.values()} == set(models())


if __name__ == "__main__":
    text, made = PAGE.read_text(), iter(tables())
    PAGE.write_text(
        re.sub(r"^\| key \|(?:.*\n)(?:\|.*(?:\n|$))+", lambda _: next(made) + "\n", text, flags=re.MULTILINE)
    )
