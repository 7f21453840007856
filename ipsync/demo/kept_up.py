"""The same clouds kept up as a sandbox, until a signal, for whoever wants to try commands."""

from __future__ import annotations

import shlex
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event

from ipsync.daemon import set_soon
from ipsync.demo.stage import LISTED, Stage, stage


def keep_up(say: Callable[[str], object], *, folder: Path | None) -> int:
    """Keep the clouds up until a signal, after saying how to use them."""
    made = folder or Path(tempfile.mkdtemp(prefix="ipsync-sandbox-"))
    made.mkdir(parents=True, exist_ok=True)
    stop = stopping()
    try:
        with stage(made) as clouds:
            _how_to_use(clouds, say)
            stop.wait()
    finally:
        if folder is None:
            shutil.rmtree(made, ignore_errors=True)
    return 0


def stopping() -> Event:
    """Return what a signal sets from now on."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: set_soon(stop))
    return stop


def _how_to_use(clouds: Stage, say: Callable[[str], object]) -> None:
    say(f"# The feed is at {clouds.feed.url}; it lists {', '.join(LISTED)}.")
    say("# In another terminal:")
    env = {k: v for k, v in clouds.aws.environment().items() if k != "AWS_ENDPOINT_URL"}
    env |= {"QATECH_API_URL": clouds.vendor.url, "QATECH_API_TOKEN": clouds.vendor.token}
    for name, value in sorted({**env, "IPSYNC_CONFIG": str(clouds.config_path)}.items()):
        say(f"export {name}={shlex.quote(value)}")
    say("ipsync plan")
    say("# Ctrl-C ends the sandbox.")
