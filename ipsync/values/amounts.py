"""Durations, sizes and numbers of addresses, as they are written in the config."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import Annotated

from pydantic import BeforeValidator, Field

from ipsync.values.shown_values import Shown, either_schema, text_schema

LONGEST = 366 * 86400
"""Seconds of the longest duration: a typo of a year and more is not a wish."""
LONGEST_FETCH = 600
MOST_BYTES = 100 * 1024**2
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhdw])+", re.ASCII)
_SIZES = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2}
_COVERED = re.compile(r"([0-9]{1,39})|(?:([0-9]{1,9}) ?x ?)?/(0|[1-9][0-9]{0,2})", re.ASCII)


def duration(value: object, *, other: str = "") -> float:
    """Read a duration in seconds: `90s`, `15m`, `72h`, `1d12h`; only 0 needs no unit. `other` is what an error names too."""
    if value == 0 and type(value) is int:
        return 0.0
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        bare = isinstance(value, int | float) and not isinstance(value, bool)
        hint = "; a bare number could be anything, so add the unit" if bare else ""
        raise Shown(value, f"is not a duration; write it like 90s, 15m, 72h or 1d12h{other}{hint}")
    total = float(sum(int(n) * _UNITS[u] for n, u in re.findall(r"([0-9]+)([smhdw])", value)))
    if total > LONGEST:
        raise Shown(value, "is longer than a year; write a shorter duration")
    return total


def grace(value: object) -> timedelta | None:
    """Read `removal.grace`: a duration, or `never`."""
    return None if value == "never" else timedelta(seconds=duration(value, other=", or never"))


def timeout(value: object) -> float:
    """Read a feed's timeout: a duration, or seconds."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    total = float(value) if plain else duration(value)  # type: ignore[arg-type]  # checked a line above
    if not 0 < total <= LONGEST_FETCH:
        raise Shown(value, f"is not a time to wait for a feed; write 1s to {LONGEST_FETCH}s")
    return total


def every(value: object) -> float:
    """Read `schedule.every`: at least ten seconds, since less would be a load test of the vendor."""
    total = duration(value)
    if total < 10:  # noqa: PLR2004 - as above
        raise Shown(value, "is too often; write 10s or longer")
    return total


def remind(value: object) -> float:
    """Read `remind_every`: at least a minute, since less would be told at every pass."""
    total = duration(value)
    if total < 60:  # noqa: PLR2004 - as above
        raise Shown(value, "is too often; write 1m or longer")
    return total


def age(value: object) -> float:
    """Read `max_unchanged_age`: at least an hour, since no list changes so often."""
    total = duration(value)
    if total < 3600:  # noqa: PLR2004 - as above
        raise Shown(value, "is too short; write 1h or longer, like 30d")
    return total


def wait(value: object) -> float:
    """Read how long to wait for somebody: a duration that is some time at all."""
    total = duration(value)
    if not total:
        raise Shown(value, "is no time to wait; write it like 30m")
    return total


def size(value: object) -> int:
    """Read a size in bytes: 5242880, or `5MiB`."""
    text = str(value) if type(value) is int else value
    match = re.fullmatch(r"([0-9]{1,12})(|B|KiB|MiB)", text, re.ASCII) if isinstance(text, str) else None
    total = int(match[1]) * _SIZES[match[2]] if match else 0
    if not 0 < total <= MOST_BYTES:
        raise Shown(value, "is not a size; write it like 5MiB (up to 100MiB), or in bytes")
    return total


def covered(value: object, *, bits: int) -> int:
    """Read how many addresses are covered: a number, one network's size (`/14`), or that of several (`16x/48`)."""
    text = str(value) if type(value) is int else value
    match = _COVERED.fullmatch(text) if isinstance(text, str) else None
    prefix = int(match[3]) if match and match[3] else bits
    total = int(match[1] or match[2] or 1) << max(bits - prefix, 0) if match else -1
    if prefix > bits or not 0 <= total <= 1 << bits:
        example = "262144, /14 or 4x/16" if bits == 32 else "/32 or 16x/48"  # noqa: PLR2004 - IPv4's
        raise Shown(value, f"is not a number of addresses; write it like {example}")
    return total


# ── as types ─────────────────────────────────────────────────────────────────

_ONE = r"[0-9]+[smhdw]"
_SPAN = f"(?:{_ONE})+"
_NULL = r"(?:0+[smhdw])+"


def _holds(part: str) -> str:
    """Return the pattern of durations that hold a part."""
    return f"(?:{_ONE})*0*(?:{part})(?:{_ONE})*"


def _but(*forms: str) -> dict[str, object]:
    """Refuse texts of these forms; a `not` is read by more validators than a lookahead."""
    return {"not": {"pattern": f"^(?:{'|'.join(forms)})$"}}


_OVER_600 = (
    r"[1-9][0-9]*[hdw]",
    r"(?:1[1-9]|[2-9][0-9]|[1-9][0-9]{2,})m",
    r"(?:60[1-9]|6[1-9][0-9]|[7-9][0-9]{2}|[1-9][0-9]{3,})s",
)
_OVER_100_MIB = (
    r"0*[1-9][0-9]{9,}B?",
    r"0*[1-9][0-9]{6,}KiB",
    r"0*(?:10[1-9]|1[1-9][0-9]|[2-9][0-9]{2}|[1-9][0-9]{3,})MiB",
)
_UNDER_AN_HOUR = (_NULL, r"0*[1-9][0-9]{0,2}s", r"0*[1-5]?[0-9]m", r"0*[12][0-9]{3}s", r"0*3[0-5][0-9]{2}s")
_ZERO: dict[str, object] = {"const": 0}

Duration = Annotated[float, BeforeValidator(duration), either_schema(_SPAN, _ZERO, "60s", "0s")]
Every = Annotated[float, BeforeValidator(every), text_schema(_SPAN, "15m", **_but(_NULL, r"0*[1-9]s"))]
Remind = Annotated[
    float, BeforeValidator(remind), text_schema(_SPAN, "24h", **_but(_NULL, r"0*[1-9]s", r"0*[1-5][0-9]s"))
]
Age = Annotated[float, BeforeValidator(age), text_schema(_SPAN, "30d", **_but(*_UNDER_AN_HOUR))]
Wait = Annotated[float, BeforeValidator(wait), text_schema(_SPAN, "30m", **_but(_NULL))]
Timeout = Annotated[
    float,
    BeforeValidator(timeout),
    either_schema(
        _SPAN,
        {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_FETCH},
        "30s",
        **_but(_NULL, *(_holds(part) for part in _OVER_600)),
    ),
]
Grace = Annotated[
    timedelta | None, BeforeValidator(grace), either_schema(f"{_SPAN}|never", _ZERO, "72h", "0s", "never")
]
Size = Annotated[
    int,
    BeforeValidator(size),
    either_schema(
        "[0-9]{1,12}(?:B|KiB|MiB)?",
        {"type": "integer", "minimum": 1, "maximum": MOST_BYTES},
        "5MiB",
        **_but(r"0+(?:B|KiB|MiB)?", *_OVER_100_MIB),
    ),
]
_PREFIX = {32: "3[0-2]|[12]?[0-9]", 128: "12[0-8]|1[01][0-9]|[1-9]?[0-9]"}


def _amount(bits: int, *examples: object) -> object:
    number: dict[str, object] = {"type": "integer", "minimum": 0, "maximum": 2**bits}
    return either_schema(rf"[0-9]{{1,39}}|(?:[0-9]{{1,9}} ?x ?)?/(?:{_PREFIX[bits]})", number, *examples)


CoveredV4 = Annotated[int, BeforeValidator(partial(covered, bits=32)), _amount(32, 262144, "/14", "4x/16")]
CoveredV6 = Annotated[int, BeforeValidator(partial(covered, bits=128)), _amount(128, "/32", "16x/48")]
Percent = Annotated[int, Field(ge=0, le=100)]
MorePercent = Annotated[int, Field(ge=0, le=10_000)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
