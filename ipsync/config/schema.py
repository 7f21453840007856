"""The shape of the config file, version 1, as pydantic models: the contract's section 2.

Strict: nothing is converted that a person didn't write so. Descriptions go into the JSON Schema, for editors, and from
there into docs/config.md.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args

from pydantic import BeforeValidator, Field, create_model, model_validator

from ipsync.config.wave_schema import Check, Wave
from ipsync.core.configured import Word
from ipsync.targets import registry
from ipsync.values import amounts as a
from ipsync.values import fields as f
from ipsync.values.models import Guards, Strict, section, written

DEFAULT_WORDS: tuple[Word, ...] = ("blocked", "failed", "held", "contested", "feed-unchanged")
"""What wants a human."""
LISTED = f"[{', '.join(DEFAULT_WORDS)}]"


class Feed(Strict):
    """Where a vendor publishes its addresses."""

    url: f.Url | None = Field(
        None, description="An https:// address. It is shown in plans and logs: secrets belong into headers."
    )
    format: Literal["json", "text"] = Field("json", description="json, or text: an address a line, # comments.")
    select: f.Select | None = Field(
        None, description="For json: a JMESPath to a list of texts. Default: @, the whole document."
    )
    timeout: a.Timeout = Field(
        30.0, description="For the whole fetch, whatever the peer does; up to 600s.", json_schema_extra=written("30s")
    )
    max_bytes: a.Size = Field(
        5 * 1024 * 1024, description="A larger answer is refused; up to 100MiB.", json_schema_extra=written("5MiB")
    )
    headers: dict[f.HeaderName, f.HeaderValue] = Field(
        {}, description="More request headers. Values are secret and never shown; write them as ${NAME}."
    )
    ca_file: f.CaFile | None = Field(
        None, description="A CA bundle (PEM) to trust for this feed, instead of the usual."
    )
    insecure: bool = Field(default=False, description="Allow plain http to another machine; shown in every plan.")
    max_unchanged_age: a.Age | None = Field(
        None, description="Warns when the list has been the same for longer: a duration of an hour or more."
    )
    allow_special_use: list[f.Cidr] = Field(
        [], description="Special-use networks that this feed may list nonetheless, for labs."
    )
    guards: Guards = section("Limits for this feed; they win over those at the top of the file.")


class Removal(Strict):
    """How slowly addresses leave."""

    grace: a.Grace = Field(
        timedelta(hours=72),
        description="How long an address stays allowed after the feed drops it: a duration, 0s or never.",
        json_schema_extra=written("72h"),
    )


class Audit(Strict):
    """Where the audit log goes."""

    path: f.FilePath = Field(
        "./audit.jsonl",
        description="A file; a relative path starts at the working folder. - is standard output; reports then go to stderr.",
    )
    hmac_key: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="A key that makes the chain unforgeable; never shown, write it as ${NAME}."
    )
    hmac_keys_before: list[Annotated[str, Field(min_length=1)] | None] = Field(
        [],
        description="Keys of before, so that parts of the log that they sealed verify; null: there was none. Never shown.",
    )
    objects: f.Objects | None = Field(
        None, description="s3://bucket/prefix or gs://bucket/prefix: a copy of each run, never written over."
    )


class Schedule(Strict):
    """When `ipsync run` makes its passes."""

    every: a.Every = Field(
        900.0, description="How often a pass is made; 10s or longer.", json_schema_extra=written("15m")
    )
    jitter: a.Duration = Field(
        60.0, description="At most so much later, by chance; shorter than every.", json_schema_extra=written("60s")
    )

    @model_validator(mode="after")
    def _jitter_is_the_smaller(self) -> Schedule:
        if self.jitter >= self.every:
            text = "jitter must be shorter than every; set it too (it is 60s where nothing else is said)"
            raise ValueError(text)
        return self


class Notification(Strict):
    """Who is told of what: one of webhook, slack and command."""

    webhook: f.Hook | None = Field(
        None, description="An https:// address that gets a CloudEvent by POST. It is never shown."
    )
    secret: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="For webhook: a key that signs each message; never shown, write it as ${NAME}."
    )
    slack: f.SlackHook | None = Field(
        None, description="A Slack incoming webhook's URL; never shown, write it as ${NAME}."
    )
    command: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = Field(
        None,
        description="A program and its arguments, run without a shell; the CloudEvent comes on its standard input.",
    )
    on: Annotated[list[Word], Field(min_length=1), f.Unique] = Field(
        list(DEFAULT_WORDS),
        description=f"What is told: {', '.join(get_args(Word))}.",
        json_schema_extra=written(LISTED),
    )
    remind_every: a.Remind = Field(
        86400.0,
        description="When a state that doesn't change is told again; 1m or longer.",
        json_schema_extra=written("24h"),
    )


class Aws(Strict):
    """For emulators."""

    endpoint_url: f.Endpoint | None = Field(
        None, description="An emulator's URL; http only on this machine. AWS_ENDPOINT_URL works too."
    )


class Gcp(Strict):
    """For emulators."""

    endpoint: f.Endpoint | None = Field(
        None, description="An emulator's URL; http only on this machine, and then without credentials."
    )


def _version(value: object) -> object:
    """Refuse `true` and `1.0`, which Python calls equal to 1."""
    if type(value) is not int or value != 1:
        raise ValueError("must be 1, the only version of this file there is")
    return value


class File(Strict):
    """ipsync's config file."""

    version: Annotated[Literal[1], BeforeValidator(_version)] = Field(description="The version of this file: 1.")
    owner: f.Owner = Field(
        description="Marks what this installation made: 1 to 32 of a-z, 0-9 and -. Never change it later."
    )
    feeds: dict[f.FeedName, Feed | None] = Field({}, description="By name; `qatech: {}` is a preset.")
    removal: Removal = section("How slowly addresses leave: the grace.")
    guards: Guards = section("Limits for everything; a feed's and a target's own win.")
    targets: list[Any]
    waves: list[Wave] = Field([], description="In which order targets are written; those without a wave come last.")
    verify: dict[f.FeedName, Check] = Field({}, description="By name: what proves that a wave's doors are open.")
    audit: Audit = section("Where the audit log goes, and its key.")
    schedule: Schedule = section("When `ipsync run` makes its passes; the other commands make one.")
    listen: f.Listen | None = Field(
        ("127.0.0.1", 9464),
        description="Where `ipsync run` serves metrics, health and its status page: HOST:PORT; null for nowhere.",
        json_schema_extra=written("127.0.0.1:9464"),
    )
    notify: list[Notification] = Field([], description="Who is told of what: webhooks, Slack, commands.")
    aws: Aws = section("For emulators of AWS.")
    gcp: Gcp = section("For emulators of Google Cloud.")


@lru_cache(maxsize=8)
def file_model(kinds: tuple[str, ...]) -> type[File]:
    """Return the model of a file whose targets may be of these kinds."""
    models = tuple(found.schema for name in kinds if (found := registry.kind(name)))
    one = Union[models]  # type: ignore[valid-type]  # noqa: UP007 - made at run time
    choice = Annotated[one, Field(discriminator="kind")] if len(models) > 1 else one
    targets = (list[choice], Field(min_length=1, description="The doors to keep, at least one."))  # type: ignore[valid-type]
    made: type[File] = create_model("File", __base__=File, __doc__=File.__doc__, targets=targets)
    return made
