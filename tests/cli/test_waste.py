"""What reading many clouds leaves behind is collected, a few times in a run, and not each time looked through whole."""

import gc
import weakref
from dataclasses import replace

import pytest

from ipsync.cli import progress, waste
from ipsync.core.signals import ScopeRead, StageBegan
from ipsync.targets.aws.where import AwsAccount, AwsMany
from tests.factory import aws_target, config, gcp_target


class Knot:
    """Refers to itself, as botocore's clients do through their event handlers."""

    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def seldom():
    kept = gc.get_threshold()
    gc.set_threshold(250_000)
    waste.Waste.frozen = False
    yield
    gc.unfreeze()
    gc.set_threshold(*kept)


def read(hears, times):
    for _ in range(times):
        hears(ScopeRead("aws account 1", None), None)


def test_what_the_first_scopes_leave_is_gone_once_many_were_read():
    hears = waste.Waste()
    read(hears, 1)
    left = weakref.ref(Knot())
    read(hears, waste.EVERY - 2)
    assert left() is not None
    read(hears, 1)
    assert left() is None


def test_what_was_imported_is_not_looked_through_again():
    read(waste.Waste(), 1)
    assert gc.get_freeze_count() > 10_000
    read(hears := waste.Waste(), 0)
    hears(StageBegan("read"), None)
    assert hears._read == 0


def test_every_command_that_reads_clouds_has_it(monkeypatch):
    shared = []
    monkeypatch.setattr(progress, "share_one_arena", lambda: shared.append(1))
    with progress.watching(config(aws_target())) as hearing:
        assert any(isinstance(one, waste.Waste) for one in hearing)
    assert not shared  # of one account there are no 32 threads, and loading ctypes takes time
    with progress.watching(config(aws_target(), gcp_target())):
        assert shared


def test_places_that_a_run_lists_may_be_many(monkeypatch):
    one = aws_target()
    listed = replace(one, where=AwsMany(one.where, (AwsAccount("arn:aws:iam::1:role/ipsync"),)))
    assert progress._many_places(config(listed))
    assert not progress._many_places(config(one))


def test_a_c_library_without_arenas_is_no_trouble(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    waste.share_one_arena()
