"""`ipsync plan`, `sync`, `apply` and `run`: what reads the clouds to change them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click

from ipsync.cli import options
from ipsync.cli.invocation import command
from ipsync.core.errors import PlanFileError, UsageError
from ipsync.core.sharding import Shard


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


@click.command(short_help="Show what a sync would change.")
@options.target
@options.shard
@options.output("text", "json", "markdown")
@options.detailed
@click.option("--out", type=options.FILE, help="Save the plan for `ipsync apply`.")
@click.option("--valid-for", "lifetime", default="1h", show_default=True, metavar="TIME", callback=_lifetime,
              help="How long the saved plan may be applied, up to 24h.")  # fmt: skip
@options.common
def plan(config_path: Path, targets: tuple[str, ...], shard: Shard | None, output: str, out: Path | None,
         lifetime: timedelta, *, detailed_exitcode: bool) -> int:  # fmt: skip
    """Show what a sync would change; write to no cloud."""
    options.goes_with("lifetime", "--valid-for", "--out", there=out is not None)
    from ipsync import app
    from ipsync.cli import progress, reporting

    config = options.load(config_path, shard)
    with progress.watching(config, targets) as watched:
        report = app.plan_once(config, only=targets, observers=watched)
    if out is not None:
        _write(out, app.save(report, config, only=targets, lifetime=lifetime))
    again = command("apply", file=out) if out else command("sync", targets=targets)
    return reporting.show(report, output, again, detailed=detailed_exitcode)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{path}: the plan can't be saved: {error.strerror}") from error


@click.command(short_help="Plan, then apply what the guards allow.")
@options.target
@options.shard
@options.output("text", "json", "markdown")
@options.detailed
@click.option("--dry-run", is_flag=True, help="The same as `ipsync plan`.")
@options.approve
@options.metrics_file
@options.common
def sync(config_path: Path, targets: tuple[str, ...], shard: Shard | None, output: str, approve: tuple[str, ...],
         metrics_file: Path | None, *, detailed_exitcode: bool, dry_run: bool) -> int:  # fmt: skip
    """Make one pass: plan, then apply what the guards allow."""
    from threading import Event

    from ipsync import app, daemon
    from ipsync.cli import progress, reporting
    from ipsync.cli.telling import telling
    from ipsync.observers import watch

    config = options.load(config_path, shard)
    again = command("sync", targets=targets)
    if dry_run:
        with progress.watching(config, targets) as watched:
            report = app.plan_once(config, only=targets, observers=watched)
        return reporting.show(report, output, again, detailed=detailed_exitcode)
    aside = options.reports_aside(config, output)

    stop, wrote = Event(), Event()
    left, filed = daemon.stop_on_signals(stop, wrote=wrote), watch.filed(config, metrics_file, only=targets)
    with (
        progress.watching(config, targets) as watched,
        telling(config, left, targets=targets, observers=(*filed, *watched)) as hearing,
    ):
        report = app.sync_once(
            config,
            only=targets,
            approve=frozenset(approve),
            stop=stop,
            writing=wrote.set,
            observers=hearing,
        )
        return reporting.show(report, output, again, detailed=detailed_exitcode, aside=aside)


@click.command(short_help="Apply a saved plan, and only that.")
@click.argument("file", type=options.FILE)
@options.shard
@options.output("text", "json", "markdown")
@options.approve
@options.common
def apply(config_path: Path, file: Path, shard: Shard | None, output: str, approve: tuple[str, ...]) -> int:
    """Apply a saved plan, and only that; refused if anything it rests on has changed."""
    from threading import Event

    from ipsync import app, daemon
    from ipsync.cli import progress, reporting
    from ipsync.cli.telling import telling

    stop, wrote = Event(), Event()
    left = daemon.stop_on_signals(stop, wrote=wrote)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: the plan can't be read: {error.strerror}") from error
    config = options.load(config_path, shard)
    aside = options.reports_aside(config, output)
    with progress.watching(config) as watched, telling(config, left, observers=watched) as hearing:
        try:
            report = app.apply_once(config, data, approve=frozenset(approve), stop=stop, writing=wrote.set,
                                    observers=hearing)  # fmt: skip
        except PlanFileError as error:
            raise PlanFileError(f"{file}: {error}") from None
        return reporting.show(report, output, command("apply", file=file), detailed=False, aside=aside)


def _lease(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if text is not None and not re.fullmatch(rf"({label}/)?{label}(\.{label})*", text):
        raise click.BadParameter(f"{text!r} isn't a Lease's name: write NAME or NAMESPACE/NAME, of a-z, 0-9 and -")
    return text


@click.command(short_help="Sync at once, then every `schedule.every`.")
@options.target
@options.shard
@options.metrics_file
@click.option("--leader-elect", is_flag=True, help="Make passes only while this replica holds a Lease of Kubernetes.")
@click.option("--lease", metavar="[NAMESPACE/]NAME", callback=_lease,
              help="The Lease's name; by default ipsync-OWNER-leader in the pod's namespace.")  # fmt: skip
@options.common
def run(config_path: Path, targets: tuple[str, ...], shard: Shard | None, metrics_file: Path | None,
        lease: str | None, *, leader_elect: bool) -> int:  # fmt: skip
    """Work until SIGTERM: a sync at once, then one every `schedule.every`. SIGHUP reads the config again."""
    options.goes_with("lease", "--lease", "--leader-elect", there=leader_elect)
    from threading import Event

    from ipsync import daemon

    stop, wrote, again = Event(), Event(), Event()
    left = daemon.stop_on_signals(stop, wrote=wrote, untouched=0, reload=again)  # first: SIGHUP would end what begins
    from ipsync.cli import progress, reporting, worker
    from ipsync.observers import watch

    config = worker.read(config_path, targets, shard)
    approve = command("sync", targets=targets)
    elector = worker.elector(config, lease, stop) if leader_elect else None
    with (
        progress.watching(config, targets) as watching,
        watch.worker(config, again=approve, only=targets, metrics_file=metrics_file) as watched,
    ):
        shown = (*watched.observers, *watching)
        seen = replace(watched, observers=shown)
        works = worker.Worker(config, config_path, targets, watched=seen, stop=stop, wrote=wrote, elector=elector)
        works.serve(again, reporting.teller(approve, aside=works.reports_aside))
        works.close(left)
    return 0
