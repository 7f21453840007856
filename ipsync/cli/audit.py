"""`ipsync audit show`, `verify` and `export`: what reads the audit log."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click

from ipsync import __version__
from ipsync.cli import options, streams
from ipsync.core.exit_codes import ExitCode
from ipsync.core.printable import json_text, printable

_path = click.option("--path", type=options.FILE, help="The log, instead of the config's.")


@click.group()
def audit() -> None:
    """Read the audit log, or prove that nobody changed it."""


def _log_path(config_path: Path, path: Path | None) -> tuple[Path, tuple[str | None, ...]]:
    """Return where the log is, and its keys: the one in force, then those before it."""
    if path is not None:
        before = os.environ.get("IPSYNC_AUDIT_KEYS_BEFORE")
        return path, (os.environ.get("IPSYNC_AUDIT_KEY"), *(key or None for key in (before or "").split(",") if before))
    config = options.load(config_path)
    return Path(config.audit_path), (config.audit_hmac_key, *config.audit_hmac_keys_before)


@audit.command()
@_path
@click.option("--run", "run_id", metavar="ID", help="Only this run.")
@click.option("--target", metavar="NAME", help="Only this target.")
@click.option("--address", metavar="CIDR", help="Only records that name this address or a network around it.")
@click.option("--since", metavar="TIME", help="Not before: 2026-01-31, 2026-01-31T09:00:00Z, 24h, 7d.")
@click.option("--until", metavar="TIME", help="Not after; a date means that whole day.")
@click.option("--event", metavar="EVENT", help="Only this kind of record, as intent.")
@options.output("text", "json")
@options.common
def show(config_path: Path, path: Path | None, run_id: str | None, target: str | None, address: str | None,
         since: str | None, until: str | None, event: str | None, output: str) -> None:  # fmt: skip
    """Show what was done, by run, target, address or time."""
    from ipsync import audit as audit_log

    where, _ = _log_path(config_path, path)
    records = audit_log.explained(
        where, run=run_id, target=target, address=address, since=since, until=until, event=event
    )
    found = list(records) if output == "json" else _say_each(map(audit_log.describe, records))
    if output == "json":
        streams.say(json_text(found, indent=2))
    if not found:
        streams.complain(f"{where}: no record matches")


def _say_each(lines: Iterable[str]) -> bool:
    """Print each line as it comes, and tell whether there was one."""
    number = 0
    for number, line in enumerate(lines, 1):  # noqa: B007 - its last value is what is asked for
        streams.say(line)
    return bool(number)


@audit.command(short_help="Prove that the log's chain holds.")
@_path
@click.option("--anchor", metavar="SEQ:HASH", help="A checkpoint that a run printed: proves that no end was cut off.")
@options.common
def verify(config_path: Path, path: Path | None, anchor: str | None) -> int:
    """Prove that the log's chain holds; else name the first record that doesn't, and exit with 1."""
    from ipsync import audit as audit_log

    where, (key, *before) = _log_path(config_path, path)
    result = audit_log.verify(where, anchor=anchor, hmac_key=key, hmac_keys_before=before)
    if result.ok:
        streams.say(printable(f"{where}: {result.records} records hold, head {result.head}"))
        return ExitCode.DONE
    streams.complain(f"{where}: {result.problem}")
    return ExitCode.FAILED


@audit.command(short_help="Write the log for a SIEM, as OCSF events.")
@_path
@click.option("--format", "form", type=click.Choice(["ocsf"]), default="ocsf", show_default=True,
              help="The events' schema.")  # fmt: skip
@options.common
def export(config_path: Path, path: Path | None, form: str) -> None:
    """Write the log for a SIEM, an event a line: OCSF API Activity."""
    from ipsync import audit as audit_log

    where, _ = _log_path(config_path, path)
    del form  # there is one so far
    for event in audit_log.export(audit_log.show(where), version=__version__):
        streams.say(json_text(event))
