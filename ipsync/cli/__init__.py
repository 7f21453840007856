"""The commands, their options and exit codes; the only module that prints.

Reports go to stdout and logs to stderr. Everything heavy is imported by the command that needs it.
"""

from __future__ import annotations

import gc
import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ipsync import __version__
from ipsync.cli import streams
from ipsync.cli.invocation import command
from ipsync.core.errors import AuditLogError, IpsyncError, PlanFileError, UsageError
from ipsync.core.printable import json_text, printable

if TYPE_CHECKING:
    from ipsync.core.model import Config
    from ipsync.core.report import Report

FAILED, REFUSED, PARTIAL = 1, 3, 4


def main() -> None:
    """Run the command line; usage errors exit with 1, since 2 means that changes are pending."""
    gc.set_threshold(50_000)  # imports and botocore's models make much and free nothing: 10 % of a run's time
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # else it looks through every installed package
    # requests silences this on import, but botocore's catch_warnings, in another thread, may take that back.
    warnings.filterwarnings("ignore", message="SOCKS support in urllib3")
    streams.prepare()
    code = _code_of(lambda: cli(standalone_mode=False, prog_name="ipsync"))
    streams.close()
    sys.exit(code)


def _code_of(command: Callable[[], Any]) -> int:
    try:
        code = command()
    except click.exceptions.Abort:
        return FAILED
    except click.ClickException as error:
        told = io.StringIO()
        error.show(told)
        streams.complain(*told.getvalue().rstrip().split("\n"))
        return FAILED
    except streams.UnwritableError as error:
        return 0 if error.gone else _complain(error, FAILED)
    except (IpsyncError, OSError) as error:
        return _complain(error, _failed_with(error))
    except Exception:
        logging.getLogger("ipsync").exception("a fault in ipsync; please report it with these lines")
        return FAILED
    return code if isinstance(code, int) else 0


def _failed_with(error: Exception) -> int:
    if isinstance(error, PlanFileError):
        return REFUSED
    return PARTIAL if isinstance(error, AuditLogError) and error.wrote else FAILED


def _complain(error: Exception, code: int) -> int:
    prefix = "audit log: " if isinstance(error, AuditLogError) else ""
    first, *more = error.lines if isinstance(error, IpsyncError) else (str(error),)
    if code == PARTIAL:
        more.append("Some writes of this run were made; the next run settles and records them.")
    streams.complain(prefix + first, *more)
    return code


# ── shared options ───────────────────────────────────────────────────────────


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every command takes."""
    options = [
        click.option("-c", "--config", "config_path", type=click.Path(path_type=Path), envvar="IPSYNC_CONFIG",
                     default=Path("ipsync.yaml"), show_default=True, help="The config file."),
        click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True),
        click.option("-v", "--verbose", count=True, help="Log more."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def planning(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of commands that print a plan."""
    options = [
        click.option("--target", "targets", multiple=True, metavar="NAME", help="Only this target (repeatable)."),
        click.option("--output", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True),
        click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when changes are pending."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _load(config_path: Path) -> Config:
    from ipsync import config

    return config.load(config_path, os.environ)


def _log_on_stdout(config: Config, output: str) -> bool:
    """Tell whether stdout is the audit log's; two JSON documents on one stream are a usage error."""
    if config.audit_path != "-":
        return False
    if output == "json":
        raise UsageError(
            "audit.path is -, so standard output holds the audit log; --output json wants it too: "
            "write the log to a file, or leave out --output json (the report then goes to stderr)"
        )
    return True


# ── the commands ─────────────────────────────────────────────────────────────


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.version_option(__version__, prog_name="ipsync")
def cli() -> None:
    """Keep the addresses a vendor connects from allowed in your firewalls."""


def _lifetime(_context: click.Context, _option: click.Parameter, text: str) -> timedelta:
    from ipsync.core.planfile import LONGEST_LIFETIME
    from ipsync.values.fields import duration

    try:
        lifetime = timedelta(seconds=duration(text))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not timedelta(0) < lifetime <= LONGEST_LIFETIME:
        raise click.BadParameter(f"{text} is not between 1s and 24h; a plan doesn't fetch its feeds again")
    return lifetime


@cli.command()
@common
@planning
@click.option("--out", type=click.Path(path_type=Path), help="Save the plan for `ipsync apply`.")
@click.option(
    "--valid-for",
    "lifetime",
    default="1h",
    show_default=True,
    metavar="TIME",
    callback=_lifetime,
    help="How long the saved plan may be applied, up to 24h.",
)
def plan(config_path: Path, log_format: str, verbose: int, targets: tuple[str, ...], output: str,
         out: Path | None, lifetime: timedelta, *, detailed_exitcode: bool) -> int:  # fmt: skip
    """Show what a sync would change; write to no cloud."""
    from ipsync import app as worker
    from ipsync.cli import reporting

    streams.start_logging(log_format, verbose)
    config = _load(config_path)
    report = worker.plan_once(config, only=targets)
    if out is not None:
        _write(out, worker.save(report, config, only=targets, lifetime=lifetime))
    again = command("apply", file=out) if out else command("sync", targets=targets)
    return reporting.show(report, output, again, detailed=detailed_exitcode)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{path}: the plan can't be saved: {error.strerror}") from error


@cli.command()
@common
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@click.option("--approve", metavar="ID", multiple=True, help="Allow the plan, or the waiting change, of this id.")
def apply(config_path: Path, log_format: str, verbose: int, file: Path, output: str,
          approve: tuple[str, ...]) -> int:  # fmt: skip
    """Apply a saved plan, and only that; refused if anything it rests on has moved."""
    from threading import Event

    from ipsync import app as worker
    from ipsync import daemon
    from ipsync.cli import reporting

    streams.start_logging(log_format, verbose)
    stop, wrote = Event(), Event()
    daemon.stop_on_signals(stop, wrote=wrote)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: the plan can't be read: {error.strerror}") from error
    config = _load(config_path)
    aside = _log_on_stdout(config, output)
    report = worker.apply_once(config, data, approve=frozenset(approve), stopping=stop.is_set, writing=wrote.set)
    return reporting.show(report, output, command("apply", file=file), detailed=False, aside=aside)


@cli.command()
@common
@planning
@click.option("--dry-run", is_flag=True, help="The same as `ipsync plan`.")
@click.option("--approve", metavar="ID", multiple=True, help="Allow the plan, or the waiting change, of this id.")
def sync(config_path: Path, log_format: str, verbose: int, targets: tuple[str, ...], output: str,
         approve: tuple[str, ...], *, detailed_exitcode: bool, dry_run: bool) -> int:  # fmt: skip
    """Make one pass: plan, then apply what the guards allow."""
    from threading import Event

    from ipsync import app as worker
    from ipsync import daemon
    from ipsync.cli import reporting

    streams.start_logging(log_format, verbose)
    config = _load(config_path)
    again = command("sync", targets=targets)
    if dry_run:
        return reporting.show(worker.plan_once(config, only=targets), output, again, detailed=detailed_exitcode)
    aside = _log_on_stdout(config, output)

    stop, wrote = Event(), Event()
    daemon.stop_on_signals(stop, wrote=wrote)
    report = worker.sync_once(config, only=targets, approve=frozenset(approve), stopping=stop.is_set, writing=wrote.set)
    return reporting.show(report, output, again, detailed=detailed_exitcode, aside=aside)


@cli.command()
@common
@click.option("--target", "targets", multiple=True, metavar="NAME", help="Only this target (repeatable).")
def run(config_path: Path, log_format: str, verbose: int, targets: tuple[str, ...]) -> int:
    """Work until SIGTERM: a sync at once, then one every `schedule.every`."""
    from threading import Event

    from ipsync import app as worker
    from ipsync import daemon
    from ipsync.cli import reporting

    streams.start_logging(log_format, verbose)
    config, stop, wrote = _load(config_path), Event(), Event()
    worker.selection(config, targets)
    daemon.stop_on_signals(stop, wrote=wrote, untouched=0)
    aside, again = _log_on_stdout(config, "text"), command("sync", targets=targets)

    tell = reporting.teller(again, aside=aside)

    def one_pass() -> Report:
        wrote.clear()
        return worker.sync_once(config, only=targets, stopping=stop.is_set, writing=wrote.set)

    daemon.serve(one_pass, every=config.every, jitter=config.jitter, stop=stop, tell=tell)
    return 0


@cli.command()
@common
@click.option("--target", "targets", multiple=True, metavar="NAME", help="Only this target (repeatable).")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(config_path: Path, log_format: str, verbose: int, targets: tuple[str, ...], output: str) -> int:
    """Check the config, the feeds, the credentials and each permission; change nothing."""
    from ipsync.cli import checks

    streams.start_logging(log_format, verbose)
    findings = checks.run(_load(config_path), only=targets)
    streams.say(checks.render(findings, output=output, colour=streams.coloured(sys.stdout)))
    return 0 if all(f.ok for f in findings) else FAILED


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the config file."""
    from ipsync import config

    streams.say(json_text(config.schema(), indent=2))


@cli.group()
def audit() -> None:
    """Read the audit log, or prove that nobody changed it."""


def _log_path(config_path: Path, path: Path | None) -> tuple[Path, tuple[str | None, ...]]:
    """Return where the log is, and its keys: the one in force, then those before it."""
    if path is not None:
        before = os.environ.get("IPSYNC_AUDIT_KEYS_BEFORE")
        return path, (os.environ.get("IPSYNC_AUDIT_KEY"), *(key or None for key in (before or "").split(",") if before))
    config = _load(config_path)
    return Path(config.audit_path), (config.audit_hmac_key, *config.audit_hmac_keys_before)


@audit.command()
@common
@click.option("--path", type=click.Path(path_type=Path), help="The log, instead of the config's.")
@click.option("--anchor", metavar="SEQ:HASH", help="A checkpoint that a run printed: proves that no end was cut off.")
def verify(config_path: Path, log_format: str, verbose: int, path: Path | None, anchor: str | None) -> int:
    """Prove that the log's chain holds; else name the first record that doesn't, and exit with 1."""
    from ipsync import audit as audit_log

    streams.start_logging(log_format, verbose)
    where, (key, *before) = _log_path(config_path, path)
    result = audit_log.verify(where, anchor=anchor, hmac_key=key, hmac_keys_before=before)
    if result.ok:
        streams.say(printable(f"{where}: {result.records} records hold, head {result.head}"))
        return 0
    streams.complain(f"{where}: {result.problem}")
    return FAILED


@audit.command()
@common
@click.option("--path", type=click.Path(path_type=Path), help="The log, instead of the config's.")
@click.option("--run", "run_id", metavar="ID", help="Only this run.")
@click.option("--target", metavar="NAME", help="Only this target.")
@click.option("--address", metavar="CIDR", help="Only records that name this address or a network around it.")
@click.option("--since", metavar="TIME", help="Not before: 2026-01-31, 2026-01-31T09:00:00Z, 24h, 7d.")
@click.option("--until", metavar="TIME", help="Not after; a date means that whole day.")
@click.option("--event", metavar="EVENT", help="Only this kind of record, as intent.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def show(config_path: Path, log_format: str, verbose: int, path: Path | None, run_id: str | None,
         target: str | None, address: str | None, since: str | None, until: str | None, event: str | None,
         output: str) -> None:  # fmt: skip
    """Show what was done, by run, target, address or time."""
    from ipsync import audit as audit_log

    streams.start_logging(log_format, verbose)
    where, _ = _log_path(config_path, path)
    records = audit_log.explained(
        where, run=run_id, target=target, address=address, since=since, until=until, event=event
    )
    found = list(records) if output == "json" else _told(map(audit_log.describe, records))
    if output == "json":
        streams.say(json_text(found, indent=2))
    if not found:
        streams.complain(f"{where}: no record matches")


def _told(lines: Iterable[str]) -> bool:
    """Print each line as it comes, and tell whether there was one."""
    number = 0
    for number, line in enumerate(lines, 1):  # noqa: B007 - its last value is what is asked for
        streams.say(line)
    return bool(number)


@audit.command()
@common
@click.option("--path", type=click.Path(path_type=Path), help="The log, instead of the config's.")
@click.option("--format", "form", type=click.Choice(["ocsf"]), default="ocsf", show_default=True)
def export(config_path: Path, log_format: str, verbose: int, path: Path | None, form: str) -> None:
    """Write the log for a SIEM, an event a line: OCSF API Activity."""
    from ipsync import audit as audit_log

    streams.start_logging(log_format, verbose)
    where, _ = _log_path(config_path, path)
    del form  # there is one so far
    for event in audit_log.export(audit_log.show(where), version=__version__):
        streams.say(json_text(event))


@cli.command()
@click.option("--keep", is_flag=True, help="Keep the demo's folder, with its config and audit log.")
def demo(*, keep: bool) -> int:
    """Do the whole job against embedded local clouds; needs no account and no network."""
    from ipsync import demo as story

    streams.start_logging("text", 0)
    return story.tell(streams.say, colour=streams.coloured(sys.stdout), keep=keep)


@cli.command()
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), help="Where to put the config (default: a new folder)."
)
def sandbox(folder: Path | None) -> int:
    """Start the embedded clouds and keep them up, printing a config and the environment to use them."""
    from ipsync import demo as story

    streams.start_logging("text", 0)
    return story.keep_up(streams.say, folder=folder)
