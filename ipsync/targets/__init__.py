"""Target kinds: a name in the config leads to a module here, loaded only when a target needs it.

A new kind is one file with a `Reader` and a `Writer` (see base.py), and one line in this table.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

from ipsync.core.errors import UsageError
from ipsync.core.model import AWS_SECURITY_GROUP, GCP_FIREWALL, Target
from ipsync.targets.base import Reader, Writer

KINDS = {
    AWS_SECURITY_GROUP: "ipsync.targets.aws.security_group",
    GCP_FIREWALL: "ipsync.targets.gcp.firewall",
}


def open_reader(target: Target) -> Reader:
    """Return a reader for the target's scope; nothing that it holds can write."""
    return cast("Reader", import_module(_module(target)).Reader(target))


def open_writer(target: Target) -> Writer:
    """Return a writer for the target's scope. Only applying a plan may ask for one."""
    return cast("Writer", import_module(_module(target)).Writer(target))


def _module(target: Target) -> str:
    try:
        return KINDS[target.kind]
    except KeyError:
        raise UsageError(f"target {target.name}: unknown kind {target.kind}; known: {', '.join(KINDS)}") from None
