"""Sockets that can be shut from outside, and answers whose lines must have an end: requests over a wire of ours.

What requests leaves open (measured with requests 2.34, urllib3 2.8): its timeouts bound each read, not the whole; a
connection cut inside the headers comes back as 200 with an empty body. requests also reads and unpacks the body of a
redirect that it was told not to follow; here it sees no redirect.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
from contextlib import suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

MOST_LINES = 256 * 1024
"""Bytes of the head, of all chunks' sizes and of the trailer together; a usual head has a few hundred."""


class Wire:
    """Every socket of one exchange, so that the deadline can end what no read timeout ends."""

    def __init__(self) -> None:
        self.stood = False
        """Whether a connection stood, through proxy and TLS: before that, no byte of a request has left."""
        self._handles: list[socket.socket] = []
        self._cut = threading.Event()
        self._lock = threading.Lock()

    def watched(self, sock: socket.socket) -> socket.socket:
        """Keep a second handle on the connection, and return it: wrapping it in TLS takes the first one away."""
        with self._lock:
            self._handles.append(sock.dup())
            if self._cut.is_set():
                self._shut()
        return sock

    def cut(self) -> None:
        """Shut every connection, which ends any read in progress."""
        with self._lock:
            self._cut.set()
            self._shut()

    def wait(self, seconds: float) -> bool:
        """Wait, and tell whether the deadline came first."""
        return self._cut.wait(seconds)

    def _shut(self) -> None:
        for handle in self._handles:
            with suppress(OSError):  # already gone
                handle.shutdown(socket.SHUT_RDWR)
            handle.close()
        self._handles.clear()

    def close(self) -> None:
        """Let go of the handles of an exchange that ended by itself."""
        with self._lock:
            for handle in self._handles:
                handle.close()
            self._handles.clear()


class Session(requests.Session):
    """Follows no redirect, and so doesn't read the body of one either, which nothing would bound."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Say that there is none; the status is looked at by the caller."""
        del resp
        return None


class _Lines(io.BufferedReader):
    """A connection whose lines must have an end, and a measure: http.client takes a cut one for whole."""

    taken = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return one line. No line at all is left to http.client where it is the first."""
        line = super().readline(size)
        first, self.taken = not self.taken, self.taken + len(line)
        if self.taken > MOST_LINES:
            raise http.client.LineTooLong("head")
        if not line.endswith(b"\n") and not (first and not line):
            raise http.client.IncompleteRead(line)
        return line


class _Response(http.client.HTTPResponse):
    """An answer that is read through _Lines."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = _Lines(sock.makefile("rb", buffering=0))


class Adapter(HTTPAdapter):
    """Makes requests open its connections through a Wire, without retries."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._wire)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make the pools of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _pools(self._wire)
        return manager

    def close(self) -> None:
        """Close every connection."""
        super().close()
        self._wire.close()


def _pools(wire: Wire) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        response_class = _Response

        def _new_conn(self) -> socket.socket:
            return wire.watched(super()._new_conn())

        def connect(self) -> None:
            super().connect()
            wire.stood = True

    class Secure(HTTPSConnection):
        response_class = _Response

        def _new_conn(self) -> socket.socket:
            return wire.watched(super()._new_conn())

        def connect(self) -> None:
            super().connect()
            wire.stood = True

    plain = type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Plain})
    secure = type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": Secure})
    return {"http": plain, "https": secure}
