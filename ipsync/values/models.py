"""The parts of the config that the file and every kind of target share, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ipsync.values import amounts as a
from ipsync.values import fields as f
from ipsync.values.ports import Ports


class Strict(BaseModel):
    """Unknown keys are errors; values aren't converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, defer_build=True)


def written(text: str) -> dict[str, Any]:
    """Give the schema a default as a person writes it."""
    return {"default": text}


def section(description: str, *, alias: str | None = None) -> Any:
    """Make a section that may be left out; as a plain default, its model isn't built a second time at import."""
    return Field({}, validate_default=True, alias=alias, description=description)


def old_names(model: type[BaseModel]) -> dict[str, str]:
    """Return the old names that a model still reads, each with the new one: a field's `deprecated` names it."""
    return {old: field.deprecated for old, field in model.model_fields.items() if isinstance(field.deprecated, str)}


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

    min_prefix: MinPrefix = section(
        "The widest networks that a feed may list: {ipv4: 16, ipv6: 32}.", alias="min-prefix"
    )
    max_addresses: Annotated[int, Field(ge=1, le=20_000)] | None = Field(
        None, alias="max-addresses", description="The most entries that a feed may list, up to 20000. Default: 1000."
    )
    max_removals: Threshold = section(
        "More removals need approval: the larger of both, {count: 1, percent: 30}.", alias="max-removals"
    )
    max_additions: Threshold = section(
        "More additions need approval: the larger of both, {count: 20, percent: 50}.", alias="max-additions"
    )
    max_growth: Growth = section(
        "A target that covers so many more addresses needs approval: the larger of both, "
        "{ipv4: 4096, ipv6: 16x/48, percent: 100}.",
        alias="max-growth",
    )
    max_coverage: Coverage = section(
        "The most addresses that a feed may cover, all its networks together: {ipv4: /14, ipv6: 16x/32}.",
        alias="max-coverage",
    )


class AnyTarget(Strict):
    """What every kind of target has."""

    kind: str
    name: f.Name = Field(description="Its name in reports, and in the marks on what is made; unique.")
    feed: f.Name | Annotated[list[f.Name], f.Unique] = Field([], description="A feed's name, or a list of names.")
    static: Annotated[list[f.StaticCidr], f.Unique] = Field(
        [], description="Addresses always wanted besides the feed's; any network but /0."
    )
    wave: f.Name | None = Field(None, description="The wave that it is written in; without one it comes last.")
    guards: Guards = section("Limits for this target; they win over the feed's and over those at the top of the file.")


class Target(AnyTarget):
    """What a kind has whose entries say to which ports they let in."""

    ports: Ports = Field(description="Like 443/tcp, 8000-8100/tcp, 53/udp and icmp; or [all], alone.")
