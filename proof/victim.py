"""A sync in a process of its own that kills itself with SIGKILL at a given point; loaded before it is forked.

A point is: before and after each fsync of the audit log, and around each HTTP exchange with a cloud: before the
request is sent, after it is sent, and after the answer has come.
"""

from __future__ import annotations

import http.client
import os
import resource
import signal
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any

import boto3  # noqa: F401 - before the fork: each import costs every victim its time
import google.cloud.compute_v1  # noqa: F401 - as above

from ipsync import app as worker
from ipsync import config
from ipsync.core.errors import AuditLogError
from ipsync.core.report import exit_code
from ipsync.targets.aws import client as aws_client
from ipsync.targets.aws.where import AwsAccount
from ipsync.targets.gcp import firewall as gcp_firewall  # noqa: F401 - as above

# EC2's model takes 0.3 s to read; the loader keeps it.
aws_client._plain_session(AwsAccount()).create_client(
    "ec2", region_name="eu-north-1", aws_access_key_id="none", aws_secret_access_key="none"
)


class _Fuse:
    def __init__(self, at: int) -> None:
        self.at, self.points, self.lock = at, 0, Lock()

    def point(self) -> None:
        with self.lock:
            self.points += 1
            if self.points == self.at:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.point()
            result = function(*args, **kwargs)
            self.point()
            return result

        return wrapped


def sync(path: Path, hours: int, kill_at: int, answer: Connection) -> None:
    """Make one pass `hours` from now; answer with its exit code and the number of points, or die at one."""
    fuse = _Fuse(kill_at)
    os.fsync = fuse.around(os.fsync)
    http.client.HTTPConnection.endheaders = fuse.around(http.client.HTTPConnection.endheaders)  # type: ignore[method-assign]
    http.client.HTTPConnection.getresponse = fuse.around(http.client.HTTPConnection.getresponse)  # type: ignore[method-assign]
    answer.send((_pass(path, hours), fuse.points))


def sync_with_room(path: Path, hours: int, room: int, answer: Connection) -> None:
    """Make one pass where no file grows beyond `room` bytes; answer with its exit code and the log's error."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        answer.send((_pass(path, hours), ""))
    except AuditLogError as error:
        answer.send((4 if error.wrote else 1, str(error)))


def _pass(path: Path, hours: int) -> int:
    loaded = config.load(path, os.environ)
    report = worker.sync_once(loaded, clock=lambda: worker.now() + timedelta(hours=hours))
    return exit_code(report, detailed=False)
