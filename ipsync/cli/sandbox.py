"""`ipsync demo` and `sandbox`: the embedded clouds, as a story or kept up."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ipsync.cli import options, streams


@click.command(short_help="Do the whole job against embedded clouds.")
@click.option("--keep", is_flag=True, help="Keep the demo's folder, with its config and audit log.")
@click.option("--serve", is_flag=True, help="Keep the status page of how it ended, until Ctrl-C.")
def demo(*, keep: bool, serve: bool) -> int:
    """Do the whole job against embedded local clouds; needs no account and no network."""
    from ipsync.demo import story

    streams.start_logging("text", 0)
    return story.tell(streams.say, colour=streams.coloured(sys.stdout), keep=keep, serve=serve)


@click.command(short_help="Keep the embedded clouds up, to try commands.")
@click.option("--dir", "folder", type=options.FILE, help="Where to put the config (default: a new folder).")
def sandbox(folder: Path | None) -> int:
    """Start the embedded clouds and keep them up, printing a config and the environment to use them."""
    from ipsync.demo import kept_up

    streams.start_logging("text", 0)
    return kept_up.keep_up(streams.say, folder=folder)
