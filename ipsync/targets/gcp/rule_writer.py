"""Writes GCP firewall rules, a rule an operation, after looking that it is as the plan saw it.

API: Compute Engine v1, firewalls.get, insert, patch and delete. An ingress rule without sources lets in the whole
internet, and PUT resets what it doesn't name: so an empty list is never sent, and `update` never called.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from ipsync.core.configured import Target
from ipsync.core.errors import Missing, Rejected, Stale
from ipsync.core.model import ManagedList, Operation, Receipt
from ipsync.targets.gcp import answers as gcp_answers
from ipsync.targets.gcp import calls as gcp_calls
from ipsync.targets.gcp import client as gcp_client
from ipsync.targets.gcp import pacing as gcp_pacing
from ipsync.targets.gcp.advice import advice
from ipsync.targets.gcp.rules import blocker, created, description_of, list_of, ours, patched, where_of


class Writer:
    """Writes to one project's firewall rules, a rule an operation."""

    def __init__(self, target: Target) -> None:
        self._where = where_of(target)
        self._compute = gcp_client.compute()
        self._client = gcp_client.make(self._compute.FirewallsClient, self._where)
        self._operations = gcp_client.make(self._compute.GlobalOperationsClient, self._where)

    def execute(self, operation: Operation) -> Receipt:
        """Make, patch or delete one rule, after looking that it is as the plan saw it; then wait for the operation."""
        managed = _checked(operation)
        subject = f"{operation.kind} firewall rule {managed.name} of project {self._where.project}"
        with advice(self._where.project):
            started = self._started(operation, managed, subject)
            return Receipt(gcp_calls.finish(self._operations, self._where, started, subject=subject))

    def _started(self, operation: Operation, managed: ManagedList, subject: str) -> Any:
        request_id = str(uuid.uuid4())  # one for all tries: Google carries the request out once
        fixed = {"project": self._where.project, "request_id": request_id}
        firewall = self._compute.Firewall
        if operation.kind == "create":
            body = firewall(**created(managed))
            request = self._compute.InsertFirewallRequest(firewall_resource=body, **fixed)
            return self._send(self._client.insert_unary, request, subject)
        self._expect(operation, managed.name, subject)
        if operation.kind == "delete":
            request = self._compute.DeleteFirewallRequest(firewall=managed.name, **fixed)
            return self._send(self._client.delete_unary, request, subject, operation)
        body = firewall(**patched(managed, operation.was))
        request = self._compute.PatchFirewallRequest(firewall=managed.name, firewall_resource=body, **fixed)
        return self._send(self._client.patch_unary, request, subject, operation)

    def _send(
        self, method: Callable[..., Any], request: object, subject: str, operation: Operation | None = None
    ) -> Any:
        tries = count()

        def once() -> Any:
            if next(tries) and operation:
                self._look_again(operation, subject)
            return gcp_answers.operation(method(request=request, timeout=gcp_client.TIMEOUT, retry=None))

        quota = gcp_pacing.quota(self._where.project, writes=True)
        return gcp_calls.call(once, subject=subject, writes=True, quota=quota)

    def _expect(self, operation: Operation, name: str, subject: str) -> None:
        """Read right before writing: a rule has no fingerprint, and the last write wins."""
        quota = gcp_pacing.quota(self._where.project, writes=False)
        try:
            now = gcp_calls.call(lambda: self._get(name), subject=subject, writes=False, quota=quota)
        except Missing:
            raise Stale(f"{subject}: the rule was deleted since it was read") from None
        self._compare(now, [operation.was], subject)

    def _look_again(self, operation: Operation, subject: str) -> None:
        """Look before each further try, which may come a minute later: someone's edit since then must not be lost.

        Where the first try was carried out after all, it is as it shall be; the same request id changes nothing twice.
        """
        from google.api_core.exceptions import NotFound

        name = operation.managed.name if operation.managed else ""
        try:
            now = self._get(name)
        except NotFound:  # as the first try left it, or the answer to the next one says so
            return
        self._compare(now, [operation.was, operation.managed if operation.kind == "replace" else None], subject)

    def _get(self, name: str) -> Any:
        rule = self._client.get(project=self._where.project, firewall=name, timeout=gcp_client.TIMEOUT, retry=None)
        return gcp_answers.rule(rule, name=name)

    def _compare(self, now: Any, known: Sequence[ManagedList | None], subject: str) -> None:
        found = list_of(now)
        settings = dict(found.settings)
        if found not in known or blocker(now, settings, settings, self._where.project):
            raise Stale(f"{subject}: somebody changed the rule since it was read")


def _checked(operation: Operation) -> ManagedList:
    """Return the operation's list, or refuse what no plan should hold, before anything is sent."""
    managed, was = operation.managed, operation.was
    if managed is None or operation.kind not in {"create", "replace", "delete"}:
        raise Rejected(f"{operation.resource}: a GCP rule can't be changed entry by entry")
    if operation.kind != "create" and not (was and ours(description_of(was))):
        raise Rejected(f"{operation.resource}: the rule was not made by ipsync; nothing was sent")
    if operation.kind == "delete":
        return managed
    if not managed.networks:
        raise Rejected(f"{operation.resource}: an empty source list would let in the whole internet; nothing was sent")
    if not ours(description_of(managed)):
        raise Rejected(f"{operation.resource}: a rule without ipsync's mark would be nobody's; nothing was sent")
    return managed
