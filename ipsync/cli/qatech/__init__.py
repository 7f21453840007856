"""`ipsync qatech`: QA.tech's API by hand. It needs no config file: QATECH_API_TOKEN, and QATECH_API_URL for another address."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import click

from ipsync.cli import options, streams
from ipsync.cli.qatech import ordered, waiting
from ipsync.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from ipsync.verification.qatech.answers import Run
    from ipsync.verification.qatech.client import Client

log = logging.getLogger(__name__)
_form = options.output("text", "json")
_short_id = click.argument("short_id", metavar="SHORT_ID")


@click.group(short_help="Ask QA.tech: addresses, test runs, test cases.")
def qatech() -> None:
    """Ask QA.tech: its addresses, test runs and test cases.

    Needs no config file. The project's API token stands in QATECH_API_TOKEN; QATECH_API_URL names another address of
    the API than https://api.qa.tech/v1.
    """


@qatech.command("outbound-ips", short_help="The addresses that its runners use.")
@_form
@options.logs
def outbound_ips(output: str) -> None:
    """Show the addresses that QA.tech's runners connect from; needs no token."""
    from ipsync.cli.qatech import shown

    with waiting.client() as client:
        streams.say(shown.addresses(client.outbound_ips(), output=output))


# ── runs ─────────────────────────────────────────────────────────────────────


@qatech.group("run", short_help="Start a test run, look at it, repeat it.")
def runs() -> None:
    """Start a test run, look at it, repeat it.

    Exits with 0 when that was done and, with --wait, the tests passed; with 3 when they ran and did not pass; with 1 for
    everything else.
    """


@runs.command(cls=ordered.Ordered, short_help="Start a test run.")
@click.option("--test-plan", metavar="pln_…", help="The test plan; without it the project's default one.")
@ordered.application_options
@waiting.options
@_form
@options.logs
def start(test_plan: str | None, timeout: float, output: str, *, wait: bool) -> int:
    """Start a test run.

    --environment, --environment-url, --environment-name and --device-preset stand behind the --application that they
    belong to.
    """
    from ipsync.verification.qatech.bodies import RunRequest

    wanted = RunRequest(test_plan=test_plan, applications=ordered.applications())
    with waiting.client() as client:
        return _follow(client, _known(lambda: client.start(wanted), output), output, wait=wait, timeout=timeout)


@runs.command(short_help="Show how a run is doing.")
@_short_id
@click.option("--test-cases", type=click.Choice(["failed", "all"]), help="Show these test cases too.")
@waiting.options
@_form
@options.logs
def status(
    short_id: str, test_cases: Literal["failed", "all"] | None, timeout: float, output: str, *, wait: bool
) -> int:
    """Show how a run is doing, or wait for its end."""
    from ipsync.cli.qatech import shown

    with waiting.client() as client:
        if wait:
            return waiting.until_ended(client, short_id, timeout=timeout, output=output, test_cases=test_cases)
        streams.say(shown.run(client.run(short_id, test_cases=test_cases), output=output))
    return ExitCode.DONE


@runs.command(short_help="Run a run's tests again.")
@_short_id
@click.option("--failed-only", is_flag=True, help="Only the tests that did not pass.")
@click.option("--test-case", "test_cases", multiple=True, metavar="UUID", help="Only this test case (repeatable).")
@waiting.options
@_form
@options.logs
def rerun(short_id: str, test_cases: tuple[str, ...], timeout: float, output: str, *,
          failed_only: bool, wait: bool) -> int:  # fmt: skip
    """Run a run's tests again: a new run, with an id of its own."""
    from ipsync.verification.qatech.bodies import RerunRequest

    wanted = RerunRequest(failed_only=failed_only, test_cases=test_cases)
    with waiting.client() as client:
        begun = _known(lambda: client.rerun(short_id, wanted), output)
        return _follow(client, begun, output, wait=wait, timeout=timeout)


def _known(begin: Callable[[], Run], output: str) -> Run:
    """Start something; where nobody knows whether it was, a script is told too."""
    from ipsync.cli.qatech import shown
    from ipsync.verification.base import Result
    from ipsync.verification.errors import AnswerLost

    try:
        return begin()
    except AnswerLost as error:
        if output == "json":
            text = shown.run(None, Result("unknown", detail=str(error)), output=output)
            waiting.say(text, ExitCode.FAILED, about="what came of the request stands below")
        raise


def _follow(client: Client, begun: Run, output: str, *, wait: bool, timeout: float) -> int:
    """Show a run that has begun, or wait for its end."""
    from ipsync.cli.qatech import shown
    from ipsync.verification.qatech.verdict import started

    if wait:
        log.info("run %s started: %s", begun.short_id, begun.url)
        return waiting.until_ended(client, begun.short_id, timeout=timeout, output=output, begun=begun)
    text = shown.run(None, started(begun), begun=begun, output=output)
    return waiting.say(text, ExitCode.DONE, about=waiting.about(begun))


# ── test cases ───────────────────────────────────────────────────────────────


@qatech.group("test-case", short_help="Make a test case.")
def test_case() -> None:
    """Make a test case, like the one that proves that a runner reaches your staging environment."""


@test_case.command(short_help="Make a test case.")
@click.option("--name", required=True, metavar="TEXT", help="Its name, up to 80 characters.")
@click.option("--goal", required=True, metavar="TEXT", help="What to do, in plain words: one way through the site.")
@click.option("--application", required=True, metavar="app_…", help="The application that it tests.")
@click.option("--expected-result", metavar="TEXT", help="What is seen on the screen when all is well.")
@click.option("--config", "configs", multiple=True, metavar="cfg_…", help="A config that it may use (repeatable).")
@click.option("--scenario", metavar="scenario_…", help="The scenario that it belongs to.")
@click.option("--wait-for", multiple=True, metavar="UUID", help="A test case that must end first (repeatable).")
@click.option("--resume-from", metavar="UUID", help="The test case whose browser it goes on with.")
@_form
@options.logs
def create(name: str, goal: str, application: str, expected_result: str | None, configs: tuple[str, ...],
           scenario: str | None, wait_for: tuple[str, ...], resume_from: str | None, output: str) -> int:  # fmt: skip
    """Make a test case."""
    from ipsync.cli.qatech import shown
    from ipsync.verification.qatech.bodies import TestCaseRequest

    wanted = TestCaseRequest(
        name=name, goal=goal, application=application, expected_result=expected_result, configs=configs,
        scenario=scenario, wait_for=wait_for, resume_from=resume_from,
    )  # fmt: skip
    with waiting.client() as client:
        made = client.create_test_case(wanted)
        return waiting.say(
            shown.test_case(made, output=output), ExitCode.DONE, about=f"test case {made.id} was made: {made.url}"
        )
