"""The config file: YAML to a frozen Config, with every error at once, each with its file, line and key.

yaml_document.py reads the YAML; schema.py says what may stand in it, with the types of fields.py, amounts.py, ports.py and
expressions.py; rules.py what fits together; messages.py tells pydantic's errors to people, build.py makes the Config, and
published.py the JSON Schema.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ipsync.config import rules as across
from ipsync.config import yaml_document as documents
from ipsync.config.build import build
from ipsync.config.schema import File, file_model
from ipsync.config.yaml_document import Document, Problem
from ipsync.core.canonical import canonical, digest, sha256
from ipsync.core.configured import Config
from ipsync.core.errors import UsageError
from ipsync.targets import registry

LARGEST = 1024 * 1024
"""Bytes of a config file: far more than any has, far less than what could hurt."""


class ConfigError(UsageError):
    """Everything that is wrong with a config file, a line each."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self._lines = lines

    @property
    def lines(self) -> tuple[str, ...]:
        """Each problem is a line of its own."""
        return self._lines


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read, check and freeze a config file. Raises ConfigError with all problems, a line each."""
    document = documents.read(_text(path), environ)
    file = _checked(document) if document.value is not None or not document.problems else None
    if file is None or document.problems:
        problems = sorted(dict.fromkeys(document.problems), key=lambda p: p.line)
        raise ConfigError(*(f"{path}:{_said(p)}" for p in problems))
    source = os.path.abspath(path)  # noqa: PTH100 - links stay: each change of a ConfigMap aims them elsewhere
    return replace(build(file, digest=_digest(document)), source=source)


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the file, for editors and CI."""
    from ipsync.config.published import schema as made  # noqa: PLC0415 - one command needs it

    return made()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: the config can't be read: {why}; name another with -c PATH") from None
    if len(data) > LARGEST:
        raise ConfigError(f"{path}: more than {LARGEST} bytes are too many for a config; name another with -c PATH")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8; save the file in that encoding") from None


def _checked(document: Document) -> File | None:
    if not isinstance(document.value, dict):
        document.add((), "the file must hold keys and values, beginning with `version: 1`")
        return None
    file = None
    try:
        file = file_model(_kinds(document.value)).model_validate(document.value)
    except ValidationError as error:
        from ipsync.config.messages import explain  # noqa: PLC0415 - only errors need words

        for item in error.errors(include_url=False):
            explain(document, item)
    across.check(document, file)
    return file


def _kinds(value: dict[str, Any]) -> tuple[str, ...]:
    """Return the kinds that the file names; where one isn't known, ours too, so that the error can name them."""
    targets = value.get("targets")
    listed = targets if isinstance(targets, list) else []
    named = sorted({str(t.get("kind")) for t in listed if isinstance(t, dict)})
    known = [name for name in named if registry.kind(name)]
    return (
        tuple(known)
        if known and known == named
        else (*registry.BUILT_IN, *(k for k in known if k not in registry.BUILT_IN))
    )


def _said(problem: Problem) -> str:
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in problem.path).lstrip(".")
    return f"{problem.line}: {key}: {problem.text}" if key else f"{problem.line}: {problem.text}"


# ── the digest: which config a saved plan was made with ──────────────────────


def _digest(document: Document) -> str:
    return digest(_hidden(document, document.value, ()))


def _hidden(document: Document, value: Any, path: documents.Path) -> Any:
    """Put a hash in place of each secret, so that the digest's preimage holds none."""
    if isinstance(value, dict):
        return {key: _hidden(document, inner, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hidden(document, inner, (*path, i)) for i, inner in enumerate(value)]
    return {"sha256": sha256(canonical(value))} if documents.meant_secret(path) else value
