"""Google's own description of Compute Engine v1, as a judge of requests and of our fake's answers.

The discovery document is carried by google-api-python-client (an extra of the demo and the tests). It knows
routes, parameters and types; what it doesn't know (CIDRs, immutability, quotas) stands in gcp.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import googleapiclient

RESOURCES = ("firewalls", "globalOperations", "networks", "projects")
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


@dataclass(frozen=True, slots=True)
class Route:
    """One method of the API."""

    name: str
    verb: str
    pattern: re.Pattern[str]
    parameters: frozenset[str]
    request: str | None
    response: str | None


COMPUTE = "compute.v1"


@lru_cache(maxsize=2)
def _document(name: str = COMPUTE) -> dict[str, Any]:
    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    loaded: dict[str, Any] = json.loads((folder / f"{name}.json").read_bytes())
    return loaded


@lru_cache(maxsize=1)
def routes() -> tuple[Route, ...]:
    """Return the methods of the resources that ipsync may touch."""
    document = _document()
    base, common = document["servicePath"], set(document["parameters"])
    found = []
    for resource in RESOURCES:
        for name, method in document["resources"][resource]["methods"].items():
            parts = re.split(r"\{(\w+)\}", base + method["path"])
            pattern = "".join(re.escape(p) if i % 2 == 0 else f"(?P<{p}>[^/]+)" for i, p in enumerate(parts))
            query = {k for k, v in method.get("parameters", {}).items() if v.get("location") == "query"}
            found.append(
                Route(
                    name=f"{resource}.{name}",
                    verb=method["httpMethod"],
                    pattern=re.compile("/" + pattern),
                    parameters=frozenset(query | common),
                    request=method.get("request", {}).get("$ref"),
                    response=method.get("response", {}).get("$ref"),
                )
            )
    return tuple(found)


def faults(value: object, schema: str, *, document: str = COMPUTE) -> list[str]:
    """Return how a JSON value breaks a schema of a document; none when it fits."""
    return list(_check(value, {"$ref": schema}, schema, document))


def _check(value: object, schema: Mapping[str, Any], where: str, document: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = _document(document)["schemas"][schema["$ref"]]
    kind = schema.get("type", "any")
    if kind != "any" and not _fits(value, kind):
        yield f"{where} must be of type {kind}, not {type(value).__name__}"
        return
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _check(item, schema.get("items", {}), f"{where}[{i}]", document)
    if isinstance(value, dict):
        yield from _check_object(value, schema, where, document)


def _check_object(value: Mapping[str, object], schema: Mapping[str, Any], where: str, document: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for key, item in value.items():
        if key in known:
            yield from _check(item, known[key], f"{where}.{key}", document)
        elif others is None:
            yield f"{where} has no field {key}"


def _fits(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])
