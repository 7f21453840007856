"""`ipsync schema`: the config file's JSON Schema, for editors."""

from __future__ import annotations

import click

from ipsync.cli import streams
from ipsync.core.printable import json_text


@click.command()
def schema() -> None:
    """Print the JSON Schema of the config file."""
    from ipsync import config

    streams.say(json_text(config.schema(), indent=2))
