"""The config file: YAML to a frozen Config, with every error at once, each with its file, line and key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ipsync.config import document as documents
from ipsync.config.build import build
from ipsync.config.document import Document
from ipsync.config.shape import File
from ipsync.errors import UsageError
from ipsync.model import Config

LARGEST = 1024 * 1024
"""Bytes of a config file: far more than any has, far less than what could hurt."""
ALWAYS_ON = {"feed", "special-use", "empty", "capacity", "drift"}
NO_KIND = "needs a kind: aws-security-group or gcp-firewall"
WORDS = {
    "missing": "is required",
    "union_tag_not_found": NO_KIND,
    "union_tag_invalid": NO_KIND,
    "string_type": "must be a text; YAML reads it as something else, so write it in quotes",
    "too_short": "must not be empty",
}
"""Our words for pydantic's kinds of error."""


class ConfigError(UsageError):
    """Everything that is wrong with a config file, a line each."""


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read, check and freeze a config file. Raises ConfigError with all problems, a line each."""
    document = documents.read(_text(path), environ)
    config = _checked(document) if document.value is not None or not document.problems else None
    if config is None or document.problems:
        problems = sorted(document.problems, key=lambda p: p.line)
        raise ConfigError("\n".join(f"{path}:{p.line}: {_key(p.path)}{p.text}" for p in problems))
    return config


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the file, for editors and CI."""
    made = File.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "ipsync config, version 1"}


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: the config can't be read: {error.strerror}; name another with -c PATH") from None
    if len(data) > LARGEST:
        raise ConfigError(f"{path}: {len(data)} bytes are too many for a config")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8") from None


def _checked(document: Document) -> Config | None:
    if not isinstance(document.value, dict):
        document.add((), "the file must hold keys and values, beginning with `version: 1`")
        return None
    try:
        shape = File.model_validate(document.value)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            _explain(document, item)
        return None
    return build(shape, document, digest=_digest(document.value))


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _key(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
    return f"{text}: " if text else ""


# ── pydantic's errors in our words ───────────────────────────────────────────


def _explain(document: Document, item: Mapping[str, Any]) -> None:
    path = _real_path(document.value, item["loc"])
    if path and path in {p.path for p in document.problems}:
        return  # said already: an unset variable, or another member of a union
    document.add(path, _words(path, item))


def _real_path(value: Any, loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Leave out what pydantic adds to a location: the names of union members and validators."""
    path: list[str | int] = []
    for i, step in enumerate(loc):
        inside = isinstance(value, dict) and step in value
        if inside or (isinstance(value, list) and isinstance(step, int) and step < len(value)):
            value = value[step]
        elif i < len(loc) - 1 or step == "[key]" or not isinstance(value, dict):
            continue
        path.append(step)
    return tuple(path)


def _words(path: tuple[str | int, ...], item: Mapping[str, Any]) -> str:
    kind = item["type"]
    if kind == "extra_forbidden":
        return _unknown(path)
    if kind == "value_error":
        return str(item["ctx"]["error"])
    if kind in WORDS:
        return WORDS[kind]
    return str(item["msg"]).replace("Input should be", "must be").replace("Input should", "must")


def _unknown(path: tuple[str | int, ...]) -> str:
    key = str(path[-1])
    if "guards" in path and key in ALWAYS_ON:
        return "this guard is always on and has no setting"
    import difflib  # noqa: PLC0415 - only errors need it

    near = difflib.get_close_matches(key, _known_keys(), 1)
    return f"unknown key; did you mean {near[0]}?" if near else "unknown key"


def _known_keys() -> list[str]:
    from ipsync.config import shape  # noqa: PLC0415 - only errors need it

    models = [m for m in vars(shape).values() if isinstance(m, type) and issubclass(m, shape.Strict)]
    return sorted({field.alias or name for m in models for name, field in m.model_fields.items()})
