"""`ipsync check`: the command, and its findings as a table or JSON."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ipsync.cli import options, streams
from ipsync.core.exit_codes import ExitCode
from ipsync.core.printable import json_text, plain, printable
from ipsync.core.sharding import Shard

if TYPE_CHECKING:
    from ipsync.targets.base import Finding
    from ipsync.targets.findings import Alike


@click.command(short_help="Check config, feeds, credentials, permissions.")
@options.target
@options.shard
@options.output("text", "json")
@options.common
def check(config_path: Path, targets: tuple[str, ...], shard: Shard | None, output: str) -> int:
    """Check the config, the feeds, the credentials and each permission; change nothing."""
    from ipsync import app

    findings = app.check_once(options.load(config_path, shard), only=targets)
    verbose = bool(click.get_current_context().params["verbose"])
    streams.tell(render(findings, output=output, colour=streams.coloured(sys.stdout), verbose=verbose))
    return ExitCode.DONE if all(f.ok for f in findings) else ExitCode.FAILED


def render(findings: Sequence[Finding], *, output: str, colour: bool, verbose: bool = False) -> str:
    """Render the findings as text, where what is alike stands once unless `verbose`, or as JSON; ending in a newline."""
    if output == "json":
        return json_text([dataclasses.asdict(f) for f in findings], indent=2) + "\n"
    from ipsync.targets.findings import alike, apart

    shown = (apart if verbose else alike)(map(_printable, findings))
    return "\n".join((*_lines(shown, colour), _summary(findings))) + "\n"


def _lines(groups: Sequence[Alike], colour: bool) -> Iterator[str]:  # noqa: FBT001 - one switch, passed on
    for same in groups:
        finding = same.first
        word, ink = ("ok", "green") if finding.passed else ("skipped", "yellow") if finding.ok else ("MISSING", "red")
        subject = f"{finding.subject}: {finding.detail}" if finding.detail else finding.subject
        subject += same.more if finding.passed else ""
        yield f"{click.style(f'{word:<7}', fg=ink) if colour else f'{word:<7}'}  {subject}"
        if not finding.ok and finding.remedy:
            yield from (f"         {line}" for line in finding.remedy.split("\n"))
        if not finding.passed and same.others:
            yield f"         {same.others}"


def _summary(findings: Sequence[Finding]) -> str:
    passed, missing = sum(f.passed for f in findings), sum(not f.ok for f in findings)
    skipped = len(findings) - passed - missing
    rest = (f", {skipped:,} skipped" if skipped else "") + (f", {missing:,} to fix" if missing else "")
    return f"{passed:,} of {len(findings):,} checks passed{rest}"


def _printable(finding: Finding) -> Finding:
    """Return the finding as people may read it; a remedy's lines are ours, whatever stands in them."""
    remedy = "\n".join(map(printable, finding.remedy.split("\n")))
    return dataclasses.replace(plain(finding), remedy=remedy)
