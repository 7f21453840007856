"""The part of the config file that says in which order targets are written, and what proves each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from ipsync.values import amounts as a
from ipsync.values import fields as f
from ipsync.values.models import Strict, written
from ipsync.values.shown_values import Shown, pattern

Prefix = Literal["pln", "app", "env", "preset"]
_ID = r"(?:-[!-~]+)?_[!-~]+"


def _id(prefix: Prefix) -> tuple[AfterValidator, Any]:
    """Return what makes a text one of QA.tech's ids: checked by the code that sends it."""

    def check(value: str) -> str:
        from ipsync.verification.qatech.ids import short_id  # noqa: PLC0415 - a config without checks needs nothing of it

        try:
            return short_id(prefix, value)
        except ValueError as error:
            raise Shown(value, f"is not an id that begins with {prefix}_", told=str(error)) from None

    return AfterValidator(check), Field(json_schema_extra={"pattern": pattern(prefix + _ID)})


def _checked(name: str) -> Callable[[str], str]:
    """Return the check of what a client of QA.tech needs: its token, or the API's address."""

    def check(value: str) -> str:
        from ipsync.verification.qatech import access  # noqa: PLC0415 - as above

        try:
            return str(getattr(access, name)(value, name=""))
        except ValueError as error:
            raise ValueError(" ".join(str(error).lstrip(": ").split())) from None

    return check


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty; is the variable empty?")
    return value


PlanId = Annotated[str, *_id("pln")]
AppId = Annotated[str, *_id("app")]
EnvId = Annotated[str, *_id("env")]
PresetId = Annotated[str, *_id("preset")]
_REST = r'[!-"$->A-~]'
_BASE = (
    r"(?!.*/api/projects(?:/|$))"
    rf"(?:https://(?!app\.qa\.tech(?:[:/]|$)){_REST}+|http://(?:localhost|127\.[0-9.]+|\[::1\])(?:[:/]{_REST}*)?)"
)
"""The API's base: neither the legacy one, nor plain http to another machine, nor a user, a query or a fragment."""
ApiUrl = Annotated[str, AfterValidator(_checked("base_url")), Field(json_schema_extra={"pattern": pattern(_BASE)})]
Token = Annotated[str, AfterValidator(_checked("token")), Field(json_schema_extra={"pattern": "^[!-~]+$"})]
SiteUrl = Annotated[
    str,
    AfterValidator(_checked("web_address")),
    Field(json_schema_extra={"pattern": pattern("https?://[^ @/?#]+(?:[/?#][^ ]*)?")}),
]
SiteName = Annotated[str, AfterValidator(_said), Field(json_schema_extra={"pattern": "\\S"})]
EVERY = "Ask also without a change, once the last proof is so old; 10s or longer."


class Wave(Strict):
    """Targets that are written together, after those of the waves before."""

    name: f.Name = Field(description="What targets say as wave: NAME; unique.")
    verify: Annotated[list[f.Name], f.Unique] = Field(
        [], description="Names of checks that must pass before the next wave begins, in order."
    )
    pause: a.Duration = Field(
        0.0, description="How long to wait after this wave, before the next one.", json_schema_extra=written("0s")
    )
    max_changed_targets: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None,
        alias="max-changed-targets",
        description="A wave that would change more targets than that, a resource each, needs approval.",
    )


class Environment(Strict):
    """An environment that is made for the run."""

    url: SiteUrl = Field(description="An http:// or https:// address.")
    name: SiteName | None = Field(None, description="A name for it.")


class Application(Strict):
    """One application of a run at QA.tech, with what is other than its default."""

    application: AppId = Field(description="An application's id: app_….")
    environment: EnvId | Environment | None = Field(
        None, description="An environment's id, env_…, or {url: …, name: …} for one that is made for the run."
    )
    device_preset: PresetId | None = Field(None, description="A device preset's id: preset_….")


class Qatech(Strict):
    """A test run at QA.tech."""

    url: ApiUrl | None = Field(
        None, description="Another address of the API. Default: QATECH_API_URL, else https://api.qa.tech/v1."
    )
    token: Token | None = Field(
        None, description="The project's API token; never shown, write it as ${NAME}. Default: QATECH_API_TOKEN."
    )
    test_plan: PlanId | None = Field(
        None, description="A test plan's id, pln_…. Default: the project's default test plan."
    )
    applications: list[Application] = Field([], description="Applications that are tested otherwise than usual.")
    timeout: a.Wait = Field(1800.0, description="How long to wait for the run's end.", json_schema_extra=written("30m"))
    rerun_failed: Annotated[int, Field(ge=0, le=3)] = Field(
        1, description="How often failed tests are run again before the run counts as failed, 0 to 3."
    )
    when: Literal["changed", "always"] = Field(
        "changed", description="changed: after a change of the wave, until it has passed; always: in every run."
    )
    every: a.Every | None = Field(None, description=EVERY)


class Check(Strict):
    """What proves that the doors of a wave are open: one of qatech and command."""

    qatech: Qatech | None = Field(None, description="A test run at QA.tech; `{}` takes every default.")
    command: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = Field(
        None, description="A program and its arguments, without a shell; it gets the change as JSON, exit 0 is good."
    )
    timeout: a.Wait = Field(300.0, description="For a command: how long it may take.", json_schema_extra=written("5m"))
    when: Literal["changed", "always"] = Field("changed", description="For a command, as for qatech.")
    every: a.Every | None = Field(None, description="For a command, as for qatech.")
