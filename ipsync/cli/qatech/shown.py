"""What QA.tech answered, as text for people and as JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ipsync.core.printable import json_text, printable
from ipsync.verification.base import Result
from ipsync.verification.qatech import verdict
from ipsync.verification.qatech.answers import OutboundIps, PlannedRun, Run, RunState, RunTestCase, TestCase


def addresses(found: OutboundIps, *, output: str) -> str:
    """Show the addresses, one a line."""
    if output == "json":
        return json_text({"addresses": list(found.ip_addresses)}, indent=2)
    return "\n".join(found.ip_addresses)


def test_case(made: TestCase, *, output: str) -> str:
    """Show a test case that was made."""
    if output == "json":
        return json_text(made.model_dump(), indent=2)
    return printable(f"test case {made.id}  {made.name}  {made.url}")


def run(state: RunState | None, result: Result | None = None, *, begun: Run | None = None, output: str) -> str:
    """Show a run: what it proves, what was told of it (`state`) and of its start (`begun`)."""
    if result is None:
        result = verdict.judged(state) if state else Result("unknown")
    if output == "json":
        return json_text(_document(state, result, begun), indent=2)
    return "\n".join(printable(line) for line in _lines(state, result, begun))


def _document(state: RunState | None, result: Result, begun: Run | None) -> dict[str, Any]:
    plan = begun.test_plan.model_dump() if isinstance(begun, PlannedRun) else None
    return {
        "run": result.run_id or None,
        "url": result.url or None,
        "state": result.state,
        "detail": result.detail or None,
        "failed": list(result.failed),
        "status": state.status if state else None,
        "result": state.result if state else None,
        "test_count": begun.test_count if begun else None,
        "test_plan": plan,
        "test_cases": [one.model_dump() for one in state.run_test_cases] if state else [],
    }


def _lines(state: RunState | None, result: Result, begun: Run | None) -> Iterator[str]:
    words = f" ({state.status})" if state and result.state == "running" else ""
    yield f"run {result.run_id}  {result.state}{words}{f'  {result.url}' if result.url else ''}"
    if begun:
        plan = (
            f" of test plan {begun.test_plan.name} ({begun.test_plan.short_id})"
            if isinstance(begun, PlannedRun)
            else ""
        )
        yield f"    {begun.test_count} test{'' if begun.test_count == 1 else 's'}{plan}"
    if result.detail:
        yield f"    ! {result.detail}"
    yield from (_case(one) for one in (state.run_test_cases if state else ()))
    if begun and state is None and not result.ended:
        yield f"    its result: ipsync qatech run status {result.run_id} --wait"


def _case(one: RunTestCase) -> str:
    return f"    {one.result or one.status:<9}  {one.name}{f': {one.result_title}' if one.result_title else ''}"
