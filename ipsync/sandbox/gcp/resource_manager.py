"""A Cloud Resource Manager v3 beside Compute Engine: folders and projects, listed a page at a time.

Its answers are judged by Google's own description, as Compute Engine's are. A list is of a parent's own children, and
is refused where a permission is missing; a search would only be shorter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ipsync.sandbox.gcp.firewalls import Body, Refused

DOCUMENT = "cloudresourcemanager.v3"
NEEDS = {
    "folders.get": "resourcemanager.folders.get",
    "folders.list": "resourcemanager.folders.list",
    "projects.list": "resourcemanager.projects.list",
    "projects.search": "",
}
SCHEMAS = {
    "folders.get": "Folder",
    "folders.list": "ListFoldersResponse",
    "projects.list": "ListProjectsResponse",
    "projects.search": "SearchProjectsResponse",
}
_FOLDER = re.compile(r"/v3/(folders/\d+)")
_PATHS = {"/v3/folders": "folders.list", "/v3/projects": "projects.list", "/v3/projects:search": "projects.search"}


@dataclass(slots=True)
class ResourceManager:
    """Folders and projects by name; `page` is how many of them an answer holds at most."""

    page: int = 2
    folders: dict[str, Body] = field(default_factory=dict)
    projects: dict[str, Body] = field(default_factory=dict)

    def clear(self) -> None:
        """Begin anew."""
        self.folders.clear()
        self.projects.clear()

    def folder(self, number: str, *, parent: str = "organizations/1") -> str:
        """Make a folder, and return its name."""
        name = f"folders/{number}"
        self.folders[name] = {"name": name, "parent": parent, "displayName": number, "state": "ACTIVE"}
        return name

    def project(self, id_: str, *, parent: str, state: str = "ACTIVE", **labels: str) -> None:
        """Make a project."""
        number = f"projects/{len(self.projects) + 1}"
        body: Body = {"name": number, "parent": parent, "projectId": id_, "state": state}
        self.projects[id_] = body | ({"labels": labels} if labels else {})

    def method(self, path: str) -> tuple[str, str]:
        """Return which method a path asks for, and the folder that it names; nothing where it is none."""
        match = _FOLDER.fullmatch(path)
        return ("folders.get", match[1]) if match else (_PATHS.get(path, ""), "")

    def answer(self, method: str, folder: str, query: dict[str, str], denied: set[str]) -> Body:
        """Answer a request that only reads, as far as no permission for it is denied."""
        if NEEDS[method] in denied:
            raise Refused(403, "forbidden", f"Required '{NEEDS[method]}' permission")
        if method == "folders.get":
            if folder not in self.folders:
                raise Refused(403, "forbidden", "The caller does not have permission")
            return self.folders[folder]
        if method == "folders.list":
            return self._paged("folders", [f for f in self.folders.values() if f["parent"] == query["parent"]], query)
        if method == "projects.search":
            key, _, value = query.get("query", "").removeprefix("labels.").partition(":")
            found = [p for p in self.projects.values() if p.get("labels", {}).get(key) == value]
            return self._paged("projects", found, query)
        states = {"ACTIVE", "DELETE_REQUESTED"} if query.get("showDeleted") == "true" else {"ACTIVE"}
        found = [p for p in self.projects.values() if p["parent"] == query["parent"] and p["state"] in states]
        return self._paged("projects", found, query)

    def _paged(self, key: str, items: list[Body], query: dict[str, str]) -> Body:
        """Return one page; what is empty isn't there, as in all of Google's JSON."""
        first = int(query.get("pageToken") or 0)
        last = first + min(self.page, int(query.get("pageSize") or self.page))
        more = {"nextPageToken": str(last)} if last < len(items) else {}
        return ({key: items[first:last]} if items[first:last] else {}) | more
