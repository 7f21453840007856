"""From `projects` in the config to the projects of this run: those that are named, or that Resource Manager lists.

A folder's projects are listed, not searched for: where a permission is missing, `list` refuses, and `search` gives a
shorter answer. Only what has labels and no folder is searched for. What can't be listed is `Unlisted`: an error in the
plan, and whatever may be there stays as it is.
API: Cloud Resource Manager v3, folders.get and list, projects.list and search.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ipsync.core.configured import Target
from ipsync.core.errors import CloudError, Denied, Unreachable
from ipsync.core.words import count, few, then
from ipsync.targets import pace
from ipsync.targets.base import Places, Unlisted
from ipsync.targets.gcp import calls as gcp_calls
from ipsync.targets.gcp import client as gcp_client
from ipsync.targets.gcp import pacing as gcp_pacing
from ipsync.targets.gcp.answers import Unreadable
from ipsync.targets.gcp.credentials import NoCredentials
from ipsync.targets.gcp.errors import SWITCHED_OFF
from ipsync.targets.gcp.where import GcpMany

HOST = "https://cloudresourcemanager.googleapis.com"
PAGE = 300
THREADS = 8
SHOWN = 5
ACTIVE = "ACTIVE"
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Projects:
    """The projects to go to, and those that are being deleted."""

    active: tuple[str, ...]
    deleted: tuple[str, ...] = ()


def places(targets: Sequence[Target]) -> list[Places]:
    """Return where each target is; what several of them need is asked for once."""
    listed: dict[tuple[object, ...], Projects | CloudError] = {}
    for where in (t.where for t in targets):
        if isinstance(where, GcpMany) and not where.projects and where.scope not in listed:
            listed[where.scope] = _listed(where)
    return [_places(t.name, t.where, listed) if isinstance(t.where, GcpMany) else Places((t.where,)) for t in targets]


def _places(name: str, where: GcpMany, listed: Mapping[tuple[object, ...], Projects | CloudError]) -> Places:
    if where.projects:
        return Places(tuple(where.at(p) for p in where.projects))
    found = listed[where.scope]
    if isinstance(found, CloudError):
        return Places((Unlisted(where, str(found)),))
    some = few(found.deleted, SHOWN)
    left = f", {len(found.deleted)} being deleted left out ({some})" if found.deleted else ""
    told = f"target {name}: {count(len(found.active), 'project')} {where}{left}"
    return Places(tuple(where.at(p) for p in found.active), (told,))


def _listed(where: GcpMany) -> Projects | CloudError:
    asked = _Asked(where)
    try:
        found = {str(p["projectId"]): p for p in asked.projects()}
    except CloudError as error:
        return _advised(error, where)
    finally:
        asked.close()
    labels = dict(where.labels).items()
    chosen = {i: p for i, p in sorted(found.items()) if labels <= (p.get("labels") or {}).items()}
    active = tuple(i for i, p in chosen.items() if p["state"] == ACTIVE)
    return Projects(active, tuple(i for i in chosen if i not in active))


def _advised(error: CloudError, where: GcpMany) -> CloudError:
    """Say with a refusal what would help."""
    if not isinstance(error, Denied) or isinstance(error, NoCredentials):
        return error
    help_ = "Enable it in the credentials' own project: gcloud services enable cloudresourcemanager.googleapis.com"
    if error.code not in SWITCHED_OFF:
        help_ = (
            f"Grant what lists a folder and all beneath it: gcloud resource-manager folders add-iam-policy-binding "
            f"{where.folder or 'FOLDER'} --member=serviceAccount:ACCOUNT --role=roles/resourcemanager.folderViewer"
        )
    return Denied(then(error, help_), code=error.code, request_id=error.request_id)


class _Asked:
    """One listing, over sessions of the caller's credentials: one for each thread that asks."""

    def __init__(self, where: GcpMany) -> None:
        self._where = where
        self._base = where.each.endpoint if gcp_client.local(where.each) else HOST
        self._threads, self._sessions = threading.local(), list[Any]()

    def projects(self) -> Iterator[Item]:
        """Yield the projects, those that are being deleted too. Raises CloudError: a list that isn't whole is none."""
        if not self._where.folder:
            key, value = self._where.labels[0]  # several would be joined by OR (projects.search, `query`)
            yield from self._pages("projects:search", "projects", {"query": f"labels.{key}:{value}"}, _project)
            return
        top = f"folders/{self._where.folder}"
        self._get(top, {}, lambda answer: _folder(answer, top))  # that it is there, an empty list doesn't say
        level = [top]
        with pace.threads(THREADS) as threads:
            while level:
                for found in threads.map(self._projects_of, level):
                    yield from found
                level = [str(f["name"]) for found in threads.map(self._folders_of, level) for f in found]

    def close(self) -> None:
        """Close the sessions."""
        for session in self._sessions:
            session.close()

    def _projects_of(self, parent: str) -> list[Item]:
        query = {"parent": parent, "showDeleted": "true"}
        return list(self._pages("projects", "projects", query, lambda p: _project(p, parent)))

    def _folders_of(self, parent: str) -> list[Item]:
        return list(self._pages("folders", "folders", {"parent": parent}, _folder))

    def _pages(self, path: str, key: str, query: Mapping[str, str], checked: Callable[[Item], Item]) -> Iterator[Item]:
        token, seen = "", {""}
        while True:
            more = {"pageSize": str(PAGE), **query, **({"pageToken": token} if token else {})}
            page = self._get(path, more, lambda answer: _page(answer, key, checked))
            yield from page[key]
            token = page["nextPageToken"]
            if not token:
                return
            if token in seen:
                raise Unreachable(f"{self._subject()}: the same page came twice")
            seen.add(token)

    def _get(self, path: str, query: Mapping[str, str], read: Callable[[object], Any]) -> Any:
        from google.api_core.exceptions import from_http_response

        def once() -> Any:
            answer = self._session().get(f"{self._base}/v3/{path}", params=query, timeout=gcp_client.TIMEOUT)
            if not answer.ok:
                raise from_http_response(answer)  # type: ignore[no-untyped-call]
            return read(answer.json())

        return gcp_calls.call(once, subject=self._subject(), writes=False, quota=gcp_pacing.listing())

    def _session(self) -> Any:
        from requests import Session

        if not hasattr(self._threads, "session"):
            tokens = Session()
            self._threads.session = gcp_client.authorized(self._where.each, tokens)
            self._sessions += [tokens, self._threads.session]
        return self._threads.session

    def _subject(self) -> str:
        return f"listing the projects {self._where}"


# ── is it an answer? ─────────────────────────────────────────────────────────


def _page(answer: object, key: str, checked: Callable[[Item], Item]) -> dict[str, Any]:
    """Return a page of a list; an empty one is `{}`. Raises Unreadable for anything else."""
    if not isinstance(answer, dict) or answer.keys() - {key, "nextPageToken"}:
        raise Unreadable(f"it isn't a list of {key}")
    items, token = answer.get(key, []), answer.get("nextPageToken", "")
    if not isinstance(items, list) or not isinstance(token, str):
        raise Unreadable(f"it isn't a list of {key}")
    return {key: [checked(item) for item in items], "nextPageToken": token}


def _project(item: object, parent: str = "") -> Item:
    return _item(item, "project", ("projectId", "state"), {"parent": parent} if parent else {})


def _folder(item: object, name: str = "") -> Item:
    return _item(item, "folder", ("name", "state"), {"name": name} if name else {})


def _item(item: object, what: str, fields: Sequence[str], expected: Mapping[str, str]) -> Item:
    if not isinstance(item, dict) or not all(item.get(f) and isinstance(item[f], str) for f in fields):
        raise Unreadable(f"a {what} without {' or '.join(fields)}")
    if not isinstance(item.get("labels", {}), dict) or any(item.get(key) != value for key, value in expected.items()):
        raise Unreadable(f"another {what} than was asked for: {', '.join(expected.values())}")
    return item
