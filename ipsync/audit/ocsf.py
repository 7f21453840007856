"""The audit log as OCSF events (API Activity, class 6003), for SIEMs that speak it.

Schema: Open Cybersecurity Schema Framework 1.3, https://schema.ocsf.io/1.3.0/classes/api_activity. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ipsync.core.events import FeedRead, Intent, Outcome, Planned, Recovered, intent_of

VERSION = "1.3.0"
CATEGORY, CLASS = 6, 6003
CREATE, READ, UPDATE, DELETE, OTHER = 1, 2, 3, 4, 99
"""`activity_id` of API Activity."""
_ACTIVITIES = {
    "add": CREATE,
    "create": CREATE,
    "tag": UPDATE,
    "untag": UPDATE,
    "note": UPDATE,  # as a log of an earlier version has it
    "unnote": UPDATE,
    "replace": UPDATE,
    "remove": DELETE,
    "delete": DELETE,
}
_NAMES = {CREATE: "Create", READ: "Read", UPDATE: "Update", DELETE: "Delete", OTHER: "Other"}
_STATUS = {"applied": (1, "Success"), "unknown": (0, "Unknown")}
FAILURE = (2, "Failure")


def export(records: Iterable[Mapping[str, Any]], *, version: str) -> Iterator[dict[str, Any]]:
    """Yield one event a record; outcomes take kind and resource of their intent, where that came before."""
    intents: dict[int, Mapping[str, Any]] = {}
    for record in records:
        if Intent.names(record):
            intents[int(record["seq"])] = record
        yield _event(record, intents.get(intent_of(record), {}), version)


def _event(record: Mapping[str, Any], intent: Mapping[str, Any], version: str) -> dict[str, Any]:
    activity = _activity(record, intent)
    status_id, status = _status(record)
    resource = record.get("resource") or intent.get("resource")
    event = {
        "metadata": {
            "version": VERSION,
            "product": {"name": "ipsync", "vendor_name": "ipsync", "version": version},
            "uid": f"{record['seq']}:{record['hash']}",
            "correlation_uid": record["run"],
            "sequence": record["seq"],
        },
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "API Activity",
        "activity_id": activity,
        "activity_name": _NAMES[activity],
        "type_uid": CLASS * 100 + activity,
        "type_name": f"API Activity: {_NAMES[activity]}",
        "time": int(datetime.fromisoformat(record["at"]).timestamp() * 1000),
        "severity_id": 1 if status_id == 1 else 3,
        "severity": "Informational" if status_id == 1 else "Medium",
        "status_id": status_id,
        "status": status,
        "actor": {"user": {"name": record["actor"], "type_id": 3, "type": "System"}, "app_name": "ipsync"},
        "api": {"operation": _operation(record, intent), "service": {"name": str(resource or "ipsync").split("/")[0]}},
        "src_endpoint": {"name": str(record["actor"]).rpartition("@")[2]},
        "unmapped": {k: v for k, v in record.items() if k not in {"at", "actor", "hash", "seq", "run"}},
    }
    if record.get("request_id"):
        event["api"] |= {"request": {"uid": record["request_id"]}}  # type: ignore[operator]
    if record.get("error"):
        event["status_detail"] = record["error"]
    return {**event, "resources": [{"uid": resource, "type": "firewall"}]} if resource else event


def _activity(record: Mapping[str, Any], intent: Mapping[str, Any]) -> int:
    kind = record.get("kind") or intent.get("kind")
    if kind:
        return _ACTIVITIES.get(str(kind), OTHER)
    return READ if FeedRead.names(record) or Planned.names(record) else OTHER


def _operation(record: Mapping[str, Any], intent: Mapping[str, Any]) -> str:
    kind = record.get("kind") or intent.get("kind")
    return f"{record['event']}:{kind}" if kind else str(record["event"])


def _status(record: Mapping[str, Any]) -> tuple[int, str]:
    if (Outcome.names(record) or Recovered.names(record)) and "result" in record:
        return _STATUS.get(str(record["result"]), FAILURE)
    return FAILURE if record.get("rejected") or record.get("refused") else (1, "Success")
