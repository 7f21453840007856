"""Somebody on loopback who is told: what came, and an answer that tests choose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ipsync.sandbox.loopback import Handler, Server

Answer = Callable[[Handler], object]


def says(status: int, text: bytes = b"", *headers: tuple[str, str]) -> Answer:
    return lambda handler: handler.send(status, "text/plain", text, headers)


@dataclass
class Receiver:
    """`answers` are given one after the other, the last of them for ever."""

    answers: list[Answer] = field(default_factory=lambda: [says(200, b"ok")])
    came: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def hang(self, _handler: Handler) -> None:
        self.released.wait(30)


@contextmanager
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Hears(Handler):
        def do_POST(self) -> None:  # noqa: N802 - http.server's name
            kept.came.append((self.path, {k.lower(): v for k, v in self.headers.items()}, self.received()))
            answer = kept.answers.pop(0) if len(kept.answers) > 1 else kept.answers[0]
            answer(self)

        do_GET = do_POST  # noqa: N815 - as above

    with Server(("127.0.0.1", 0), Hears) as server:
        kept.url = f"http://127.0.0.1:{server.server_port}/services/T0/B0/secretsecret"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield kept
        finally:
            kept.released.set()
            server.shutdown()
