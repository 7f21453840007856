"""The embedded clouds, a feed and a folder: what the small measurements play on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import IPSYNC
from ipsync.sandbox.aws.cloud import AwsCloud
from ipsync.sandbox.feed import FeedServer
from ipsync.sandbox.gcp.cloud import GcpCloud

REGION = "eu-north-1"
ADDRESSES = [f"8.8.{i}.{i + 1}" for i in range(20)]


@dataclass(slots=True)
class Stage:
    """The embedded clouds and a folder for configs."""

    aws: AwsCloud
    gcp: GcpCloud
    feed: FeedServer
    folder: Path

    def config(self, name: str, targets: str, *, grace: str = "72h") -> Path:
        """Write a config with these targets."""
        path = self.folder / f"{name}.yaml"
        path.write_text(
            f"version: 1\nowner: bench\nfeeds: {{qatech: {{url: '{self.feed.url}'}}}}\nremoval: {{grace: {grace}}}\n"
            f"audit: {{path: '{self.folder}/{name}.jsonl'}}\naws: {{endpoint_url: '{self.aws.endpoint_url}'}}\n"
            f"gcp: {{endpoint: '{self.gcp.endpoint}'}}\ntargets:\n{targets}"
        )
        return path

    def groups(self, count: int) -> str:
        """Make groups and return a target that names them."""
        ids = ", ".join(self.aws.make_group(f"bench-{i}", region=REGION) for i in range(count))
        return (
            f"  - {{name: web, kind: aws-security-group, feed: qatech, region: {REGION}, "
            f"groups: [{ids}], ports: [443/tcp]}}\n"
        )


@contextmanager
def stage() -> Iterator[Stage]:
    """Start everything on free loopback ports."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        aws, gcp = stack.enter_context(AwsCloud()), stack.enter_context(GcpCloud())
        feed = stack.enter_context(FeedServer(ADDRESSES))
        surroundings(folder, aws.environment())
        yield Stage(aws, gcp, feed, folder)


def surroundings(folder: Path, variables: dict[str, str]) -> None:
    """Give this process, and so all that are measured, credentials for an emulator and a cache of their own."""
    os.environ.update({k: v for k, v in variables.items() if k != "AWS_ENDPOINT_URL"})
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # made by each stage's first run, which isn't measured
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # users have bytecode; so have both that are measured


def sync(config: Path) -> list[str]:
    """Return the command under test."""
    return [*IPSYNC, "sync", "-c", str(config)]
