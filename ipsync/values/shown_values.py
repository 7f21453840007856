"""What the modules of config values share: an error that may or may not show the value, and a type's JSON Schema."""

from __future__ import annotations

from typing import Any

from pydantic import WithJsonSchema

FROM_VARIABLE = r"\$\{"
"""Editors check the file before variables are filled in."""
LONGEST = 60
"""Characters of a value that fit into an error."""


class Shown(ValueError):
    """An error whose text names the value; `discreet` says the same without it."""

    def __init__(self, value: object, text: str, *, told: str = "") -> None:
        super().__init__(told or f"{short(value)} {text}")
        self.discreet = text


def short(value: object) -> str:
    """Return a value as it may stand in an error, if it isn't from the environment: as YAML has it, not Python."""
    if value is None or isinstance(value, bool):
        return {None: "an empty value", True: "true", False: "false"}[value]
    return repr(value) if len(repr(value)) <= LONGEST else repr(value)[: LONGEST - 1] + "…"


def pattern(form: str) -> str:
    """Return the schema's pattern for a form: the whole text, or one with a variable in it."""
    return f"^(?:{form})$|{FROM_VARIABLE}"


def text_schema(form: str, *examples: str, **more: object) -> Any:
    """Describe a text of a form, in the schema."""
    return WithJsonSchema({"type": "string", "examples": list(examples), "pattern": pattern(form), **more})


def either_schema(form: str, number: dict[str, object], *examples: object, **more: object) -> Any:
    """Describe a text of a form or a number, in the schema."""
    text = {"type": "string", "pattern": pattern(form), **more}
    return WithJsonSchema({"anyOf": [text, number], "examples": list(examples)})
