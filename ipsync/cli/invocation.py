"""The command that a report tells people to give next: it works as it is copied, with the same config, targets and shard."""

from __future__ import annotations

import os
import shlex
import string
from collections.abc import Iterable
from pathlib import Path

import click
from click.core import ParameterSource

from ipsync.core.printable import printable

_SAFE = f"{string.ascii_letters}{string.digits}/._-".encode()


def command(name: str, *, file: Path | None = None, targets: Iterable[str] = ()) -> str:
    """Return `ipsync NAME` as a shell takes it, for the config of the command that is running.

    Where the config was named, by option or by IPSYNC_CONFIG, the command names it too: it may be copied into
    another shell.
    """
    context = click.get_current_context()
    given = context.get_parameter_source("config_path") is not ParameterSource.DEFAULT
    config = ["-c", str(context.params["config_path"])] if given else []
    named = [word for target in targets for word in ("--target", target)]
    shard = context.params.get("shard")
    part = ["--shard", str(shard)] if shard else []
    return " ".join(map(quoted, ["ipsync", name, *_argument(file), *config, *named, *part]))


def quoted(word: str) -> str:
    """Quote a word for a shell; where something in it can't be seen, byte by byte, as bash, zsh and ksh read it."""
    if printable(word) == word:
        return shlex.quote(word)
    return "$'" + "".join(chr(b) if b in _SAFE else f"\\x{b:02x}" for b in os.fsencode(word)) + "'"


def _argument(file: Path | None) -> list[str]:
    if file is None:
        return []
    return [f"./{file}" if str(file).startswith("-") else str(file)]  # else it would be taken for an option
