"""A Lease in Kubernetes (coordination.k8s.io/v1), through lightkube; and what to do where Kubernetes says no."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from ipsync.core.errors import UsageError
from ipsync.core.printable import printable
from ipsync.election.lease import Conflict, Lease, LeaseError

if TYPE_CHECKING:
    from lightkube.core.client import Client
    from lightkube.resources.coordination_v1 import Lease as Raw

T = TypeVar("T")

ANSWER_TIME = 4.0
"""Seconds for an answer: two tries fit in the time for a renewal."""
ROLE = (
    "let its account do that by a Role in namespace {namespace} with the rules "
    "{{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}} and "
    "{{apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [{name}], verbs: [get, update]}}, "
    "and a RoleBinding (deploy/kubernetes/components/replicas has both)"
)
NO_CLUSTER = (
    "there is no cluster to ask: in a pod, mount its service account's token (automountServiceAccountToken: true in the "
    "pod's spec); elsewhere, let KUBECONFIG name a kubeconfig with a current context"
)


def default_name(owner: str) -> str:
    """Return the Lease's name where nobody gives one; an owner may end in a hyphen, and a Lease's name may not."""
    return f"ipsync-{owner}-leader"


def identity() -> str:
    """Return a name that no other replica has, and by which people find this one: in a pod, the host's is the pod's."""
    return f"{printable(socket.gethostname())}_{uuid.uuid4().hex[:8]}"


def store(name: str) -> KubernetesLease:
    """Return where a Lease is, [NAMESPACE/]NAME. Raises UsageError where lightkube isn't installed."""
    try:
        import lightkube  # noqa: F401, PLC0415 - an extra: only with --leader-elect
    except ImportError as error:
        raise UsageError(
            f"--leader-elect needs a package that isn't installed ({error.name}): pip install 'ipsync[kubernetes]'"
        ) from error
    namespace, _, name = name.rpartition("/")
    return KubernetesLease(name, namespace)


class KubernetesLease:
    """One Lease. Where it is, is looked for again after each failure to: a token or a kubeconfig may come later."""

    def __init__(self, name: str, namespace: str = "") -> None:
        self._name, self._namespace = name, namespace
        self._client: Client | None = None

    @property
    def name(self) -> str:
        """Return NAMESPACE/NAME, without the namespace where that isn't known yet."""
        return f"{self._namespace}/{self._name}" if self._namespace else self._name

    def read(self) -> Lease | None:
        """Return the Lease, or None where there is none yet."""
        try:
            return self._parsed(
                self._asked("reads", lambda c, kind: c.get(kind, self._name, namespace=self._namespace))
            )
        except _Absent:
            return None

    def create(self, lease: Lease) -> Lease:
        """Make it, and return it as it is kept."""
        try:
            return self._parsed(self._asked("creates", lambda c, _: c.create(self._raw(lease))))
        except _Absent as error:
            raise LeaseError(f"{self.name}: there is no namespace {self._namespace} in this cluster") from error

    def replace(self, lease: Lease) -> Lease:
        """Write it over the version that was read, and return it as it is kept."""
        try:
            return self._parsed(self._asked("updates", lambda c, _: c.replace(self._raw(lease))))
        except _Absent as error:
            raise Conflict from error

    def close(self) -> None:
        """Hang up; whoever asks again begins anew."""
        if self._client:
            self._client.close()
        self._client = None

    # ── the call ─────────────────────────────────────────────────────────────

    def _asked(self, verb: str, call: Callable[[Client, type[Raw]], T]) -> T:
        import httpx2  # noqa: PLC0415 - comes with lightkube
        from lightkube.resources.coordination_v1 import Lease as Kind  # noqa: PLC0415 - an extra

        client = self._reached()
        try:
            return call(client, Kind)
        except httpx2.HTTPStatusError as error:
            raise self._refused(verb, error) from error
        except httpx2.HTTPError as error:
            why = f"{error}" or type(error).__name__
            raise LeaseError(
                f"{self.name}: Kubernetes at {self._server()} gives no answer: {printable(why)}"
            ) from error
        except Exception as error:  # what isn't JSON, or has another shape: the library raises what it likes
            told = f"{self.name}: {self._server()} answers as Kubernetes doesn't: {_said(error)}"
            self.close()
            raise LeaseError(told) from error

    def _reached(self) -> Client:
        if self._client is None:
            import httpx2  # noqa: PLC0415 - comes with lightkube
            from lightkube.core.client import Client  # noqa: PLC0415 - an extra

            try:
                self._client = Client(timeout=httpx2.Timeout(ANSWER_TIME), field_manager="ipsync")
            except Exception as error:  # a file of somebody else's: the library raises what it likes
                raise LeaseError(f"{self.name}: {NO_CLUSTER} ({_said(error)})") from error
            self._namespace = self._namespace or self._client.namespace
        return self._client

    def _server(self) -> str:
        config = self._client.config if self._client else None
        return config.cluster.server if config else "the cluster"

    def _refused(self, verb: str, error: Any) -> Exception:
        """Return what an answer other than success means."""
        code, said = error.response.status_code, printable(str(error))
        if code == 404:  # noqa: PLR2004 - HTTP's own
            return _Absent()
        if code == 409:  # noqa: PLR2004 - as above
            return Conflict()
        told = f"{self.name}: Kubernetes at {self._server()} refuses ({code}): {said}"
        if code == 403:  # noqa: PLR2004 - as above
            return LeaseError(f"{told}; {ROLE.format(namespace=self._namespace, name=self._name)}")
        if code == 401:  # noqa: PLR2004 - as above
            self.close()
            return LeaseError(f"{told}; the token of the service account, or the kubeconfig's login, no longer holds")
        return LeaseError(f"{told}; ipsync {verb} it as soon as Kubernetes can")

    # ── the object ───────────────────────────────────────────────────────────

    def _parsed(self, raw: Raw) -> Lease:
        meta, spec = raw.metadata, raw.spec
        if raw.kind != "Lease" or not meta or meta.name != self._name or not meta.resourceVersion:
            raise LeaseError(f"{self.name}: {self._server()} answers with something that isn't this Lease")
        if spec is None:
            return Lease(version=meta.resourceVersion, kept=raw)
        return Lease(
            spec.holderIdentity or "",
            spec.leaseDurationSeconds or 0,
            spec.acquireTime,
            spec.renewTime,
            spec.leaseTransitions or 0,
            meta.resourceVersion,
            raw,
        )

    def _raw(self, lease: Lease) -> Raw:
        """Return the object as it is written: what others wrote on it, labels for one, stays."""
        from lightkube.models.coordination_v1 import LeaseSpec  # noqa: PLC0415 - an extra
        from lightkube.models.meta_v1 import ObjectMeta  # noqa: PLC0415 - an extra
        from lightkube.resources.coordination_v1 import Lease as Kind  # noqa: PLC0415 - an extra

        raw = deepcopy(lease.kept) if isinstance(lease.kept, Kind) else Kind()
        raw.metadata = meta = raw.metadata or ObjectMeta(name=self._name)
        meta.namespace, meta.resourceVersion, meta.managedFields = self._namespace, lease.version or None, None
        raw.spec = spec = raw.spec or LeaseSpec()
        spec.holderIdentity, spec.leaseDurationSeconds = lease.holder, lease.seconds
        spec.acquireTime, spec.renewTime = _in_micros(lease.acquired_at), _in_micros(lease.renewed_at)
        spec.leaseTransitions = lease.transitions
        return raw


class _Absent(Exception):
    """There is none, or no such namespace."""


def _in_micros(moment: datetime | None) -> datetime | None:
    """Return the time so that it is written with six digits: Kubernetes refuses a MicroTime without them."""
    return moment.replace(microsecond=moment.microsecond or 1) if moment else None


def _said(error: Exception) -> str:
    return printable(f"{error}" or type(error).__name__)
