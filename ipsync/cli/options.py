"""The options that several commands share, and what they ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ipsync.cli import streams
from ipsync.core.errors import UsageError

if TYPE_CHECKING:
    from ipsync.core.configured import Config
    from ipsync.core.sharding import Shard

Function = Callable[..., Any]
FILE = click.Path(path_type=Path)


def output(*forms: str) -> Function:
    """Return the option that chooses a report's form; the first is the default."""
    return click.option(
        "--output", type=click.Choice(forms), default=forms[0], show_default=True, help="The report's format."
    )


target = click.option("--target", "targets", multiple=True, metavar="NAME", help="Only this target (repeatable).")


def _shard(_context: click.Context, _option: click.Parameter, text: str | None) -> Shard | None:
    from ipsync.cli import shards

    try:
        return shards.chosen(text, os.environ)
    except ValueError as error:
        raise UsageError(str(error)) from None


shard = click.option("--shard", metavar="I/N", callback=_shard,
                     help="Only shard I (0 to N-1) of N: its part of the accounts, regions and projects.")  # fmt: skip
detailed = click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when changes are pending.")
approve = click.option(
    "--approve", metavar="ID", multiple=True, help="Approve the plan, or the waiting change, of this id (repeatable)."
)
metrics_file = click.option(
    "--metrics-file", type=FILE, help="Write each pass's metrics to this file, for node_exporter."
)

_LOGS = (
    click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True,
                 help="The format of the logs, which go to stderr."),
    click.option("-v", "--verbose", count=True, help="Tell more: in the logs, and each resource by itself."),
)  # fmt: skip
_CONFIG = click.option("-c", "--config", "config_path", type=FILE, envvar="IPSYNC_CONFIG", show_envvar=True,
                       default=Path("ipsync.yaml"), show_default=True, help="The config file.")  # fmt: skip


def logs(function: Function) -> Function:
    """Add the options of the logs, and start them before the command."""

    @wraps(function)
    def logging(*, log_format: str, verbose: int, **options: Any) -> Any:
        streams.start_logging(log_format, verbose)
        return function(**options)

    return _with(_LOGS, logging)


def common(function: Function) -> Function:
    """Add the options that every command with a config takes."""
    return _CONFIG(logs(function))


def _with(options: Sequence[Function], function: Function) -> Function:
    for option in reversed(options):
        function = option(function)
    return function


def goes_with(name: str, option: str, other: str, *, there: bool) -> None:
    """Raise UsageError where an option was given without the one that it is for: it would say nothing, and not say so."""
    given = click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT
    if given and not there:
        raise click.UsageError(f"{option} is for {other}; add it, or leave {option} out")


def load(config_path: Path, shard: Shard | None = None) -> Config:
    """Read and check the config file, for one shard or all of it. Raises UsageError with each problem."""
    from ipsync import config
    from ipsync.audit import shards

    return shards.sharded(config.load(config_path, os.environ), shard)


def reports_aside(config: Config, form: str) -> bool:
    """Tell whether stdout is the audit log's, so that reports go to stderr. Raises UsageError where JSON wants it too."""
    if config.audit_path != "-":
        return False
    if form == "json":
        raise UsageError(
            "audit.path is -, so standard output holds the audit log; --output json wants it too: "
            "write the log to a file, or leave out --output json (the report then goes to stderr)"
        )
    return True
