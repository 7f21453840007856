"""botocore's models of AWS's services, cut down to what we call: a start costs half the time and memory.

EC2's model describes hundreds of operations, and `endpoints.json` hundreds of services; a run needs a dozen of them.
botocore takes another loader as a component of a session. Ours makes the small models from those that are installed,
once, and keeps them in the user's cache under a name that their contents decide. Wherever that can't be (no cache, an
untrusted one, models of the user's own), botocore's whole models serve; nothing but the time differs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import botocore
from botocore.loaders import Loader

from ipsync.targets.aws import cache, calls

log = logging.getLogger(__name__)
SERVICES = tuple(sorted(calls.READS))
PREFIXES = frozenset({"ec2", "organizations", "servicequotas", "sts"} | calls.CHAIN_ENDPOINTS)
"""Those services, and the credential chain's, as `endpoints.json` names them."""
TYPES = ("service-2", "endpoint-rule-set-1")
"""What a client is made from."""
FORMAT = "1"
"""Another one when what is made changes: caches of before are then not read."""


class SmallLoader(Loader):
    """Gives the small models first; what they don't hold comes from botocore's own files."""

    def __init__(self, small: dict[str, Any]) -> None:
        super().__init__()
        self._small = small

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """Return a model; of a version that somebody asks for, the whole one."""
        found = self._small.get(f"{service_name}/{type_name}") if api_version is None else None
        return found or super().load_service_model(service_name, type_name, api_version)

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Return data and where it is from: botocore takes endpoints from elsewhere for an order to use no rule set."""
        if name in self._small:
            return self._small[name], os.path.join(self.BUILTIN_DATA_PATH, name)  # noqa: PTH118 - botocore's own form
        found: tuple[Any, str] = super().load_data_with_path(name)
        return found


def loader(data_path: str | None) -> Loader | None:
    """Return a loader of small models; None where botocore's own must serve."""
    if data_path or os.path.isdir(Loader.CUSTOMER_DATA_PATH):  # noqa: PTH112 - botocore's own form
        return None  # the user's own models go first
    try:
        return SmallLoader(_kept())
    except Exception as error:  # noqa: BLE001 - a faster start is no reason to fail, whatever a later botocore changes
        log.debug("AWS's whole models serve: no small ones could be kept (%r)", error)
        return None


def keep() -> None:
    """Make the small models and keep them; for an image's build. Raises OSError where they can't be kept."""
    _kept()


def _kept() -> dict[str, Any]:
    name = f"aws-{botocore.__version__}-{_digest()}.json"
    with cache.folder() as opened:
        data = cache.read(opened, name)
        if data is None:
            data = json.dumps(_made(Loader()), separators=(",", ":")).encode()
            cache.write(opened, name, data)
    small: dict[str, Any] = json.loads(data)
    return small


def _digest() -> str:
    """Return a digest of all that decides what the small models hold: the files' times don't survive an image's build."""
    wanted = {service: sorted(calls.kept(service)) for service in SERVICES}
    unread = {shape: sorted(names) for shape, names in sorted(calls.UNREAD.items())}
    summed = hashlib.sha256(repr((FORMAT, wanted, unread, sorted(calls.KEPT_WHOLE), sorted(PREFIXES))).encode())
    for path in _sources():
        with open(path, "rb") as file:  # noqa: PTH123 - as botocore does
            summed.update(file.read())
    return summed.hexdigest()[:16]


def _sources() -> Iterator[str]:
    root = Loader.BUILTIN_DATA_PATH
    yield f"{root}/endpoints.json"
    for service in SERVICES:
        folder = f"{root}/{service}/{max(os.listdir(f'{root}/{service}'))}"  # noqa: PTH208 - names are dates
        yield from (f"{folder}/{name}" for name in sorted(os.listdir(folder)) if name.startswith(TYPES))  # noqa: PTH208


# ── making them ──────────────────────────────────────────────────────────────


def _made(whole: Loader) -> dict[str, Any]:
    made = {f"{s}/{t}": _undocumented(whole.load_service_model(s, t)) for s in SERVICES for t in TYPES}
    for service in SERVICES:
        if service not in calls.KEPT_WHOLE:
            made[f"{service}/service-2"] = _trimmed(made[f"{service}/service-2"], calls.kept(service))
    return made | {"endpoints": _endpoints(whole.load_data("endpoints"))}


def _trimmed(model: dict[str, Any], wanted: frozenset[str]) -> dict[str, Any]:
    """Keep the wanted operations, and the shapes that they reach."""
    operations = {name: told for name, told in model["operations"].items() if name in wanted}
    reached: dict[str, Any] = {}
    ahead = list(_named(operations))
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached[name] = _read(name, model["shapes"][name])
            ahead += _named(reached[name])
    return model | {"operations": operations, "shapes": reached}


def _read(name: str, shape: dict[str, Any]) -> dict[str, Any]:
    """Leave out what nobody reads, and so the shapes that only that reaches."""
    unread = calls.UNREAD.get(name)
    return shape | {"members": {k: v for k, v in shape["members"].items() if k not in unread}} if unread else shape


def _named(part: Any) -> Iterator[str]:
    """Yield the shapes that a part of a model names: a text under `shape`; a member may have that name too."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "shape" and isinstance(value, str):
                yield value
            else:
                yield from _named(value)
    elif isinstance(part, list):
        for value in part:
            yield from _named(value)


def _undocumented(part: Any) -> Any:
    """Leave out the documentation: a text under that key; a member may have that name too."""
    if isinstance(part, dict):
        return {k: _undocumented(v) for k, v in part.items() if k != "documentation" or not isinstance(v, str)}
    return [_undocumented(v) for v in part] if isinstance(part, list) else part


def _endpoints(whole: dict[str, Any]) -> dict[str, Any]:
    partitions = [
        part | {"services": {name: told for name, told in part["services"].items() if name in PREFIXES}}
        for part in whole["partitions"]
    ]
    return whole | {"partitions": partitions}
