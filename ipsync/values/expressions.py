"""A feed's `select`: that it is a JMESPath, and that it calls only functions that there are, with what they take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ipsync.values.shown_values import Shown, short

EXAMPLE = "write it like prefixes[].ip_prefix"


def select(value: str) -> str:
    """Check a JMESPath expression, so that none of its own faults waits for the vendor's answer to show."""
    if value in {"@", "ipAddresses"}:
        return value
    import jmespath  # noqa: PLC0415 - the preset needs none

    try:
        parsed = jmespath.compile(value).parsed
        for node in _nodes(parsed):
            _check(node, value)
    except jmespath.exceptions.LexerError as error:
        raise _no_select(value, error.lexer_position) from None
    except jmespath.exceptions.ParseError as error:
        raise _no_select(value, error.lex_position) from None
    except RecursionError:
        raise _no_select(value, None) from None
    except Shown:
        raise
    except (jmespath.exceptions.JMESPathError, ValueError):
        raise _no_select(value, None) from None
    return value


def _no_select(value: str, position: int | None) -> Shown:
    place = f", wrong from character {position + 1}" if isinstance(position, int) and position < len(value) else ""
    return Shown(value, f"is not a JMESPath{place}; {EXAMPLE}")


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a node and all inside of it; a slice's children are numbers."""
    if isinstance(node, dict):
        yield node
        for child in node.get("children", ()):
            yield from _nodes(child)


def _check(node: Mapping[str, Any], value: str) -> None:
    if node["type"] == "slice" and node["children"][2] == 0:
        raise Shown(value, "has a slice whose step is 0; leave the step out, or name another")
    if node["type"] == "function_expression":
        _check_call(str(node["value"]), len(node["children"]), value)


def _check_call(name: str, given: int, value: str) -> None:
    from difflib import get_close_matches  # noqa: PLC0415 - only errors need it

    from jmespath.functions import Functions  # noqa: PLC0415 - as above

    known: Mapping[str, Any] = Functions.FUNCTION_TABLE
    if name not in known:
        near = get_close_matches(name, known, 1)
        instead = f"did you mean {near[0]}()?" if near else f"there are {', '.join(sorted(known))}"
        told = f"{short(value)} calls {name:.40}(), which JMESPath doesn't have; {instead}"
        raise Shown(value, "calls a function that JMESPath doesn't have", told=told)
    takes = known[name]["signature"]
    more = bool(takes) and takes[-1].get("variadic")
    if given < len(takes) or (given > len(takes) and not more):
        least = "at least " if more else ""
        words = f"{len(takes)} argument{'' if len(takes) == 1 else 's'}"
        told = f"{short(value)} gives {name}() {given}, and it takes {least}{words}"
        raise Shown(value, "gives a function another number of arguments than it takes", told=told)
