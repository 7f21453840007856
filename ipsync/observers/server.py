"""The web server: waitress, in threads beside the passes, with bounds that no crowd of clients gets past.

waitress reads and writes in one thread and hands only whole requests to others, so a slow client costs a connection
and nothing else. What it lacks is here: when there are too many connections, it stops accepting, and probes would wait
behind whoever holds them. Here the one that has waited longest without a whole request makes room.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from ipaddress import ip_address
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, cast

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer

from ipsync.core.errors import UsageError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)

CONNECTIONS = 128
"""At most so many; each is a file that a pass can't open where a process may have 1,024."""
REQUEST_TIME = 10.0
"""Seconds for a client to send a whole request, from its connection's begin or from the answer before, and to take one."""
LAST = 5
"""Seconds that the end waits for a thread; then the process ends without it."""
BOUNDS = {
    "threads": 4,
    "connection_limit": CONNECTIONS * 4,  # never reached: ours makes room before
    "max_request_header_size": 16 * 1024,
    "max_request_body_size": 1024,  # nothing here takes a body
    "cleanup_interval": 3600,  # ours comes before
    "asyncore_use_poll": True,  # select() fails at the 1,024th file
    "log_socket_errors": False,
    "ident": None,
}


class Server:
    """Serves an application from its making until `close`, in a thread of its own. Raises UsageError where it can't."""

    def __init__(self, application: WSGIApplication, host: str, port: int) -> None:
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # else a crowd fills the log
        listening = _listening(host, port)
        self._server = _Server(application, listening)
        self.host, self.port = host, listening.getsockname()[1]
        self._over = Event()
        self._thread = Thread(target=self._turn, name="web server", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is found."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    @property
    def here(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def close(self) -> None:
        """End it, and wait for that.

        Its files are closed when its threads are over: a thread that wakes another would write into whatever has got
        the number of a closed file since.
        """
        self._over.set()
        self._server.pull_trigger()
        self._thread.join(timeout=LAST)
        self._server.task_dispatcher.shutdown(timeout=LAST)
        if not self._thread.is_alive():
            self._server.hang_up()

    def _turn(self) -> None:
        while not self._over.is_set():
            try:
                self._server.tidy()
                self._server.asyncore.loop(timeout=1.0, use_poll=True, map=self._server.channels, count=1)
            except Exception:  # the thread must outlive whatever a client provokes
                log.exception("the web server: a fault; it goes on")
                time.sleep(1)


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on is this machine's own."""
    return host == "localhost" or ip_address(host).is_loopback


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise UsageError(
            f"listen: {host}:{port} can't be listened on: {_why(error)}; give `listen` in the config another "
            f"HOST:PORT, or null to serve nothing"
        ) from error


def _why(error: OSError) -> str:
    """Return the system's own words, without those that Python adds; a name's lookup has an error of its own kind."""
    return str(error.strerror) if isinstance(error, socket.gaierror) or not error.errno else os.strerror(error.errno)


class _Channel(HTTPChannel):
    """One connection; `since` is when it last had nothing to wait for from us: its begin, or the answer before."""

    since = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.since = time.time()
        super().__init__(*args, **kwargs)

    def service(self) -> None:
        """Answer what was asked."""
        super().service()
        self.since = time.time()


class _Server(TcpWSGIServer):
    channel_class = _Channel

    def __init__(self, application: WSGIApplication, listening: socket.socket) -> None:
        self.channels: dict[int, socket.socket] = {}
        super().__init__(
            application,
            self.channels,
            _sock=listening,
            adj=Adjustments(sockets=[listening], **BOUNDS),
            sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
            bind_socket=False,
        )

    def tidy(self) -> None:
        """Close what is too slow, and make room for whoever comes next.

        Between two turns of waitress' loop: within one, the number of a file that is closed here would be a newcomer's
        at once, and what poll() says of the old one would be taken for news of the new one.
        """
        waiting, latest = self._waiting(), time.time() - REQUEST_TIME
        surplus = len(self._open()) - CONNECTIONS
        for place, channel in enumerate(waiting):
            if place < surplus or channel.since < latest:
                channel.handle_close()

    def hang_up(self) -> None:
        """Close everything."""
        for channel in self._open():
            channel.handle_close()
        wasyncore.close_all(self.channels)

    def _open(self) -> list[_Channel]:
        return list(cast("dict[int, _Channel]", self.active_channels).values())

    def _waiting(self) -> list[_Channel]:
        """Return the connections whose client has to do something, send a request or take its answer; longest first."""
        return sorted((c for c in self._open() if not c.requests), key=lambda c: c.since)
