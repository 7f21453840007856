"""docs/cli.md is what the commands say of themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_commands_is_up_to_date():
    command = [sys.executable, str(DOCS / "make_cli.py"), "-"]  # click keeps what another test made of a command
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == made, "run `make docs`"


@pytest.mark.parametrize(
    "command", ["plan", "sync", "apply", "run", "check", "qatech run start", "audit verify", "demo"]
)
def test_the_page_names_each_command(command):
    assert f"## ipsync {command}\n" in (DOCS / "cli.md").read_text(encoding="utf-8")
