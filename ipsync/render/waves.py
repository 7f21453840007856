"""How waves stand, as people and scripts read it: in which order, which checks were asked, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterator

from ipsync.core.report import Report
from ipsync.core.rollout import named
from ipsync.core.waves import PROBLEMS, Proof, WaveReport, WaveState

AGAIN = ", after a new `ipsync plan --out FILE`"
"""What was saved is done as far as it could be; to go on, the rest is planned anew."""


def lines(report: Report, again: str) -> Iterator[tuple[str, str]]:
    """Yield a sign and a line for each thing to say; `again` is the command that an approval is added to."""
    named_none = any(not change.wave for change in report.plan.target_changes)
    for wave in (w for w in report.waves if w.name or named_none):
        yield _sign(wave), f"{named(wave.name)}  {_state(wave)}"
        yield from (("+" if p.passed else "-", f"    check {proof(p)}") for p in wave.proofs)
        if wave.asks:
            yield "", f"    a sync asks {'its check' if len(wave.asks) == 1 else 'its checks'} {', '.join(wave.asks)}"
        if wave.detail and not _said(wave):
            yield "!", f"    {_hold(report, wave)}"
        if wave.approve:
            later = AGAIN if report.mode == "apply" else ""
            yield "", f"    to let the waves behind it go all the same{later}: {again} --approve {wave.approve}"


def _sign(wave: WaveReport) -> str:
    if wave.state in PROBLEMS:
        return "!"
    return "+" if wave.state in {WaveState.APPLIED, WaveState.VERIFIED} else ""


def _state(wave: WaveReport) -> str:
    number = f"  ({wave.changed} {'target' if wave.changed == 1 else 'targets'} to change)"
    waits = wave.state in {WaveState.CHANGE, WaveState.HELD}
    return f"{wave.state.value}{number if wave.changed and waits else ''}"


def _said(wave: WaveReport) -> bool:
    """Tell whether the lines of the checks say already why a wave failed."""
    return wave.state is WaveState.FAILED


def _hold(report: Report, wave: WaveReport) -> str:
    return f"would hold the waves behind it: {wave.detail}" if report.mode == "plan" else wave.detail


def proof(done: Proof) -> str:
    """Say in a line how a check ended."""
    words = [f"{done.check}  {done.state}", f"run {done.run_id}" if done.run_id else "", done.url]
    failed = f"failed: {', '.join(done.failed)}" if done.failed else ""
    return "  ".join(filter(None, [*words, failed, done.detail]))


def as_json(report: Report) -> list[dict[str, object]]:
    """Return the waves as plain JSON values."""
    return [_wave(wave) for wave in report.waves]


def _wave(wave: WaveReport) -> dict[str, object]:
    return {
        "name": wave.name or None,
        "state": wave.state.value,
        "changed": wave.changed,
        "detail": wave.detail or None,
        "approve": wave.approve or None,
        "checks": [_proof(p) for p in wave.proofs],
        "asks": list(wave.asks),
    }


def _proof(done: Proof) -> dict[str, object]:
    return {
        "name": done.check,
        "state": done.state,
        "run": done.run_id or None,
        "url": done.url or None,
        "failed": list(done.failed),
        "detail": done.detail or None,
    }
