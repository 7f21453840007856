"""`ipsync notify --test`: a sample to everybody whom the config tells, and what came of each."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ipsync.cli import options, streams
from ipsync.cli.invocation import command
from ipsync.core.errors import UsageError
from ipsync.core.exit_codes import ExitCode
from ipsync.core.printable import printable

if TYPE_CHECKING:
    from ipsync.observers.notify import Message
    from ipsync.observers.notify.sinks import Sink


@click.command(short_help="Send a sample to each element of `notify:`.")
@click.option("--test", is_flag=True, help="Send a sample, once to each, and say what came of it.")
@options.common
def notify(config_path: Path, *, test: bool) -> int:
    """Send a sample to each element of `notify:`, whatever its `on:` says; exit with 1 when one failed."""
    from ipsync.observers import notify

    if not test:
        raise UsageError("ipsync notify sends nothing by itself; give --test to send a sample to each")
    config = options.load(config_path)
    if not config.notify:
        raise UsageError(f"{config_path}: notify: names nobody to tell; docs/notifications.md says how")
    message = notify.sample(owner=config.owner, at=datetime.now(UTC), approve=command("sync"))
    sinks = list(notify.named_sinks(config.notify))
    with ThreadPoolExecutor(len(sinks)) as threads:
        results = list(threads.map(lambda named: _sent(named[1], message), sinks))
    for (name, _, _), (ok, said) in zip(sinks, results, strict=True):
        streams.tell(_line(name, said, ok=ok))
    return ExitCode.DONE if all(ok for ok, _ in results) else ExitCode.FAILED


def _sent(sink: Sink, message: Message) -> tuple[bool, str]:
    from ipsync.observers.notify import Try, Undelivered

    try:
        return True, sink.send(message, Try(datetime.now(UTC), lambda: False))
    except Undelivered as error:
        return False, str(error)


def _line(name: str, said: str, *, ok: bool) -> str:
    word, ink = ("ok", "green") if ok else ("FAILED", "red")
    shown = click.style(f"{word:<7}", fg=ink) if streams.coloured(sys.stdout) else f"{word:<7}"
    return f"{shown} {printable(f'{name}: {said}')}"
