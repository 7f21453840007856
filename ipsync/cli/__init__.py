"""The command line: the table of commands, and the way from a command's end to an exit code.

One module a group of commands; each is imported when its command is given, so that `--version` and `--help` load
nothing heavy. This room is the only one that prints: reports go to stdout, logs to stderr.
"""

from __future__ import annotations

import gc
import io
import logging
import os
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from ipsync import __version__
from ipsync.cli import streams
from ipsync.core.errors import AuditLogError, IpsyncError, PlanFileError
from ipsync.core.exit_codes import ExitCode

COMMANDS = {
    "plan": "ipsync.cli.sync",
    "sync": "ipsync.cli.sync",
    "apply": "ipsync.cli.sync",
    "run": "ipsync.cli.sync",
    "check": "ipsync.cli.check",
    "notify": "ipsync.cli.notify",
    "qatech": "ipsync.cli.qatech",
    "audit": "ipsync.cli.audit",
    "schema": "ipsync.cli.schema",
    "demo": "ipsync.cli.sandbox",
    "sandbox": "ipsync.cli.sandbox",
}
"""Each command's module, in the order of `--help`; the function has the command's name. A new command is a line here."""


class Commands(click.Group):
    """The commands of the table, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table's order: what is needed first stands first."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None where there is none of this name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    epilog="Read next: README.md, then docs/cli.md for every command and docs/config.md for every key.",
)
@click.version_option(__version__, prog_name="ipsync")
def cli() -> None:
    """Keep the addresses a vendor connects from allowed in your firewalls."""


def main() -> None:
    """Run the command line; usage errors exit with 1, since 2 means that changes are pending."""
    gc.set_threshold(250_000)  # imports and botocore's models make much and free nothing: 5 % of a run's time
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # else it looks through every installed package
    # requests silences this on import, but botocore's catch_warnings, in another thread, may take that back.
    warnings.filterwarnings("ignore", message="SOCKS support in urllib3")
    streams.prepare()
    code = _code_of(lambda: cli(standalone_mode=False, prog_name="ipsync"))
    streams.close()
    gc.freeze()  # else Python looks through all that is left, twice, before it lets the process end: 8 % of a run's time
    sys.exit(code)


def _code_of(command: Callable[[], Any]) -> int:
    try:
        code = command()
    except click.exceptions.Abort:
        return ExitCode.FAILED
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        streams.complain(*shown.getvalue().rstrip().split("\n"))
        return ExitCode.FAILED
    except streams.UnwritableError as error:
        return ExitCode.DONE if error.gone else _complain(error, ExitCode.FAILED)
    except (IpsyncError, OSError) as error:
        return _complain(error, _failed_with(error))
    except Exception:
        logging.getLogger("ipsync").exception("a fault in ipsync; please report it with these lines")
        return ExitCode.FAILED
    return code if isinstance(code, int) else ExitCode.DONE


def _failed_with(error: Exception) -> ExitCode:
    if isinstance(error, PlanFileError):
        return ExitCode.REFUSED
    return ExitCode.PARTIAL if isinstance(error, AuditLogError) and error.wrote else ExitCode.FAILED


def _complain(error: Exception, code: ExitCode) -> ExitCode:
    prefix = "audit log: " if isinstance(error, AuditLogError) else ""
    first, *more = error.lines if isinstance(error, IpsyncError) else (_words(error),)
    if code is ExitCode.PARTIAL:
        more.append("Some writes of this run were made; the next run reads them back and records their outcome.")
    streams.complain(prefix + first, *more)
    return code


def _words(error: Exception) -> str:
    """Return what the system said, with the file that it said it of, and without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
