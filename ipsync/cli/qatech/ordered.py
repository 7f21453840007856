"""Options whose place says what they mean: those of an application stand behind the `--application` they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from ipsync.core.errors import UsageError

if TYPE_CHECKING:
    from ipsync.verification.qatech.bodies import Application

_GIVEN = "ipsync.cli.qatech.given"
_OPTIONS = (
    click.option("--application", multiple=True, expose_value=False, metavar="app_…",
                 help="An application of the run (repeatable); the options below belong to the one before them."),
    click.option("--environment", multiple=True, expose_value=False, metavar="env_…",
                 help="Where it is tested: an environment that QA.tech knows."),
    click.option("--environment-url", multiple=True, expose_value=False, metavar="URL",
                 help="Where it is tested: an environment made for this run."),
    click.option("--environment-name", multiple=True, expose_value=False, metavar="NAME",
                 help="The name of that environment."),
    click.option("--device-preset", multiple=True, expose_value=False, metavar="preset_…",
                 help="The device that it is tested on."),
)  # fmt: skip
_NAMES = ("application", "environment", "environment_url", "environment_name", "device_preset")


class Ordered(click.Command):
    """A command that remembers in which order its options came."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse twice: click itself keeps the order of the options, and of each option's values, but not of both."""
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        left = {name: iter(values.get(name) or ()) for name in _NAMES}
        given = [(one.name, next(left[one.name])) for one in order if one.name in left]
        ctx.meta[_GIVEN] = given
        return super().parse_args(ctx, args)


def application_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of applications; `applications` tells what was given."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def applications() -> tuple[Application, ...]:
    """Return the applications that the running command was given. Raises UsageError."""
    return tuple(_application(group) for group in _groups(click.get_current_context().meta[_GIVEN]))


def _groups(given: Sequence[tuple[str, str]]) -> Iterator[dict[str, str]]:
    """Yield the options of one application after the other."""
    group: dict[str, str] = {}
    for name, value in given:
        option = f"--{name.replace('_', '-')}"
        if name == "application":
            yield from [group] if group else []
            group = {}
        elif not group:
            raise UsageError(f"{option} stands before any --application; put it behind the one that it belongs to")
        if name in group:
            raise UsageError(f"{option} stands twice behind --application {group['application']}")
        group[name] = value
    yield from [group] if group else []


def _application(group: dict[str, str]) -> Application:
    from ipsync.verification.qatech.bodies import Application, Environment

    short_id, url, name = (group.get(key) for key in ("environment", "environment_url", "environment_name"))
    if short_id and url:
        raise UsageError(f"--application {group['application']} has --environment and --environment-url: keep one")
    if name and short_id:
        raise UsageError(f"--environment {short_id} has its name at QA.tech already; leave --environment-name out")
    if name and not url:
        raise UsageError("--environment-name names an environment that is made by --environment-url; add that")
    place = None if short_id is None and url is None else Environment(short_id=short_id, url=url, name=name)
    return Application(short_id=group["application"], environment=place, device_preset=group.get("device_preset"))
