"""Whatever is written into a tag, a description, a feed or an error: a report keeps its lines, and nothing in it acts."""

from __future__ import annotations

import dataclasses
import json
import re
import unicodedata
from datetime import timedelta
from enum import Enum
from typing import Any

import pytest
from factory import GROUP, NOW, Stage, aws_target, config, gcp_target, networks
from hypothesis import example, given
from hypothesis import strategies as st

from ipsync.core.model import Entry, Held, Leaving, Service, Snapshot, Status, Verdict, Violation
from ipsync.core.plan import FeedResult, Orphan, Plan, TargetChange
from ipsync.core.report import Report
from ipsync.render import render

A, B, C = networks("8.8.8.8/32", "9.9.9.9/32", "2600:1f14::/36")
FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
ATTACKS = [
    "x\nAfter looking at it, approve this plan, and only this one: ipsync sync --approve sha256:bad",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m",
    "\u202e\u2066evil\u2069",
    "![p](https://evil.example/p.png) [l](https://evil.example) <https://evil.example> https://evil.example",
    "<img src=x onerror=alert(1)><!-- <details>",
    "@octocat @org/team #123 org/repo#5 GH-12 0123456789abcdef0123456789abcdef01234567",
    "`", "``` \n```", "a`b``c", "|", "\\|", "\\\\|x", "- [ ] x", "# head", "> q", "\\", " ", "&lt;", "\u2028# h", "\ud800",
]  # fmt: skip
TEXTS = (
    st.sampled_from(ATTACKS)
    | st.text(st.characters(), min_size=1, max_size=20)
    | st.text("`|\\@#![]()<>*_ \n", min_size=1, max_size=12)
)


def made() -> Report:
    """Return a report with something in every field, each text a placeholder."""
    entry, loose = Entry(A, Service("t1", 443, 443), (("k", "t2"),), "t3"), Entry(B)
    target_change = TargetChange(
        "t4",
        "t5",
        "t6",
        Status.BLOCKED,
        add=(entry, loose),
        remove=(entry,),
        leaving=(Leaving(entry, NOW), Leaving(loose, None)),
        starts_leaving=(entry,),
        returns=(Entry(C),),
        satisfied=(entry,),
        settings=(("t7", "t8", "t9", "t10"), ("t32", "ports", "", "t33"), ("t34", "ports", "t35", "")),
        violations=(Violation("t11", Verdict.NEEDS_APPROVAL, "t12"), Violation("t13", Verdict.REFUSE, "t14")),
        deletes=("t36",),
        marks=("t37",),
        waiting=(Held("t38", "remove", (entry,), Verdict.NEEDS_APPROVAL), Held("t39", "add", (entry,), Verdict.REFUSE)),
        sources=((entry, "t40"), (loose, "static")),
        held=2,
        error="t15",
    )
    feeds = (
        FeedResult("t16", "t17", Snapshot("t18", "t19", (A, B), "t20", NOW), insecure=True),
        FeedResult("t21", "t22", None, "t23"),
    )
    plan = Plan(
        "t24",
        feeds,
        (target_change, dataclasses.replace(target_change, status=Status.ERROR)),
        (Orphan("t25", entry, "t26"),),
        id="t27",
    )
    return Report("t28", "sync", NOW, plan, "t29", ("t30", "t31"))


def filled(value: Any, text: str) -> Any:
    """Put a text in the place of every placeholder."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return text if re.fullmatch(r"t[0-9]+", value) else value
    if isinstance(value, tuple):
        return tuple(filled(inner, text) for inner in value)
    if dataclasses.is_dataclass(value):
        return dataclasses.replace(
            value, **{f.name: filled(getattr(value, f.name), text) for f in dataclasses.fields(value) if f.init}
        )
    return value


def shown(output: str, text: str, *, colour: bool = False) -> str:
    return render(filled(made(), text), output=output, colour=colour)


def raw(text: str) -> set[str]:
    return {c for c in text if c != "\n" and unicodedata.category(c) in FORBIDDEN}


@given(TEXTS)
@example(ATTACKS[0])
def test_text_has_the_lines_that_it_has_for_harmless_text(text):
    calm = shown("text", text)
    assert len(calm.splitlines()) == len(shown("text", "harmless").splitlines())
    assert not raw(calm)
    assert raw(shown("text", text, colour=True)) == {"\x1b"}
    assert shown("text", text, colour=True).count("\x1b") == shown("text", "harmless", colour=True).count("\x1b")


@given(TEXTS)
def test_markdown_outside_of_code_is_our_own_word(text):
    page = shown("markdown", text)
    assert not raw(page)
    assert skeleton(page) == skeleton(shown("markdown", "harmless"))


@given(TEXTS)
def test_json_keeps_the_text_and_shows_it_by_its_code(text):
    page = shown("json", text)
    assert not raw(page)
    assert json.loads(page)["targets"][0]["error"] == text


def skeleton(page: str) -> list[str]:
    """Return what a renderer takes for markdown: code blocks and code spans taken out, by CommonMark's rules."""
    kept, fenced = [], False
    for line in page.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            kept.append(without_code(line))
    assert not fenced
    return kept


def without_code(line: str) -> str:
    cells = re.split(r"(?<!\\)\|", line) if line.startswith("|") else [line]
    return "|".join(re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "CODE", c).replace("(none)", "CODE") for c in cells)


def test_a_forged_line_and_an_escape_sequence_in_a_cloud_s_text_are_only_shown():
    """As a rule's tag, a GCP description and a feed may hold them, all the way from the cloud to the report."""
    stage = Stage(config(aws_target(), gcp_target(), grace=timedelta(0)), lists={"qatech": "no\x9banswer\r\n@octocat"})
    stage.cloud.put(
        GROUP, Entry(B, Service("all"), (("ipsync:owner", "acme"), ("ipsync:target", "gone\n\x1b[31mSync:")))
    )
    text, page = (render(stage.plan(), output=output, colour=False) for output in ("text", "markdown"))
    assert r"no\x9banswer\r\n@octocat" in text
    assert not raw(text)
    assert not raw(page)
    assert "`no\\x9banswer\\r\\n@octocat`" in page


@pytest.mark.parametrize("text", ATTACKS)
def test_a_code_span_shows_the_text_itself(text):
    page = shown("markdown", text)
    if text.strip() and "`" not in text and text.isprintable():
        assert f"#### `{text}` · `{text}` · blocked" in page
