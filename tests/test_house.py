"""What the linters can't say of the house: no cloud and no kind is named where all of them are treated alike."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ipsync
from ipsync.targets import registry

ROOT = Path(ipsync.__file__).parent
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
