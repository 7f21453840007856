"""The shape of the config file, version 1, as pydantic models: the contract's section 2.

Strict: nothing is converted that a person didn't write so. Descriptions go into the JSON Schema, for editors.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ipsync.config import fields as f


class Strict(BaseModel):
    """Unknown keys are errors; values aren't converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, defer_build=True)


class Threshold(Strict):
    """The larger of a count and a percentage of what is held, in addresses."""

    count: f.Count | None = None
    percent: f.Percent | None = None


class MinPrefix(Strict):
    """The widest networks that a feed may list."""

    ipv4: Annotated[int, Field(ge=1, le=32)] | None = None
    ipv6: Annotated[int, Field(ge=1, le=128)] | None = None


class Guards(Strict):
    """Limits of the guards that have limits; the others are always on (contract, section 4)."""

    min_prefix: MinPrefix = Field(MinPrefix(), alias="min-prefix", description="Default: /16 and /32.")
    max_addresses: Annotated[int, Field(ge=1)] | None = Field(
        None, alias="max-addresses", description="Entries of a feed. Default: 1000."
    )
    max_removals: Threshold = Field(
        Threshold(), alias="max-removals", description="A resource and run. Default: the larger of 1 and 30 %."
    )
    max_additions: Threshold = Field(
        Threshold(), alias="max-additions", description="A resource and run. Default: the larger of 20 and 50 %."
    )


class Feed(Strict):
    """Where a vendor publishes its addresses."""

    url: f.Url | None = Field(None, description="https; plain http only on this machine, or with insecure: true.")
    format: Literal["json", "text"] = Field("json", description="text: an address a line, # comments.")
    select: str | None = Field(None, description="JMESPath to a list of strings, for json.")
    timeout: f.Duration = Field(30.0, description="For the whole fetch, whatever the peer does.")
    max_bytes: f.Size = Field(5 * 1024 * 1024, description="A larger answer is refused.")
    headers: dict[str, str] = Field({}, description="Extra request headers; values are secret.")
    ca_file: str | None = Field(None, description="A CA bundle (PEM) for this feed.")
    insecure: bool = Field(default=False, description="Allow plain http to another machine; shown in every plan.")
    allow_special_use: list[f.Cidr] = Field([], description="Special-use networks that a lab's feed may list.")
    guards: Guards = Guards()


class Account(Strict):
    """How to reach an AWS account; without it, the ambient credentials are used."""

    role_arn: f.Role | None = Field(None, description="A role to assume.")
    external_id: str | None = Field(None, description="The external id that the role's trust policy asks for.")
    profile: str | None = Field(None, description="A profile of the shared credentials file.")


class Match(Strict):
    """Security groups by tags, and VPC."""

    tags: dict[str, str] = Field(min_length=1)
    vpc: f.Vpc | None = None


class Target(Strict):
    """What every kind of target has."""

    name: f.Name = Field(description="Stands in the marks on what is made; unique.")
    feed: f.Name | list[f.Name] = Field([], description="A feed's name, or a list of names.")
    ports: list[f.Ports] = Field(min_length=1, description="Like 443/tcp and 8000-8100/tcp, or [all].")
    static: list[f.StaticCidr] = Field([], description="Addresses always wanted besides the feed's.")
    guards: Guards = Guards()


class AwsSecurityGroup(Target):
    """Rules of security groups in one region of one account."""

    kind: Literal["aws-security-group"]
    region: f.Region
    account: Account = Account()
    groups: list[f.Group] = Field([], description="By id; or match.")
    match: Match | None = Field(None, description="By tags and VPC; or groups.")
    swap: bool = Field(default=False, description="Allow removing before adding where the quota leaves no other way.")


class GcpFirewall(Target):
    """A VPC firewall rule of one project; IPv6 goes to RULE-v6, overflow to RULE-2."""

    kind: Literal["gcp-firewall"]
    project: f.Project
    network: f.NetworkName = "default"
    rule: f.Rule
    priority: Annotated[int, Field(ge=0, le=65535)] = 1000
    target_tags: list[f.Tag] = []
    target_service_accounts: list[str] = []
    max_ranges: Annotated[int, Field(ge=1, le=5000)] = Field(256, description="Source ranges that one rule holds.")


class Removal(Strict):
    """How slowly addresses leave."""

    grace: f.Grace = Field(
        default_factory=lambda: f.grace("72h"),
        description="How long an address stays after the feed drops it; 0s or never too.",
    )


class Audit(Strict):
    """Where the audit log goes."""

    path: str = Field("./audit.jsonl", description="A file, relative to the working folder; - is standard output.")
    hmac_key: str | None = Field(None, description="A key that makes the chain unforgeable; from ${NAME}.")


class Schedule(Strict):
    """When `ipsync run` makes its passes."""

    every: f.Duration = 900.0
    jitter: f.Duration = 60.0


class Aws(Strict):
    """For emulators."""

    endpoint_url: f.Endpoint | None = None


class Gcp(Strict):
    """For emulators."""

    endpoint: f.Endpoint | None = None


class File(Strict):
    """ipsync's config file."""

    version: Literal[1]
    owner: f.Owner = Field(description="Marks what this installation made.")
    feeds: dict[f.Name, Feed | None] = Field({}, description="By name; `qatech: {}` is a preset.")
    removal: Removal = Field(default_factory=Removal)
    guards: Guards = Guards()
    targets: list[Annotated[AwsSecurityGroup | GcpFirewall, Field(discriminator="kind")]] = Field(min_length=1)
    audit: Audit = Audit()
    schedule: Schedule = Schedule()
    aws: Aws = Aws()
    gcp: Gcp = Gcp()
