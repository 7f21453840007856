"""The shape of the config file, version 1, as pydantic models: the contract's section 2.

Strict: nothing is converted that a person didn't write so. Descriptions go into the JSON Schema, for editors, and from
there into docs/config.md.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ipsync.config import amounts as a
from ipsync.config import fields as f
from ipsync.config.ports import Ports


class Strict(BaseModel):
    """Unknown keys are errors; values aren't converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, defer_build=True)


def _written(text: str) -> dict[str, Any]:
    """Give the schema a default as a person writes it."""
    return {"default": text}


def _section(description: str, *, alias: str | None = None) -> Any:
    """Make a section that may be left out; as a plain default, its model isn't built a second time at import."""
    return Field({}, validate_default=True, alias=alias, description=description)


class Threshold(Strict):
    """The larger of a count and a percentage of what is held, in addresses."""

    count: a.Count | None = Field(None, description="Addresses.")
    percent: a.Percent | None = Field(None, description="Percent of the addresses held, 0 to 100.")


class MinPrefix(Strict):
    """The widest networks that a feed may list."""

    ipv4: Annotated[int, Field(ge=1, le=32)] | None = Field(None, description="The shortest IPv4 prefix. Default: 16.")
    ipv6: Annotated[int, Field(ge=1, le=128)] | None = Field(None, description="The shortest IPv6 prefix. Default: 32.")


class Coverage(Strict):
    """How many addresses a feed may cover, all its networks together."""

    ipv4: a.CoveredV4 | None = Field(None, description="IPv4 addresses: 262144, /14 or 4x/16. Default: /14.")
    ipv6: a.CoveredV6 | None = Field(None, description="IPv6 addresses: /32 or 16x/48. Default: 16x/32.")


class Growth(Strict):
    """The larger of a number of addresses and a percentage of what is covered."""

    ipv4: a.CoveredV4 | None = Field(None, description="IPv4 addresses: 4096, /20 or 16x/24. Default: 4096.")
    ipv6: a.CoveredV6 | None = Field(None, description="IPv6 addresses: /44 or 16x/48. Default: 16x/48.")
    percent: a.MorePercent | None = Field(
        None, description="Percent of the addresses covered, by family, 0 to 10000. Default: 100."
    )


class Guards(Strict):
    """Limits of the guards that have limits; the others are always on."""

    min_prefix: MinPrefix = _section(
        "The widest networks that a feed may list: {ipv4: 16, ipv6: 32}.", alias="min-prefix"
    )
    max_addresses: Annotated[int, Field(ge=1, le=20_000)] | None = Field(
        None, alias="max-addresses", description="The most entries that a feed may list, up to 20000. Default: 1000."
    )
    max_removals: Threshold = _section(
        "More removals want an approval: the larger of both, {count: 1, percent: 30}.", alias="max-removals"
    )
    max_additions: Threshold = _section(
        "More additions want an approval: the larger of both, {count: 20, percent: 50}.", alias="max-additions"
    )
    max_growth: Growth = _section(
        "A target that covers so many more addresses wants an approval: the larger of both, "
        "{ipv4: 4096, ipv6: 16x/48, percent: 100}.",
        alias="max-growth",
    )
    max_coverage: Coverage = _section(
        "The most addresses that a feed may cover, all its networks together: {ipv4: /14, ipv6: 16x/32}.",
        alias="max-coverage",
    )


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
        30.0, description="For the whole fetch, whatever the peer does; up to 600s.", json_schema_extra=_written("30s")
    )
    max_bytes: a.Size = Field(
        5 * 1024 * 1024, description="A larger answer is refused; up to 100MiB.", json_schema_extra=_written("5MiB")
    )
    headers: dict[f.HeaderName, f.HeaderValue] = Field(
        {}, description="More request headers. Values are secret and never shown; write them as ${NAME}."
    )
    ca_file: f.CaFile | None = Field(
        None, description="A CA bundle (PEM) to trust for this feed, instead of the usual."
    )
    insecure: bool = Field(default=False, description="Allow plain http to another machine; shown in every plan.")
    allow_special_use: list[f.Cidr] = Field(
        [], description="Special-use networks that this feed may list nonetheless, for labs."
    )
    guards: Guards = _section("Limits for this feed; they win over the top's.")


class Account(Strict):
    """How to reach an AWS account; without it, the ambient credentials are used."""

    role_arn: f.Role | None = Field(None, description="A role to assume.")
    external_id: f.ExternalId | None = Field(
        None, description="The external id that the role's trust policy asks for; never shown."
    )
    profile: f.Profile | None = Field(None, description="A profile of the shared AWS config.")


class Match(Strict):
    """Security groups by tags, and VPC."""

    tags: dict[f.TagKey, f.TagValue] = Field(min_length=1, description="Tags that a group must have, all of them.")
    vpc: f.Vpc | None = Field(None, description="Only groups of this VPC.")


class Target(Strict):
    """What every kind of target has."""

    name: f.Name = Field(description="Its name in reports, and in the marks on what is made; unique.")
    feed: f.Name | Annotated[list[f.Name], f.Unique] = Field([], description="A feed's name, or a list of names.")
    ports: Ports = Field(description="Like 443/tcp, 8000-8100/tcp, 53/udp and icmp; or [all], alone.")
    static: Annotated[list[f.StaticCidr], f.Unique] = Field(
        [], description="Addresses always wanted besides the feed's; any network but /0."
    )
    guards: Guards = _section("Limits for this target; they win over the feed's and the top's.")


class AwsSecurityGroup(Target):
    """Rules of security groups in one region of one account."""

    kind: Literal["aws-security-group"] = Field(description="Which kind of target this is.")
    region: f.Region = Field(description="Like eu-north-1.")
    account: Account = _section("How to reach the account. Default: the ambient credentials.")
    groups: Annotated[list[f.Group], f.Unique] = Field([], description="Security groups by id; or match.")
    match: Match | None = Field(None, description="Security groups by tags and VPC; or groups.")
    swap: bool = Field(default=False, description="Allow removing before adding where the quota leaves no other way.")


class GcpFirewall(Target):
    """A VPC firewall rule of one project; IPv6 goes to RULE-v6, overflow to RULE-2."""

    kind: Literal["gcp-firewall"] = Field(description="Which kind of target this is.")
    project: f.Project = Field(description="The project's id; with a Shared VPC, the host project's.")
    network: f.NetworkName = Field("default", description="The VPC network's name.")
    rule: f.Rule = Field(
        description="The rule's name, at most 56 characters; IPv6 goes to RULE-v6, overflow to RULE-2."
    )
    priority: Annotated[int, Field(ge=0, le=65535)] = Field(1000, description="0 (first) to 65535.")
    target_tags: Annotated[list[f.Tag], f.Unique] = Field(
        [], description="Only instances with one of these network tags; not with target_service_accounts."
    )
    target_service_accounts: Annotated[list[f.ServiceAccount], f.Unique] = Field(
        [], description="Only instances that run as one of these; not with target_tags."
    )
    max_ranges: Annotated[int, Field(ge=1, le=5000)] = Field(
        256, description="Source ranges that one rule holds; more go to RULE-2."
    )


class Removal(Strict):
    """How slowly addresses leave."""

    grace: a.Grace = Field(
        timedelta(hours=72),
        description="How long an address stays allowed after the feed drops it: a duration, 0s or never.",
        json_schema_extra=_written("72h"),
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
        900.0, description="How often a pass is made; 10s or longer.", json_schema_extra=_written("15m")
    )
    jitter: a.Duration = Field(
        60.0, description="At most so much later, by chance; shorter than every.", json_schema_extra=_written("60s")
    )

    @model_validator(mode="after")
    def _jitter_is_the_smaller(self) -> Schedule:
        if self.jitter >= self.every:
            text = "jitter must be shorter than every; set it too (it is 60s where nothing else is said)"
            raise ValueError(text)
        return self


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
    removal: Removal = _section("How slowly addresses leave: the grace.")
    guards: Guards = _section("Limits for everything; a feed's and a target's own win.")
    targets: list[Annotated[AwsSecurityGroup | GcpFirewall, Field(discriminator="kind")]] = Field(
        min_length=1, description="The doors to keep, at least one."
    )
    audit: Audit = _section("Where the audit log goes, and its key.")
    schedule: Schedule = _section("When `ipsync run` makes its passes; the other commands make one.")
    aws: Aws = _section("For emulators of AWS.")
    gcp: Gcp = _section("For emulators of Google Cloud.")
