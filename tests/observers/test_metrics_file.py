"""The file for node_exporter: whole or not at all, and never at a pass' cost."""

from __future__ import annotations

import os

import pytest
from factory import aws_target, config

from ipsync.core.signals import PassEnded, StageBegan
from ipsync.observers import watch


def ended(path) -> None:
    """Let a pass of a new process end."""
    for observer in watch.filed(config(aws_target()), path):
        observer(PassEnded("sync", 1, error=RuntimeError()), None)


def test_without_a_path_nothing_is_made():
    assert watch.filed(config(aws_target()), None) == ()


def test_it_is_written_at_the_end_of_a_pass_alone(tmp_path):
    path = tmp_path / "ipsync.prom"
    *_, file = watch.filed(config(aws_target()), path)
    file(StageBegan("read"), None)
    assert not path.exists()
    ended(path)
    assert path.read_text().endswith("\n")
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask(), "the collector is another user"


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "ipsync.prom"
    ended(path)
    with path.open() as old:
        ended(path)
        assert 'ipsync_sync_total{result="failed"} 1.0' in old.read()
    assert 'ipsync_sync_total{result="failed"} 2.0' in path.read_text()


def test_a_link_that_waits_beside_it_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f".ipsync.prom.{os.getpid()}.new").symlink_to(victim)
    ended(tmp_path / "ipsync.prom")
    assert victim.read_text() == "mine"
    assert (tmp_path / "ipsync.prom").exists()


def test_what_somebody_else_wrote_there_is_told_and_replaced(tmp_path, caplog):
    path = tmp_path / "ipsync.prom"
    for data in (b"not a metric {", b"\xff\xfe"):
        path.write_bytes(data)
        ended(path)
        assert 'ipsync_sync_total{result="failed"} 1.0' in path.read_text()
        assert "so counting begins anew" in caplog.text
        caplog.clear()


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_left_alone(kind, tmp_path, caplog):
    """As root a rename puts a file into the place of /dev/null, and every program of the machine writes into it."""
    path = tmp_path / "ipsync.prom"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/null")
    before = path.lstat()
    ended(path)
    assert path.lstat().st_ino == before.st_ino
    assert list(tmp_path.iterdir()) == [path]
    assert "can't be written: it is no regular file" in caplog.text


def test_what_is_told_of_an_odd_file_is_short(tmp_path, caplog):
    path = tmp_path / "ipsync.prom"
    path.write_bytes(b"\0" * 100_000)
    ended(path)
    assert "isn't ours" in caplog.text
    assert len(caplog.text) < 1000
