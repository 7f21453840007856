"""docs/cli.md is what the commands say of themselves."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_commands_is_up_to_date(monkeypatch):
    monkeypatch.delenv("IPSYNC_CONFIG", raising=False)
    made = runpy.run_path(str(DOCS / "make_cli.py"))["page"]()
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == made, "run `make docs`"


@pytest.mark.parametrize(
    "command", ["plan", "sync", "apply", "run", "check", "qatech run start", "audit verify", "demo"]
)
def test_the_page_names_each_command(command):
    assert f"## ipsync {command}\n" in (DOCS / "cli.md").read_text(encoding="utf-8")
