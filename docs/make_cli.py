"""Writes docs/cli.md from the commands themselves: `make docs`; with `-`, to standard output.

A test compares the two, so the page can't grow old.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from ipsync.cli import cli
from ipsync.core.exit_codes import ExitCode

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 100
HEAD = """# The commands

Made from the commands' own help by `make docs`; change the help, not this page.

Reports go to stdout, logs to stderr. With `--output json` stdout holds one JSON document and nothing else. `-c/--config PATH` names the
config file; without it `$IPSYNC_CONFIG` does, else it is `./ipsync.yaml`.

## Exit codes

| code | meaning |
|---|---|
"""
ORDER = "\nWhere several hold, the first of 4, 1, 3, 2, 0 wins. A usage error is 1. `ipsync qatech` has codes of its own: docs/verification.md.\n"


def page() -> str:
    """Return the page as it should be."""
    codes = "".join(f"| {code.value} | {code.meaning} |\n" for code in ExitCode)
    return HEAD + codes + ORDER + "".join(_section(name, text) for name, text in _helps("ipsync", cli))


def _section(name: str, text: str) -> str:
    return f"\n## {name}\n\n```text\n{text}\n```\n"


def _helps(name: str, command: click.Command, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    settings = {"terminal_width": WIDTH, **command.context_settings}
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=parent, **settings)
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            if below is not None:
                yield from _helps(f"{name} {word}", below, context)


if __name__ == "__main__":
    os.environ.pop("IPSYNC_CONFIG", None)
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8")
