"""What the linters can't say of the house: where no cloud and no kind is named, and how large it may grow."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

import ipsync
from ipsync.targets import registry

ROOT = Path(ipsync.__file__).parent
TERMINOLOGY = ROOT.parent / "docs" / "terminology.md"
BLIND = ("core", "engine", "render", "audit")
BUCKETS = ROOT / "audit" / "buckets.py"
"""The log's copies go to object stores, which are the clouds' own."""
NAMES = re.compile(r"(?<![a-z])(aws|gcp|ec2|google|amazon|boto3|botocore|azure)(?![a-z])", re.IGNORECASE)


def said(tree: ast.AST) -> Iterator[str]:
    """Yield every name and every text of a module but its docstrings, which may name a cloud as an example."""
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
            yield node.value
        yield from (v for f in ("id", "attr", "name", "arg", "module") if isinstance(v := getattr(node, f, None), str))


@pytest.mark.parametrize("room", BLIND)
def test_no_cloud_and_no_kind_is_named_where_all_are_treated_alike(room):
    kinds = set(registry.names())
    for path in sorted((ROOT / room).rglob("*.py")):
        if path == BUCKETS:
            continue
        words = list(said(ast.parse(path.read_text(encoding="utf-8"))))
        wrong = [word for word in words if NAMES.search(word.replace("_", " ")) or word in kinds]
        assert wrong == [], f"{path.relative_to(ROOT)} names a cloud or a kind: a trait should say it"


def test_the_search_finds_a_cloud_s_name():
    words = list(said(ast.parse('if target.kind == "aws-security-group":\n    aws_only()')))
    assert [w for w in words if NAMES.search(w.replace("_", " "))] == ["aws-security-group", "aws_only"]


# ── figures that must not grow ───────────────────────────────────────────────

Arrow = tuple[str, str]
LENGTHS = {"median": 6, "p90": 15, "max": 39}


def modules() -> dict[str, ast.Module]:
    """Return every module of the program by its path."""
    return {str(p.relative_to(ROOT)): ast.parse(p.read_text(encoding="utf-8")) for p in sorted(ROOT.rglob("*.py"))}


def room_of(path: str) -> str:
    """Return the room that a module is in, or is: a folder of the house, or a file beside them."""
    return path.split("/", maxsplit=1)[0].removesuffix(".py")


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the rooms that a module imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "ipsync":
            yield from (alias.name for alias in node.names if not alias.name.startswith("__"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ipsync."):
            yield node.module.split(".")[1]


def arrows() -> set[Arrow]:
    """Return which room imports which."""
    found = {(room_of(path), other) for path, tree in modules().items() for other in imported(tree)}
    return {(one, other) for one, other in found if one != other}


def floors(rooms: set[str], found: set[Arrow]) -> int:
    """Return how many floors the house has: the most rooms that stand one upon the other."""
    number, left = 0, set(rooms)
    while left:
        number += 1
        lowest = {room for room in left if not any(one == room and other in left for one, other in found)}
        assert lowest, f"an arrow points back up among {sorted(left)}"
        left -= lowest
    return number


def test_the_house_has_few_rooms_floors_and_arrows():
    found = arrows()
    rooms = {room for arrow in found for room in arrow}
    figures = (len(rooms), floors(rooms, found), len(found))
    print("rooms, floors, arrows:", *figures)
    assert all(is_ <= most for is_, most in zip(figures, (20, 9, 65), strict=True)), figures


def test_floors_are_counted_and_a_circle_is_found():
    assert floors({"a", "b", "c"}, {("a", "b"), ("b", "c")}) == 3
    with pytest.raises(AssertionError, match="points back up"):
        floors({"a", "b"}, {("a", "b"), ("b", "a")})


def test_modules_and_functions_stay_short():
    assert {p: n for p in modules() if (n := len((ROOT / p).read_text().splitlines())) > 300} == {}
    lengths = sorted(
        (node.end_lineno - node.lineno + 1, f"{path}: {node.name}")
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    counts = [count for count, _ in lengths]
    figures = {"median": statistics.median(counts), "p90": counts[len(counts) * 9 // 10], "max": counts[-1]}
    print("lines of a function:", figures)
    assert all(figures[name] <= most for name, most in LENGTHS.items()), (figures, lengths[-3:])


def test_a_newcomer_has_few_nouns_to_learn():
    table = TERMINOLOGY.read_text().partition("## Nouns")[2].partition("## Words")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")][1:]
    nouns = [noun.strip() for row in rows for noun in row.split(",")]
    print("nouns:", len(nouns))
    assert 30 < len(nouns) <= 40, nouns


def torn(tree: ast.Module) -> list[int]:
    """Return the lines that import a part of requests before requests itself, in the same function or module."""
    scopes = [tree, *(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))]
    found = []
    for scope in scopes:
        whole = False
        for node in scope.body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            whole = whole or "requests" in names
            found += [node.lineno for name in names if name.startswith("requests.") and not whole]
    return found


def test_nobody_imports_a_part_of_requests_before_the_whole():
    # Two threads of `ipsync check` did at the same moment: Python lets a part be imported while the package still is,
    # each of its circles then waits for the other thread, and "partially initialized module" is what a user reads.
    assert {path: lines for path, tree in modules().items() if (lines := torn(tree))} == {}
    assert torn(ast.parse("def f():\n    from requests.adapters import HTTPAdapter\nimport requests.utils")) == [3, 2]
    assert torn(ast.parse("import requests\nfrom requests.adapters import HTTPAdapter")) == []
