"""YAML to plain values that remember their lines, with `${NAME}` filled in from the environment.

Stricter than YAML: duplicate keys are errors (the last would win), so are its numbers that people misread (`010` is 8,
`1:30` is 90), tags, and documents that nest or unfold without bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
MOST_NODES = 100_000
DEEPEST = 40
"""Levels: far more than the config has, and few enough for libyaml's recursive composer, which overflows the C stack."""
_VARIABLE = re.compile(r"\$(\$?)\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NUMBER = {
    "int": re.compile(r"0|-?[1-9][0-9]{0,14}", re.ASCII),
    "float": re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,15}", re.ASCII),
}
_BOOL = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_TEXTS = {"str", "timestamp", "value"}
_SECRETS = {"hmac_key", "external_id", "secret", "token", "webhook", "slack"}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, and what would be right."""

    line: int
    path: Path
    text: str


@dataclass(slots=True)
class Document:
    """A parsed file: its values, the line of each path, and what is wrong with it so far.

    `written` holds what stands in the file where YAML or the environment made another value of it;
    `filled` the paths whose value came from the environment and may be a secret.
    """

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    written: dict[Path, str] = field(default_factory=dict)
    filled: set[Path] = field(default_factory=set)

    def line(self, path: Path) -> int:
        """Return the line of a path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def add(self, path: Path, text: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.line(path), path, text))

    def sound(self, path: Path) -> bool:
        """Say whether nothing is wrong at a path or inside of it, as far as is known."""
        return not any(p.path[: len(path)] == path for p in self.problems)

    def secret(self, path: Path) -> bool:
        """Say whether a value may not be shown: it, or something inside of it, is a secret or from the environment."""
        return meant_secret(path) or any(f[: len(path)] == path for f in self.filled)

    def shown(self, path: Path, value: object) -> str:
        """Return a value as an error may name it: one from the environment by its variable."""
        return self.written.get(path, "the value") if self.secret(path) else str(value)


def meant_secret(path: Path) -> bool:
    """Say whether a key holds a secret, wherever its value came from."""
    return "headers" in path or "hmac_keys_before" in path or (bool(path) and path[-1] in _SECRETS)


def read(text: str, environ: Mapping[str, str]) -> Document:
    """Parse a text; syntax errors and unset variables are problems of the document."""
    document = Document()
    try:
        _check_depth(text)
        node = _LOADER(text).get_single_node()
        if node is not None:
            document.value = _Builder(document, environ).build(node, ())
    except yaml.YAMLError as error:
        document.problems.append(_syntax(error, text))
    except _TooMuchError as error:
        document.problems.append(Problem(error.line, (), f"not a config: {error}"))
    return document


class _TooMuchError(Exception):
    """The document nests or unfolds further than any config."""

    def __init__(self, text: str, line: int) -> None:
        super().__init__(text)
        self.line = line


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        opens = isinstance(event, yaml.CollectionStartEvent)
        depth += opens - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            mark: Any = event.start_mark
            raise _TooMuchError("it is nested too deeply", mark.line + 1)


def _syntax(error: yaml.YAMLError, text: str) -> Problem:
    mark: Any = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else text[: getattr(error, "position", 0) or 0].count("\n") + 1
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it can't be read"
    around = "\n".join(text.split("\n")[max(line - 2, 0) : line])
    hint = '; inside { } and [ ], ${NAME} needs quotes: "${NAME}"' if re.search(r"[\[{].*\$\{", around) else ""
    if re.match(r" *\t", around.rpartition("\n")[2]):
        hint = "; indent with spaces, not with tabs"
    if what == "but found another document":
        what = "a second document begins here (---); keep one in a file"
    return Problem(line, (), f"not YAML: {what}{hint}")


@dataclass(slots=True)
class _Builder:
    document: Document
    environ: Mapping[str, str]
    nodes: int = 0

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._count(node)
        line = node.start_mark.line + 1
        if len(path) > DEEPEST:
            raise _TooMuchError("it is nested too deeply", line)
        self.document.lines.setdefault(path, line)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in {f"{_TAG}map", f"{_TAG}seq"}:
            self._no_tag(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._mapping(node, path)

    def _count(self, node: yaml.Node) -> None:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise _TooMuchError("it unfolds to too many values", node.start_mark.line + 1)

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for own, key_node, value_node in self._pairs(node, own=True):
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):  # and not its text: aliases unfold there too
                self.document.problems.append(Problem(line, path, "a key must be a plain word"))
                continue
            key, here = str(key_node.value), (*path, str(key_node.value))
            if not own:
                self._count(key_node)
            if key in found and own:
                first = self.document.line(here)
                text = f"this key stands here twice, first on line {first}; keep one"
                self.document.problems.append(Problem(line, here, text))
            elif key not in found:
                self.document.lines[here] = line
                found[key] = self.build(value_node, here)
        return found

    def _pairs(self, node: yaml.Node, *, own: bool) -> Iterator[tuple[bool, yaml.Node, yaml.Node]]:
        """Yield a mapping's own pairs, then those that `<<` brings in, which don't override."""
        merged = [v for k, v in node.value if k.tag == _MERGE]
        if len(merged) > 1:
            raise _TooMuchError("<< stands twice in one place; write <<: [*one, *other]", node.start_mark.line + 1)
        yield from ((own, k, v) for k, v in node.value if k.tag != _MERGE)
        for source in merged:
            self._count(source)
            for one in source.value if isinstance(source, yaml.SequenceNode) else [source]:
                if not isinstance(one, yaml.MappingNode) or any(k.tag == _MERGE for k, _ in one.value):
                    line = one.start_mark.line + 1
                    raise _TooMuchError("<< takes a mapping (or a list of them) that has no << of its own", line)
                yield from self._pairs(one, own=False)

    # ── scalars ──────────────────────────────────────────────────────────────

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        kind, text = node.tag.removeprefix(_TAG), str(node.value)
        if kind in _TEXTS:
            return self._filled(text, path)
        self.document.written[path] = text
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in _BOOL:
            return _BOOL[text.lower()]
        if kind in _NUMBER:
            return self._number(kind, text, path)
        return self._no_tag(node, path)

    def _number(self, kind: str, text: str, path: Path) -> int | float | None:
        if _NUMBER[kind].fullmatch(text):
            return int(text) if kind == "int" else float(text)
        shown = "this" if self.document.secret(path) else f"{text:.40}"
        why = "a number in a special form (octal, hexadecimal, minutes:seconds …) or a very long one"
        self.document.add(path, f"YAML reads {shown} as {why}; write a plain number, or a text in quotes")
        return None

    def _no_tag(self, node: yaml.Node, path: Path) -> None:
        tag = str(node.tag).replace(_TAG, "!!")
        self.document.add(path, f"the YAML tag {tag:.40} has no meaning here; leave it out")

    def _filled(self, text: str, path: Path) -> str:
        def fill(match: re.Match[str]) -> str:
            escaped, name, closed = match.groups()
            if escaped:
                return match.group()[1:]
            self.document.filled.add(path)
            return self._variable(name if closed else "", path)

        made = _VARIABLE.sub(fill, text)
        if made != text:
            self.document.written[path] = text
        if "\0" in made or not _encodable(made):
            self.document.add(path, "holds bytes that are not UTF-8 text; check the file, or the variable")
        return made

    def _variable(self, name: str, path: Path) -> str:
        if not _NAME.fullmatch(name):
            text = "${…} must hold a variable's name, without a default or an expression; $${ writes ${ itself"
            self.document.add(path, text)
        elif name not in self.environ:
            text = f"the environment variable {name} is not set; set it, or write $${{{name}}} to mean these very characters"
            self.document.add(path, text)
        return self.environ.get(name, "")


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
