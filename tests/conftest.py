"""One strict AWS and one judged Compute Engine for all provider tests; each test finds them empty."""

from __future__ import annotations

import signal
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import settings

from ipsync.sandbox.aws.cloud import AwsCloud
from ipsync.sandbox.gcp.cloud import GcpCloud
from ipsync.targets import pace

pytest.register_assert_rewrite("ipsync.testing.contract")

# A busy machine is no reason to fail, and a red build is somebody's change: new examples are the long proof's to find.
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")


@pytest.fixture(scope="session", autouse=True)
def _caches(tmp_path_factory):
    """Keep what programs started by tests cache apart from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _hangups():
    """Let the programs that tests start hear SIGHUP, where `nohup make test` would hand on that it is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL) if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else None
    yield
    if before is not None:
        signal.signal(signal.SIGHUP, before)


class Passing:
    """A clock that goes on at once where somebody would wait for it."""

    def __init__(self):
        self._skipped, self._lock = 0.0, threading.Lock()

    def now(self):
        with self._lock:
            return time.monotonic() + self._skipped

    def pause(self, stop, seconds):
        with self._lock:
            self._skipped += seconds
        return stop.is_set()


@pytest.fixture(autouse=True)
def passing(monkeypatch):
    """Let each test find every quota untouched, and wait for none."""
    clock = Passing()
    monkeypatch.setattr(pace, "now", clock.now)
    monkeypatch.setattr(pace, "pause", clock.pause)
    monkeypatch.setattr(pace, "_PACERS", {})
    return clock


@pytest.fixture
def impatient(monkeypatch):
    """Let the first throttle be one too many."""
    monkeypatch.setattr(pace, "PATIENCE", 0.0)


@pytest.fixture(scope="session")
def _aws():
    with AwsCloud() as cloud:
        yield cloud


@pytest.fixture
def aws(_aws, monkeypatch):
    for name, value in _aws.environment().items():
        monkeypatch.setenv(name, value)
    _aws.reset()
    yield _aws
    assert _aws.lists.careless == [], "a prefix list was written as EC2 lets it and nobody may"


@pytest.fixture
def fast_aws(monkeypatch):
    """Let nobody sleep between two tries or two looks: on a cloud of our own nothing is gained by it."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _s: None, time=time.time))
    monkeypatch.setattr("ipsync.targets.aws.prefix_list_io.pause", lambda _s: None)


@pytest.fixture(scope="session")
def _gcp():
    with GcpCloud() as cloud:
        yield cloud


@pytest.fixture
def gcp(_gcp):
    _gcp.reset()
    yield _gcp
    assert _gcp.violations == [], "Google's own description rejects a request or one of our answers"
    assert _gcp.opened == [], "a request opened a rule to everybody"


def pytest_collection_modifyitems(items):
    """Begin with what takes long, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
