"""`ipsync audit show`, `verify` and `export`: what reads the audit log."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ipsync import __version__
from ipsync.cli import options, streams
from ipsync.core.exit_codes import ExitCode
from ipsync.core.printable import json_text, printable
from ipsync.core.words import count

if TYPE_CHECKING:
    from ipsync.audit import Verification

_path = click.option(
    "--path", "paths", multiple=True, metavar="FILE", help="The log, instead of the config's (repeatable)."
)
_files = click.argument("files", nargs=-1, metavar="[FILE]...")


@click.group()
def audit() -> None:
    """Read the audit log, or prove that nobody changed it."""


def _logs(config_path: Path, files: Iterable[str]) -> tuple[list[Path], tuple[str | None, ...]]:
    """Return where the logs are, and their keys: the one in force, then those before it.

    Without files they are the config's own and those of its shards.
    """
    from ipsync.audit import shards

    if named := list(files):
        before = os.environ.get("IPSYNC_AUDIT_KEYS_BEFORE")
        keys = (key or None for key in (before or "").split(",") if before)
        return shards.named(named), (os.environ.get("IPSYNC_AUDIT_KEY"), *keys)
    config = options.load(config_path)
    return shards.beside(Path(config.audit_path)), (config.audit_hmac_key, *config.audit_hmac_keys_before)


@audit.command()
@_files
@_path
@click.option("--run", "run_id", metavar="ID", help="Only this run.")
@click.option("--target", metavar="NAME", help="Only this target.")
@click.option("--address", metavar="CIDR", help="Only records that name this address or a network around it.")
@click.option("--since", metavar="TIME", help="Not before: 2026-01-31, 2026-01-31T09:00:00Z, 24h, 7d.")
@click.option("--until", metavar="TIME", help="Not after; a date means that whole day.")
@click.option("--event", metavar="EVENT", help="Only records of this kind, like intent.")
@options.output("text", "json")
@options.common
def show(config_path: Path, files: tuple[str, ...], paths: tuple[str, ...], run_id: str | None, target: str | None,
         address: str | None, since: str | None, until: str | None, event: str | None, output: str) -> None:  # fmt: skip
    """Show what was done, by run, target, address or time.

    Several FILEs, or the logs of all shards beside the config's, are read together, by time; each record says whose it is.
    """
    from ipsync import audit as audit_log
    from ipsync.audit import shards

    logs, _ = _logs(config_path, (*files, *paths))
    asked = {"run": run_id, "target": target, "address": address, "since": since, "until": until, "event": event}
    records = shards.together(logs, lambda log: audit_log.explained(log, **asked))
    found = list(records) if output == "json" else _say_each(map(audit_log.describe, records))
    if output == "json":
        streams.say(json_text(found, indent=2))
    if not found:
        streams.complain(f"{', '.join(map(str, logs))}: no record matches")


def _say_each(lines: Iterable[str]) -> bool:
    """Print each line as it comes, and tell whether there was one."""
    number = 0
    for number, line in enumerate(lines, 1):  # noqa: B007 - its last value is what is asked for
        streams.say(line)
    return bool(number)


@audit.command(short_help="Prove that the log's chain holds.")
@_files
@_path
@click.option("--anchor", "anchors", multiple=True, metavar="SEQ:HASH",
              help="A checkpoint that a run printed: proves that no end was cut off (repeatable).")  # fmt: skip
@options.common
def verify(config_path: Path, files: tuple[str, ...], paths: tuple[str, ...], anchors: tuple[str, ...]) -> int:
    """Prove that the log's chain holds; else name the first record that doesn't, and exit with 1.

    Of several FILEs, or of the logs of all shards beside the config's, each is told, and all must hold.
    """
    from ipsync import audit as audit_log
    from ipsync.audit import shards

    logs, (key, *before) = _logs(config_path, (*files, *paths))
    if len(logs) == 1 and len(anchors) < 2:  # noqa: PLR2004 - then more can be said of it
        return _told(logs, [audit_log.verify(logs[0], anchor=next(iter(anchors), None), hmac_key=key,
                                             hmac_keys_before=before)])  # fmt: skip
    results, lost = audit_log.verify_all(logs, anchors=anchors, hmac_key=key, hmac_keys_before=before)
    code = _told(logs, results)
    for anchor in lost:
        streams.complain(
            f"the anchor {anchor} is no record of any of these logs: an end was cut off, or a log is missing"
        )
    for shard in shards.missing(logs):
        streams.complain(f"{shard} has no log here; whether it ever had one, only an anchor of it can tell")
    return ExitCode.FAILED if lost else code


def _told(logs: Sequence[Path], results: Sequence[Verification]) -> ExitCode:
    """Say of each log whether it holds."""
    for where, result in zip(logs, results, strict=True):
        if result.ok:
            streams.tell(
                printable(
                    f"{where}: {count(result.records, 'record')} {'holds' if result.records == 1 else 'hold'}, head {result.head}"
                )
            )
        else:
            streams.complain(f"{where}: {result.problem}")
    return ExitCode.DONE if all(result.ok for result in results) else ExitCode.FAILED


@audit.command(short_help="Write the log for a SIEM, as OCSF events.")
@_files
@_path
@click.option("--format", "form", type=click.Choice(["ocsf"]), default="ocsf", show_default=True,
              help="The events' schema.")  # fmt: skip
@options.common
def export(config_path: Path, files: tuple[str, ...], paths: tuple[str, ...], form: str) -> None:
    """Write the log for a SIEM, an event a line: OCSF API Activity. Several are written one after the other."""
    from ipsync import audit as audit_log

    logs, _ = _logs(config_path, (*files, *paths))
    del form  # there is one so far
    for log in logs:
        for event in audit_log.export(audit_log.show(log), version=__version__):
            streams.say(json_text(event))
