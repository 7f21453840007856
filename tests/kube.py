"""A Kubernetes API on loopback that knows Leases and nothing else, and is as strict with them as the real one.

Its rules: a bearer token; a PUT names the version that it replaces; a MicroTime has six digits; whole JSON objects.
"""

from __future__ import annotations

import json
import re
import socket
import struct
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread

LEASES = re.compile(r"/apis/coordination\.k8s\.io/v1/namespaces/([a-z0-9-]+)/leases(?:/([a-z0-9.-]+))?(?:\?.*)?")
MICRO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
USER = "system:serviceaccount:ipsync:ipsync"
REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    422: "Invalid",
    500: "InternalError",
}


class Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Kube:
    """The API's state. `fault` names what is wrong with it now: 403, 500, html, shape, reset, lost, hang."""

    token = "s3cret-token"

    def __init__(self) -> None:
        self.leases: dict[tuple[str, str], dict] = {}
        self.namespaces = {"ipsync"}
        self.fault: str = ""
        self.healed = Event()
        self.calls: list[tuple[str, str]] = []
        self._version, self._lock = 100, Lock()
        self.url = ""

    def holder(self, name: str = "ipsync-acme-leader", namespace: str = "ipsync") -> str:
        found = self.leases.get((namespace, name))
        return found["spec"].get("holderIdentity", "") if found else ""

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, dict]:
        try:
            with self._lock:
                return self._lease(method, *self._place(path, token), json.loads(body) if body else None)
        except Refused as error:
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
            return error.code, {**status, "message": str(error), "reason": REASONS[error.code], "code": error.code}

    def _place(self, path: str, token: str) -> tuple[str, str | None]:
        if token != f"Bearer {self.token}":
            raise Refused(401, "Unauthorized")
        match = LEASES.fullmatch(path)
        if not match:
            raise Refused(404, "the server could not find the requested resource")
        return match[1], match[2]

    def _lease(self, method: str, namespace: str, name: str | None, sent: dict | None) -> tuple[int, dict]:
        verb = {"GET": "get", "POST": "create", "PUT": "update"}.get(method, method)
        if self.fault == "403":
            raise Refused(
                403,
                f'leases.coordination.k8s.io "{name}" is forbidden: User "{USER}" cannot {verb} resource "leases" in '
                f'API group "coordination.k8s.io" in the namespace "{namespace}"',
            )
        if self.fault == "500":
            raise Refused(500, "etcdserver: request timed out")
        if method == "GET":
            return 200, self._found(namespace, name)
        self._check(sent, namespace)
        if method == "POST":
            return 201, self._created(sent, namespace)
        return 200, self._replaced(sent, self._found(namespace, name))

    def _found(self, namespace: str, name: str | None) -> dict:
        if (namespace, name) not in self.leases:
            raise Refused(404, f'leases.coordination.k8s.io "{name}" not found')
        return self.leases[namespace, name]

    def _check(self, sent: dict, namespace: str) -> None:
        if (sent.get("apiVersion"), sent.get("kind")) != ("coordination.k8s.io/v1", "Lease"):
            raise Refused(400, "the object isn't a Lease")
        if sent["metadata"].get("namespace", namespace) != namespace:
            raise Refused(400, "the namespace of the provided object does not match the namespace sent on the request")
        spec = sent["spec"]
        for key in ("acquireTime", "renewTime"):
            if not MICRO.fullmatch(spec.get(key, "")):
                raise Refused(400, f'parsing time "{spec.get(key)}" as "2006-01-02T15:04:05.000000Z07:00"')
        if spec["leaseDurationSeconds"] <= 0:
            raise Refused(422, "spec.leaseDurationSeconds: Invalid value: must be greater than 0")

    def _created(self, sent: dict, namespace: str) -> dict:
        if namespace not in self.namespaces:
            raise Refused(404, f'namespaces "{namespace}" not found')
        if (namespace, sent["metadata"]["name"]) in self.leases:
            raise Refused(409, f'leases.coordination.k8s.io "{sent["metadata"]["name"]}" already exists')
        if sent["metadata"].get("resourceVersion"):
            raise Refused(400, "resourceVersion should not be set on objects to be created")
        return self._kept(sent, namespace)

    def _replaced(self, sent: dict, before: dict) -> dict:
        version = sent["metadata"].get("resourceVersion")
        if not version:
            raise Refused(422, "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update")
        if version != before["metadata"]["resourceVersion"]:
            raise Refused(409, "the object has been modified; please apply your changes to the latest version")
        return self._kept(sent, before["metadata"]["namespace"])

    def _kept(self, sent: dict, namespace: str) -> dict:
        self._version += 1
        meta = {**sent["metadata"], "namespace": namespace, "resourceVersion": str(self._version)}
        meta["managedFields"] = [{"manager": "ipsync", "operation": "Update", "fieldsV1": {"f:spec": {}}}]
        self.leases[namespace, meta["name"]] = {**sent, "metadata": meta}
        return self.leases[namespace, meta["name"]]

    def kubeconfig(self, path, *, namespace: str = "ipsync", **user: str):
        """Write a kubeconfig that leads here."""
        made = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"token": self.token, **user}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": namespace}}],
        }
        path.write_text(json.dumps(made))
        return path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kube: Kube

    def _serve(self) -> None:
        kube = self.kube
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kube.calls.append((self.command, self.path))
        if kube.fault == "hang":
            kube.healed.wait(60)
        if kube.fault == "reset":
            self._reset()
            return
        code, found = kube.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
        if kube.fault == "lost" and self.command != "GET":
            self._reset()
            return
        if kube.fault == "html":
            self._send(502, b"<html>a gateway</html>", "text/html")
        elif kube.fault == "shape":
            self._send(200, b'{"hello": "world"}', "application/json")
        else:
            self._send(code, json.dumps(found).encode(), "application/json")

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the library's names

    def _send(self, code: int, data: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """Say nothing of a client that was killed."""


@contextmanager
def kubernetes():
    """Serve one."""
    kube = Kube()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"kube": kube}))
    kube.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield kube
    finally:
        kube.healed.set()
        server.shutdown()
        server.server_close()
        thread.join()
