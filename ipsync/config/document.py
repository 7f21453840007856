"""YAML to plain values that remember their lines, with `${NAME}` filled in from the environment.

Duplicate keys are errors (YAML lets the last one win), and a document can't unfold without bound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
MOST_NODES = 100_000
_VARIABLE = re.compile(r"\$(\$?)\{([^}]*)\}")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, and what would be right."""

    line: int
    path: Path
    text: str


@dataclass(slots=True)
class Document:
    """A parsed file: its values, the line of each path, and what is wrong with it so far."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def line(self, path: Path) -> int:
        """Return the line of a path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def add(self, path: Path, text: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.line(path), path, text))


def read(text: str, environ: Mapping[str, str]) -> Document:
    """Parse a text; syntax errors and unset variables are problems of the document."""
    document = Document()
    try:
        loader = _LOADER(text)
        node = loader.get_single_node()
        if node is not None:
            document.value = _Builder(document, loader, environ).build(node, ())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        what = getattr(error, "problem", None) or "it can't be read"
        document.problems.append(Problem(line, (), f"not YAML: {what}"))
    except (RecursionError, ValueError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        document.problems.append(Problem(1, (), f"not YAML: {what}"))
    return document


@dataclass(slots=True)
class _Builder:
    document: Document
    loader: Any
    environ: Mapping[str, str]

    def build(self, node: yaml.Node, path: Path) -> Any:
        self.document.nodes += 1
        if self.document.nodes > MOST_NODES:
            raise ValueError("it unfolds to too many values")
        self.document.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            here = (*path, key)
            if key in found:
                self.document.problems.append(Problem(key_node.start_mark.line + 1, here, "this key stands here twice"))
                continue
            found[key] = self.build(value_node, here)
            self.document.lines[here] = key_node.start_mark.line + 1
        return found

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        if node.tag in {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:binary"}:
            return str(node.value)
        try:
            value = self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            value = str(node.value)
        return self._filled(value, path) if isinstance(value, str) else value

    def _filled(self, text: str, path: Path) -> str:
        def fill(match: re.Match[str]) -> str:
            escaped, name = match.groups()
            if escaped:
                return match.group()[1:]
            if name not in self.environ:
                self.document.add(path, f"the environment variable {name} is not set")
                return ""
            return self.environ[name]

        return _VARIABLE.sub(fill, text)
