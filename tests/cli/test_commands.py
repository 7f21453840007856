"""The table of commands: help that fits its lines, and a start that loads nothing that isn't needed."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from ipsync.cli import COMMANDS, cli

HEAVY = {"boto3", "rich", "botocore", "google", "pydantic", "yaml", "requests", "jmespath", "moto", "flask", "schedule"}
HEAVY |= {"prometheus_client", "jinja2", "waitress"}


def groups(command=cli, name="ipsync"):
    """Every group and, below it, each group of its own, as (words, command)."""
    if isinstance(command, click.Group):
        yield name, command
        context = click.Context(command)
        for each in command.list_commands(context):
            yield from groups(command.get_command(context, each), f"{name} {each}")


def test_each_line_of_the_table_holds_a_command_of_its_name():
    context = click.Context(cli)
    assert {name: cli.get_command(context, name).name for name in COMMANDS} == {name: name for name in COMMANDS}
    assert cli.get_command(context, "nope") is None


@pytest.mark.parametrize(("name", "group"), list(groups()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_summary_fits_its_line(name, group):
    shown = CliRunner().invoke(group, ["--help"]).output
    assert "..." not in shown.replace("[ARGS]...", "")
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_help_ends_with_the_page_to_read_next():
    *_, last = CliRunner().invoke(cli, ["--help"]).output.strip().split("\n\n")
    assert last.split() == cli.epilog.split()


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["plan", "--help"], ["audit", "--help"], ["qatech", "run", "start", "--help"], []],
)
def test_help_loads_nothing_heavy(words):
    code = (
        "import json, sys\nfrom ipsync.cli import main\nsys.argv = ['ipsync', *sys.argv[1:]]\n"
        "try:\n    main()\nfinally:\n    print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not {name.split(".")[0] for name in loaded} & HEAVY
    assert not {
        name for name in loaded if name.startswith(("ipsync.app", "ipsync.engine", "ipsync.targets", "ipsync.sandbox"))
    }


def test_a_command_loads_its_own_module_alone():
    code = "import sys\nfrom ipsync.cli import cli\ncli.get_command(None, 'schema')\nprint([m for m in sys.modules if m in set(sys.argv[1:])])"
    done = subprocess.run(
        [sys.executable, "-c", code, *set(COMMANDS.values())], capture_output=True, text=True, check=True
    )
    assert done.stdout == "['ipsync.cli.schema']\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "--valid-for", "4h"], "--valid-for is for --out; add it, or leave --valid-for out"),
        (["run", "--lease", "ns/name"], "--lease is for --leader-elect; add it, or leave --lease out"),
    ],
)
def test_an_option_that_would_say_nothing_is_an_error(words, said, tmp_path):
    done = CliRunner().invoke(cli, [*words, "-c", str(tmp_path / "none.yaml")])
    assert (done.exit_code != 0, said in done.output) == (True, True), done.output
