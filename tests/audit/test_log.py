"""The audit log: a chain that shows any change, on disk before anything happens, by one writer."""

from __future__ import annotations

import errno
import fcntl
import getpass
import hashlib
import json
import os
import pwd
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rfc8785
from factory import put
from hypothesis import given
from hypothesis import strategies as st

from ipsync.audit import (
    AuditLog,
    Checkpoint,
    NullAuditLog,
    Verification,
    describe,
    history,
    last_number,
    open_optional,
    show,
    verify,
)
from ipsync.audit.files import all_files, lines_backwards, rotated
from ipsync.audit.record import seal
from ipsync.core.canonical import canonical
from ipsync.core.errors import AuditLogError, UsageError

AT = datetime(2026, 1, 31, 9, tzinfo=UTC)


def opened(path: Path, run: str = "r1", **options) -> AuditLog:
    return AuditLog.open(path, owner="acme", actor="me@host", run=run, clock=lambda: AT, **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


def filled(path: Path, **options) -> list[bytes]:
    with opened(path, **options) as audit_log:
        put(audit_log, "run-started", mode="sync")
        intent = put(
            audit_log, "intent", resource="r", kind="add", target="web", before=[], after=["8.8.8.8/32 443/tcp"]
        )
        put(audit_log, "outcome", intent=intent.seq, resource="r", result="applied", request_id="req-1")
        put(audit_log, "run-ended", mode="sync", targets=[{"target": "web", "resource": "r", "status": "applied"}])
    return path.read_bytes().splitlines(keepends=True)


def test_a_record_is_the_contract_s(path):
    first = json.loads(filled(path)[0])
    assert first["v"] == 2
    assert first["seq"] == 1
    assert first["at"] == "2026-01-31T09:00:00Z"
    assert (first["run"], first["event"], first["owner"], first["actor"]) == ("r1", "run-started", "acme", "me@host")
    assert first["prev"] == "0" * 64
    assert verify(path).head == f"4:{json.loads(path.read_bytes().splitlines()[-1])['hash']}"


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), inner),
    max_leaves=20,
)


@given(values)
def test_canonical_json_is_rfc_8785_s(value):
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [1.5, 2**53, -(2**53), b"x", {"ä": 1}, {1: 2}, object(), chr(0xD800), chr(0xDFFF)])
def test_what_has_no_safe_canonical_form_is_not_recorded(value):
    with pytest.raises(AuditLogError, match="a fault in ipsync"):
        seal({"x": [value]}, key=None)


@pytest.mark.parametrize(
    "value", [None, True, 0, 2**53 - 1, 1 - 2**53, "", "ä€😀\ud7ff\ue000", [], (), {}, {"a": [None]}]
)
def test_everything_else_is(value):
    assert seal({"x": [value]}, key=None)["x"] == [value]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"a": {"b": [1.5]}}, r": \.a\.b holds a float"),
        ({"a": ({"b": b""},)}, r": \.a\.b holds a bytes"),
        ({"a": 1, 2: 3}, ": a record holds a dict"),
    ],
)
def test_the_fault_names_the_field(body, where):
    with pytest.raises(AuditLogError, match=where):
        seal(body, key=None)


def test_a_record_s_time_is_utc_wherever_the_machine_stands(path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    with AuditLog.open(path, owner="a", actor="b", run="c", clock=AT.astimezone) as audit_log:
        put(audit_log, "run-started")
    monkeypatch.undo()
    time.tzset()
    assert json.loads(path.read_bytes())["at"] == "2026-01-31T09:00:00Z"


def test_every_flipped_bit_is_found(path, tmp_path):
    data = b"".join(filled(path))
    other = tmp_path / "other.jsonl"
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << (bit % 8)
        other.write_bytes(changed)
        assert not verify(other).ok, f"bit {bit}: {data[bit // 8 : bit // 8 + 1]!r}"


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[1:],
        lambda lines: lines[:1] + lines[2:],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [lines[0], *lines],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines[:-1], lines[-1][:-1]],
        lambda lines: [*lines[:-1], lines[-1][:-9]],
        lambda lines: [b"\n", *lines],
        lambda lines: [lines[0].replace(b'"v":2', b'"v": 2'), *lines[1:]],
        lambda lines: [b"[]\n", *lines],
    ],
)
def test_dropped_swapped_doubled_cut_and_reformatted_records_are_found(path, change):
    path.write_bytes(b"".join(change(filled(path))))
    result = verify(path)
    assert not result.ok
    assert "line" in result.problem


def test_an_anchor_shows_a_cut_end(path):
    lines = filled(path)
    head = verify(path).head
    assert verify(path, anchor=head).ok
    path.write_bytes(b"".join(lines[:-1]))
    assert verify(path).ok
    assert "cut off" in verify(path, anchor=head).problem


def test_a_chain_stamped_anew_is_found_with_a_key_only(path):
    filled(path, hmac_key="secret")
    assert verify(path, hmac_key="secret").ok
    assert not verify(path).ok
    forged, prev = [], "0" * 64
    for line in path.read_bytes().splitlines():
        body = {k: v for k, v in json.loads(line).items() if k != "hash"}
        record = seal({**body, "actor": "nobody", "prev": prev}, key=None)
        prev = record["hash"]
        forged.append(canonical(record) + b"\n")
    path.write_bytes(b"".join(forged))
    assert verify(path).ok
    assert not verify(path, hmac_key="secret").ok


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: lines[1:], "line 1: it has number 2, and 1 should stand here"),
        (lambda lines: [lines[0], *lines[2:]], "line 2: it has number 3, and 2 should stand here"),
        (lambda lines: [*lines, *lines[:1]], "line 5: it has number 1, and 5 should stand here"),
        (lambda lines: [*lines[:3], b"cut\n"], "line 4: it is not JSON"),
        (lambda lines: [*lines[:3], b"[" * 100000 + b"\n"], "line 4: it is not JSON"),
        (lambda lines: [b"[]\n"], "line 1: it is not a record"),
        (lambda lines: [b'{"hash":1}\n'], "line 1: it is not a record"),
        (lambda lines: [b'{"a":NaN,"hash":""}\n'], "line 1: it is not canonical JSON"),
        (lambda lines: [b" " + lines[0]], "line 1: its bytes are not the canonical form of what it says"),
        (lambda lines: [lines[0][:-1] + b" \n"], "line 1: its bytes are not the canonical form of what it says"),
        (lambda lines: [lines[0][:-1] + b"X\n"], "line 1: it is not JSON"),
        (lambda lines: [lines[0].replace(b"acme", b"acne")], "line 1: its hash is not that of its content"),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], "line 4: it is torn"),
    ],
)
def test_the_problem_says_in_which_line_what_is_wrong(path, change, problem):
    lines = filled(path)
    path.write_bytes(b"".join(change(lines)))
    found = verify(path)
    assert found.problem.startswith(f"{path}, {problem}")
    good = int(problem.split(":")[0].removeprefix("line ")) - 1
    head = json.loads(lines[good - 1])["hash"] if good else "0" * 64
    assert (found.ok, found.records, found.head) == (False, good, f"{good}:{head}")


def test_a_record_of_another_chain_doesnt_follow(path, tmp_path):
    other = filled(tmp_path / "other.jsonl", run="r9")
    path.write_bytes(b"".join([filled(path)[0], *other[1:]]))
    assert verify(path).problem == f"{path}, line 2: it doesn't follow the record before it"


@pytest.mark.parametrize("key", [None, "secret"])
def test_a_word_that_was_changed_is_found_with_and_without_a_key(path, key):
    filled(path, hmac_key=key)
    path.write_bytes(path.read_bytes().replace(b"applied", b"refused", 1))
    assert "line 3: its hash is not that of its content" in verify(path, hmac_key=key).problem


def test_no_log_is_no_proof(path):
    assert verify(path) == Verification(ok=False, records=0, head="", problem="there is no audit log here")


def test_an_anchor_is_any_record_of_the_log(path):
    hashes = [json.loads(line)["hash"] for line in filled(path)]
    assert verify(path, anchor=f"2:{hashes[1]}") == Verification(ok=True, records=4, head=f"4:{hashes[3]}")
    for wrong, why in ((f"2:{hashes[2]}", f"of record 2 begins with {hashes[1][:8]}"), (f"5:{hashes[3]}", "ends at 4")):
        found = verify(path, anchor=wrong)
        assert (found.ok, found.records, found.head) == (False, 4, f"4:{hashes[3]}")
        assert f"the anchor {wrong} is no record of this log: " in found.problem
        assert why in found.problem


@pytest.mark.parametrize("digits", [8, 9, 16, 63, 64])
def test_the_first_eight_digits_of_an_anchor_s_hash_are_enough(path, digits):
    """The README shows a shortened anchor, and that raised a false alarm of tampering."""
    lines = filled(path)
    seq, _, text = verify(path).head.partition(":")
    for anchor in (f"{seq}:{text[:digits]}", f" {seq}:{text[:digits].upper()}\n", f"{seq}:{text[:digits]}…"):
        assert verify(path, anchor=anchor).ok
    wrong = "0" if text[digits - 1] != "0" else "1"
    assert not verify(path, anchor=f"{seq}:{text[: digits - 1]}{wrong}").ok
    path.write_bytes(b"".join(lines[:-1]))
    assert "cut off" in verify(path, anchor=f"{seq}:{text[:digits]}").problem


@pytest.mark.parametrize(
    "anchor",
    ["", ":", "2", "2:", "2:1234567", f"2:{'a' * 65}", f"2:{'a' * 64}:", "x:12345678", "812:5c1e…", "2:1234567g",
     "-2:12345678", "²:12345678", "0:00000000", "2 12345678", f"{'9' * 17}:12345678"],
)  # fmt: skip
def test_what_is_no_anchor_is_refused_and_no_alarm(path, anchor):
    filled(path)
    with pytest.raises(UsageError, match=f"^--anchor {re.escape(anchor)}: not a checkpoint"):
        verify(path, anchor=anchor)


# ── crashes ──────────────────────────────────────────────────────────────────


def test_a_torn_end_is_cut_off_and_recorded_wherever_it_was_torn(path):
    lines = filled(path)
    whole = b"".join(lines)
    for cut in range(len(whole) - len(lines[-1]) + 1, len(whole)):
        path.write_bytes(whole[:cut])
        with opened(path, run="r2"):
            pass
        assert verify(path).ok
        mended = json.loads(path.read_bytes().splitlines()[-1])
        assert mended["event"] == "recovered"
        assert mended["torn_bytes"] == cut - (len(whole) - len(lines[-1]))


def test_a_whole_last_record_that_was_changed_is_not_built_upon(path):
    lines = filled(path)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1].replace(b"applied", b"denied!"))
    with pytest.raises(AuditLogError, match="doesn't hold"):
        opened(path)


def test_intents_without_an_outcome_are_pending_until_settled(path):
    filled(path)
    with opened(path, run="r2") as audit_log:
        left = put(audit_log, "intent", resource="r", kind="add", target="web", before=[], after=[])
    with opened(path, run="r3") as audit_log:
        assert list(audit_log.pending) == [left.seq]
        put(audit_log, "run-started", mode="sync")
        put(audit_log, "run-ended", mode="sync", targets=[])
    with opened(path, run="r4") as audit_log:
        assert list(audit_log.pending) == [left.seq], "a run that settled nothing must not hide it"
        put(audit_log, "recovered", intent=left.seq, resource="r", result="applied", now=[])
        put(audit_log, "run-ended", mode="sync", targets=[])
    with opened(path, run="r5") as audit_log:
        assert audit_log.pending == {}


def test_an_outcome_that_nobody_could_find_out_stays_open_until_a_run_has_looked(path):
    with opened(path, run="r1") as audit_log:
        lost, done = (put(audit_log, "intent", resource=f"r{i}").seq for i in range(2))
        put(audit_log, "outcome", intent=lost, result="unknown")
        put(audit_log, "outcome", intent=done, result="applied")
        assert list(audit_log.pending) == [lost]
        put(audit_log, "run-ended")
    with opened(path, run="r2") as audit_log:
        assert list(audit_log.pending) == [lost]
        put(audit_log, "recovered", intent=lost, result="unknown", reason="its target is no longer in the config")
        assert audit_log.pending == {}, "what can't ever be found out is said once"
    with opened(path, run="r3") as audit_log:
        assert audit_log.pending == {}


def test_an_open_log_knows_its_own_open_intents_and_lists_them_at_the_end(path):
    with opened(path) as audit_log:
        first, second, third = (put(audit_log, "intent", resource=f"r{i}") for i in range(3))
        put(audit_log, "outcome", intent=second.seq)
        assert {seq: r["resource"] for seq, r in audit_log.pending.items()} == {first.seq: "r0", third.seq: "r2"}
        put(audit_log, "recovered", intent=first.seq)
        put(audit_log, "run-ended")
    assert json.loads(path.read_bytes().splitlines()[-1])["open"] == [third.seq]
    with opened(path) as audit_log:
        assert {seq: r["resource"] for seq, r in audit_log.pending.items()} == {third.seq: "r2"}


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("torn", [1, 65534, 65535, 65536, 65537, 200000])
def test_a_torn_end_of_any_length_is_cut_off(path, before, torn):
    lines = filled(path)[:before]
    path.write_bytes(b"".join(lines) + b"x" * torn)
    with opened(path):
        pass
    assert verify(path).records == before + 1
    mended = json.loads(path.read_bytes().splitlines()[-1])
    assert (mended["torn_bytes"], mended["torn_sha256"]) == (torn, hashlib.sha256(b"x" * torn).hexdigest())


def test_a_run_that_was_killed_leaves_open_what_had_no_outcome(path):
    with opened(path) as audit_log:
        done = put(audit_log, "intent").seq
        left = put(audit_log, "intent").seq
        put(audit_log, "outcome", intent=done)
    with opened(path) as audit_log:
        assert list(audit_log.pending) == [left]


def test_the_end_of_the_last_run_has_the_word_about_what_is_open(path):
    with opened(path) as audit_log:
        put(audit_log, "intent")
        audit_log.pending.clear()
        put(audit_log, "run-ended")
        put(audit_log, "run-started")
    with opened(path) as audit_log:
        assert audit_log.pending == {}


def test_a_run_s_end_that_lists_nothing_leaves_nothing_open(path):
    path.write_bytes(canonical(seal({"seq": 1, "event": "run-ended", "prev": "0" * 64}, key=None)) + b"\n")
    with opened(path) as audit_log:
        assert audit_log.pending == {}


def test_a_damaged_record_in_the_middle_is_for_verify_to_find(path):
    lines = filled(path)
    path.write_bytes(b"".join([lines[0], b"damaged\n", lines[2]]))
    with opened(path) as audit_log:
        assert audit_log.pending == {}
        put(audit_log, "run-started")
    assert "line 2: it is not JSON" in verify(path).problem


def test_a_torn_end_settles_nothing(path):
    with opened(path) as audit_log:
        assert put(audit_log, "intent").seq == 1
        put(audit_log, "run-started")
    path.write_bytes(path.read_bytes()[:-9])
    for _ in range(2):
        with opened(path) as audit_log:
            assert list(audit_log.pending) == [1]


def test_open_intents_are_found_in_their_order_behind_any_number_of_runs(path):
    with opened(path) as audit_log:
        old = [put(audit_log, "intent").seq for _ in range(3)]
        put(audit_log, "run-ended")
    with opened(path) as audit_log:
        put(audit_log, "outcome", intent=old[1])
        put(audit_log, "intent")
        put(audit_log, "run-ended")
        last = put(audit_log, "intent").seq
    with opened(path) as audit_log:
        assert list(audit_log.pending) == [old[0], old[2], 6, last]


def test_pending_intents_survive_rotation(path):
    with opened(path) as audit_log:
        left = put(audit_log, "intent", resource="r", kind="add", target="web", before=[], after=[])
        put(audit_log, "run-ended", mode="sync", targets=[])
    with opened(path, run="r2", max_bytes=1) as audit_log:
        assert list(audit_log.pending) == [left.seq]


# ── one writer, and a disk that fails ────────────────────────────────────────


def test_the_runs_before_are_those_that_could_write_across_files(path):
    for number, mode in enumerate(["sync", "plan", "apply", "sync"]):
        with opened(path, max_bytes=300 if number == 2 else 10**6) as audit_log:
            put(audit_log, "run-started", mode=mode, number=number)
            put(audit_log, "feed", feed="qatech")
    with opened(path) as audit_log:
        runs = audit_log.runs_before(2)
        assert [[r["event"] for r in run] for run in runs] == [["run-started", "feed"]] * 2
        assert [run[0]["number"] for run in runs] == [3, 2]
        assert [run[0]["number"] for run in audit_log.runs_before(9)] == [3, 2, 0]


def test_the_runs_before_are_those_of_the_same_owner_and_config(path):
    """Another config on the same log ran in between, and what somebody undid each time was never called contested."""
    for number, (owner, config) in enumerate([("acme", "/a"), ("umbrella", "/a"), ("acme", "/b"), ("acme", "/a")]):
        with AuditLog.open(path, owner=owner, actor="b", run=f"r{number}", clock=lambda: AT) as audit_log:
            put(audit_log, "run-started", mode="sync", config=config)
    with opened(path) as audit_log:
        assert [run[0]["run"] for run in audit_log.runs_before(9, config="/a")] == ["r3", "r0"]


def test_a_second_writer_is_told_who_holds_it(path):
    with opened(path, run="first"), pytest.raises(AuditLogError, match=f"held by run first, process {os.getpid()}"):
        opened(path, run="second", lock_timeout=0.1)
    with opened(path, run="second", lock_timeout=0.1):
        pass


def test_a_holder_that_did_not_say_who_it_is_is_another_process(path):
    lock = path.with_name("audit.jsonl.lock")
    with lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(AuditLogError, match=f"{path} is held by another process; waited 0 s"):
            opened(path, lock_timeout=0)
        file.write(b"run \xff")
        file.flush()
        with pytest.raises(AuditLogError, match="held by run �; waited 0 s"):
            opened(path, lock_timeout=0)


def test_the_lock_says_who_holds_it_now_and_stays(path):
    for run in ("a-long-name-of-a-run", "r2"):
        with opened(path, run=run):
            pass
    lock = path.with_name("audit.jsonl.lock")
    assert lock.read_text() == f"run r2, process {os.getpid()} on {socket.gethostname()}"
    assert [p.stat().st_mode & 0o777 for p in (lock, path)] == [0o600, 0o640]


def test_a_lock_is_waited_for(path):
    first = opened(path)
    threading.Timer(0.2, first.close).start()
    with opened(path, lock_timeout=5):
        pass


def test_a_lock_that_cannot_be_written_says_so_and_is_let_go(path):
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(
            AuditLogError, match=r"jsonl\.lock: can't be written: File too large; without the audit log"
        ):
            opened(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


def test_closing_a_log_leaves_no_file_open(path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    with opened(path), pytest.raises(AuditLogError):
        opened(path, lock_timeout=0)
    with pytest.raises(AuditLogError):
        opened(path.parent)
    filled(path, max_bytes=1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_killed_holder_lets_go(path):
    code = (
        "import os, sys; from datetime import UTC, datetime; from ipsync.audit import AuditLog\n"
        "j = AuditLog.open(sys.argv[1], owner='a', actor='b', run='c', clock=lambda: datetime.now(UTC))\n"
        "from ipsync.core.events import RunStarted\n"
        "j.record(RunStarted(mode='sync')); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    with opened(path, lock_timeout=0.5):
        pass
    assert verify(path).records == 1


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(path):
    code = (
        "import resource, signal, sys; from datetime import UTC, datetime; from ipsync.audit import AuditLog\n"
        "from ipsync.core.errors import AuditLogError; from ipsync.core.events import RunStarted\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "j = AuditLog.open(sys.argv[1], owner='a', actor='b', run='c', clock=lambda: datetime.now(UTC))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "said = []\n"
        "for _ in range(9):\n"
        "    try: j.record(RunStarted(mode='y' * 100))\n"
        "    except AuditLogError as e: said.append(str(e))\n"
        "print(len(said), said[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "without the audit log ipsync writes to no cloud" in done.stdout
    assert int(done.stdout.split()[0]) >= 6, "it went on writing after a failure"
    with opened(path):
        pass
    assert verify(path).ok
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_failed_fsync_is_not_tried_again(path, monkeypatch):
    with opened(path) as audit_log:
        tries = []

        def fail(_fd):
            tries.append(1)
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", fail)
        for _ in range(3):
            with pytest.raises(AuditLogError, match=f"{path}: can't be written: Input/output error"):
                put(audit_log, "intent")
        assert len(tries) == 1


def test_standard_output_that_is_full_is_named(monkeypatch):
    def fail(_fd, _data):
        raise OSError(28, "No space left on device")

    with AuditLog.open("-", owner="a", actor="b", run="c", clock=lambda: AT) as audit_log:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fail)
            with pytest.raises(AuditLogError) as caught:
                put(audit_log, "intent")
        assert str(caught.value).startswith("standard output: can't be written: No space left on device")


def test_a_write_in_pieces_is_finished(path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    with opened(path) as audit_log:
        put(audit_log, "run-started")
    assert verify(path).records == 1


def test_every_record_is_synced_before_it_counts_and_a_new_file_s_folder_too(path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.path.realpath(f"/proc/self/fd/{fd}")), real(fd)))
    with opened(path) as audit_log:
        put(audit_log, "a")
        put(audit_log, "b")
    assert synced == [str(path.parent), str(path), str(path)]


@pytest.mark.parametrize("where", ["missing/audit.jsonl", "folder"])
def test_a_log_that_cannot_be_made_is_said(tmp_path, where):
    (tmp_path / "folder").mkdir()
    with pytest.raises(AuditLogError, match=where.split("/", maxsplit=1)[0]):
        opened(tmp_path / where)


def test_a_plan_needs_no_log(tmp_path, path, caplog):
    options = {"owner": "a", "actor": "b", "run": "c", "clock": lambda: AT}
    with open_optional("-", **options) as audit_log:
        assert isinstance(audit_log, NullAuditLog)
    assert caplog.messages == []
    with open_optional(tmp_path / "missing" / "a.jsonl", **options) as audit_log:
        assert isinstance(audit_log, NullAuditLog)
        assert put(audit_log, "plan").seq == 0
    (said,) = caplog.messages
    assert said.startswith(
        f"this run is not recorded, and needn't be: {tmp_path / 'missing' / 'a.jsonl'}: can't be made"
    )
    with open_optional(path, hmac_key="secret", **options) as audit_log:
        assert put(audit_log, "plan").seq == 1
    assert verify(path, hmac_key="secret").ok
    record = json.loads(path.read_bytes())
    assert (record["owner"], record["actor"], record["run"], record["at"]) == ("a", "b", "c", "2026-01-31T09:00:00Z")


PLAN = {"owner": "a", "actor": "b", "run": "p", "clock": lambda: AT}


def test_a_plan_keeps_no_sync_waiting_and_waits_for_none(path):
    """A plan that waits for a feed held the log: a scheduled sync that started meanwhile failed after 10 seconds."""
    with open_optional(path, **PLAN) as plan:
        assert put(plan, "run-started", mode="plan").seq == 1
        with opened(path, lock_timeout=0) as sync:
            assert put(sync, "run-started", mode="sync").seq == 2
            assert put(plan, "plan").seq == 3
            assert put(sync, "run-ended").seq == 4
        assert put(plan, "run-ended").seq == 5
    assert verify(path).records == 5


def test_a_plan_amid_a_sync_hides_none_of_its_open_intents(path):
    with open_optional(path, **PLAN) as plan:
        put(plan, "run-started", mode="plan")
        with opened(path) as sync:
            put(sync, "run-started", mode="sync")
            done, lost = put(sync, "intent").seq, put(sync, "intent").seq
            put(sync, "outcome", intent=done, result="applied")
        put(plan, "run-ended")
    assert json.loads(path.read_bytes().splitlines()[-1])["open"] == [lost]
    with opened(path) as audit_log:
        assert list(audit_log.pending) == [lost]
        runs = audit_log.runs_before(9)
        assert [[r["event"] for r in run] for run in runs] == [["run-started", "intent", "intent", "outcome"]]


def test_two_runs_that_write_never_overlap(path):
    with opened(path, run="first"), pytest.raises(AuditLogError, match="held by run first"):
        opened(path, lock_timeout=0)


def test_a_run_that_waits_lets_others_write_and_then_waits_for_its_turn(path):
    """A vendor's test takes half an hour: the next run must not fail for that."""
    with opened(path, run="first", lock_timeout=0) as first:
        left = put(first, "intent", resource="r").seq
        with first.letting_others_write(), opened(path, run="second", lock_timeout=0) as second:
            assert list(second.pending) == [left]
            put(second, "recovered", intent=left)
            with pytest.raises(AuditLogError, match="held by run second"):
                opened(path, run="third", lock_timeout=0)
        assert put(first, "run-ended").seq == 3
        assert first.pending == {}
        with pytest.raises(AuditLogError, match="held by run first"):
            opened(path, run="third", lock_timeout=0)
    assert verify(path).ok


def test_a_run_that_waited_in_vain_for_its_turn_writes_nothing_more(path):
    with opened(path, run="first", lock_timeout=0) as first:
        second = None
        held = pytest.raises(AuditLogError, match=r"held by run second.*this run writes nothing more")
        with held, first.letting_others_write():
            second = opened(path, run="second", lock_timeout=0)
        put(first, "run-ended")
        second.close()
    with opened(path, run="third", lock_timeout=0):
        pass


def test_who_holds_no_right_to_write_has_none_to_let_go_of(path):
    with opened(path, run="plan", writes=False) as plan, plan.letting_others_write(), opened(path, lock_timeout=0):
        put(plan, "plan")
    assert verify(path).records == 1


HAMMER = (
    "import sys; from datetime import UTC, datetime; from ipsync.audit import AuditLog\n"
    "from ipsync.core.events import RunStarted\n"
    "for _ in range(10):\n"
    "    with AuditLog.open(sys.argv[1], owner='a', actor='b', run=sys.argv[2], clock=lambda: datetime.now(UTC),\n"
    "                      writes=False, max_bytes=4000) as audit_log:\n"
    "        for _ in range(5): audit_log.record(RunStarted(mode='plan'))"
)


def test_processes_that_append_and_rotate_at_once_make_one_chain(path):
    runs = [subprocess.Popen([sys.executable, "-c", HAMMER, str(path), f"r{i}"]) for i in range(4)]
    assert [run.wait() for run in runs] == [0] * 4
    found = verify(path)
    assert found.ok, found.problem
    assert [sum(r["run"] == f"r{i}" and r["event"] == "run-started" for r in show(path)) for i in range(4)] == [50] * 4
    assert len(rotated(path)) > 3


def test_a_plan_rotates_the_log_of_a_sync_that_goes_on(path):
    with opened(path) as sync:
        left = put(sync, "intent", resource="r").seq
        with AuditLog.open(path, **PLAN, writes=False, max_bytes=1) as plan:
            put(plan, "plan")
        put(sync, "run-ended")
        assert list(sync.pending) == [left]
    assert [p.name for p in rotated(path)] == ["audit.jsonl.1-1"]
    assert [r["event"] for r in show(path)] == ["intent", "rotated", "plan", "run-ended"]
    assert verify(path).ok


def test_a_torn_record_of_a_plan_that_was_killed_is_cut_off_by_the_sync(path):
    with opened(path) as sync:
        put(sync, "run-started")
        with path.open("ab") as file:
            file.write(b'{"half')
        put(sync, "run-ended")
    assert [r["event"] for r in show(path)] == ["run-started", "recovered", "run-ended"]
    assert verify(path).ok


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:1])), "were taken away"),
        (lambda path: path.rename(path.with_name("old")), "were taken away"),
        (lambda path: path.write_bytes(path.read_bytes() + b"{}\n"), "it is not a record"),
        (
            lambda path: path.write_bytes(path.read_bytes() + path.read_bytes().splitlines()[0] + b"\n"),
            "it doesn't follow",
        ),
    ],
    ids=["its end cut off", "moved away", "not a record", "a record of elsewhere"],
)
def test_a_log_that_is_changed_under_a_run_ends_it(path, harm, said):
    with opened(path) as sync:
        put(sync, "run-started")
        put(sync, "feed")
        harm(path)
        with pytest.raises(AuditLogError, match=f"^{path}: .*{said}"):
            put(sync, "intent")


def test_a_file_that_stays_locked_is_named(path):
    with opened(path, lock_timeout=0) as sync, path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(AuditLogError, match=f"^{path}: another process has kept it locked for more than 0 s"):
            put(sync, "intent")


def test_a_plan_whose_record_can_t_be_written_goes_on_without(path, caplog, monkeypatch):
    def full(_fd):
        raise OSError(28, "No space left on device")

    with open_optional(path, **PLAN) as plan:
        assert put(plan, "run-started", mode="plan").seq == 1
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            assert put(plan, "plan").seq == 0
        assert put(plan, "run-ended").seq == 0
        assert plan.runs_before(1) == []  # it was a plan
    (said,) = caplog.messages
    assert said.startswith(f"the rest of this run is not recorded, and needn't be: {path}: can't be written: No space")


def test_what_a_plan_appends_between_a_copy_and_its_record_is_in_the_next_copy(path):
    with opened(path) as sync:
        put(sync, "run-ended")
        copy = sync.uncopied()
        with open_optional(path, **PLAN) as plan:
            put(plan, "run-started", mode="plan")
        put(sync, "copied", object="s3://audit/1", through=last_number(copy))
    with opened(path) as sync:
        assert [json.loads(line)["event"] for line in sync.uncopied().splitlines()] == ["run-started", "copied"]


def test_standard_output_gets_the_same_lines(capfd):
    with AuditLog.open("-", owner="a", actor="b", run="c", clock=lambda: AT) as audit_log:
        put(audit_log, "intent")
        put(audit_log, "run-ended")
        copy = audit_log.uncopied()
    out = capfd.readouterr().out
    assert [(json.loads(line)["seq"], json.loads(line).get("open")) for line in out.splitlines()] == [
        (1, None),
        (2, [1]),
    ]
    assert copy == out.encode()


def test_what_no_copy_holds_begins_with_the_last_copied(path):
    lines = filled(path, hmac_key="secret")
    with opened(path, run="r2", hmac_key="secret") as audit_log:
        assert audit_log.uncopied() == b"".join(lines)
        put(audit_log, "copied", object="s3://audit/1")
        put(audit_log, "run-started")
        put(audit_log, "copied", object="s3://audit/2")
        put(audit_log, "run-ended")
        assert audit_log.uncopied() == b"".join(path.read_bytes().splitlines(keepends=True)[-2:])


def test_what_no_copy_holds_may_lie_in_the_files_before(path):
    for run in ("r1", "r2", "r3"):
        filled(path, run=run, max_bytes=10)
    with opened(path) as audit_log:
        copy = audit_log.uncopied()
    assert copy == b"".join(file.read_bytes() for file in all_files(path))
    assert [json.loads(line)["seq"] for line in copy.splitlines()] == list(range(1, 15))


# ── rotation ─────────────────────────────────────────────────────────────────


def test_rotation_keeps_the_chain_and_names_the_file_before(path):
    filled(path)
    filled(path, run="r2", max_bytes=10)
    filled(path, run="r3", max_bytes=10)
    names = sorted(p.name for p in path.parent.glob("audit.jsonl.*-*"))
    assert names == ["audit.jsonl.1-4", "audit.jsonl.5-9"]
    first = json.loads(path.read_bytes().splitlines()[0])
    assert (first["event"], first["file"], first["records"]) == ("rotated", "audit.jsonl.5-9", 5)
    assert first["head"] == first["prev"] == json.loads(rotated(path)[1].read_bytes().splitlines()[-1])["hash"]
    assert verify(path).records == 14
    (path.parent / "audit.jsonl.1-4").unlink()
    found = verify(path)
    assert (found.ok, found.records) == (False, 0)
    assert found.problem.endswith(
        "5-9, line 1: the rotated file audit.jsonl.1-4 is missing: put it back beside this one"
    )


def test_rotated_files_are_sorted_by_number_and_nothing_else_is_taken_for_one(path):
    for name in ("10-12", "5-9", "1-4", "old-4", "5-new", "bak", "1-4.gz", "²-4"):
        path.with_name(f"audit.jsonl.{name}").touch()
    path.with_name("other.jsonl.1-4").touch()
    assert [p.name for p in rotated(path)] == ["audit.jsonl.1-4", "audit.jsonl.5-9", "audit.jsonl.10-12"]
    assert all_files(path) == rotated(path)
    path.touch()
    assert all_files(path) == [*rotated(path), path]


@pytest.mark.parametrize("name", ["audit[1].jsonl", "audit*.jsonl", "audit?.jsonl", "a[!b]{c}.jsonl", "ünï cödé.jsonl"])
def test_a_path_is_no_pattern(tmp_path, name):
    """`[ ]` in the log's path: the rotated files weren't found, so each rotation wrote over the last one."""
    path = tmp_path / "[ab]*?" / name
    path.parent.mkdir()
    for run in ("r1", "r2", "r3", "r4"):
        filled(path, run=run, max_bytes=1)
    assert [p.name for p in rotated(path)] == [f"{name}.1-4", f"{name}.5-9", f"{name}.10-14"]
    assert verify(path).records == 19
    with opened(path) as audit_log:
        assert len(audit_log.runs_before(9)) == 4


@pytest.mark.parametrize("make", [Path.mkdir, lambda p: p.write_bytes(b"x"), lambda p: p.symlink_to("nowhere")])
def test_a_file_that_has_the_rotated_one_s_name_is_never_written_over(path, caplog, make):
    filled(path)
    other = path.with_name("audit.jsonl.1-4")
    make(other)
    seen = other.lstat().st_ino
    with opened(path, max_bytes=1) as audit_log:
        put(audit_log, "run-started", mode="sync")
    assert other.lstat().st_ino == seen
    assert f"{path} is not rotated, and grows: {other} is there already" in caplog.text
    other.rename(path.with_name("elsewhere"))
    assert verify(path).records == 5


def test_a_log_is_rotated_when_it_has_reached_its_size(path):
    size = len(b"".join(filled(path)))
    with opened(path, max_bytes=size + 1):
        assert rotated(path) == []
    with opened(path, max_bytes=size):
        assert [p.name for p in rotated(path)] == ["audit.jsonl.1-4"]


def test_a_log_with_a_changed_end_is_not_rotated_away(path):
    lines = filled(path)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1].replace(b"applied", b"denied!"))
    for size in (1, 10**9):
        with pytest.raises(AuditLogError, match=f"^{path}: the last record doesn't hold: its hash is not"):
            opened(path, max_bytes=size)
    assert rotated(path) == []


def test_a_damaged_first_record_does_not_stop_rotation(path):
    path.write_bytes(b"".join([b"damaged\n", *filled(path)[1:]]))
    with opened(path, max_bytes=1):
        assert [p.name for p in rotated(path)] == ["audit.jsonl.0-4"]


def test_a_log_of_empty_lines_is_not_built_upon(path):
    path.write_bytes(b"\n\n\n")
    with pytest.raises(AuditLogError, match="the last record doesn't hold: it is not JSON"):
        opened(path, max_bytes=1)


@pytest.mark.parametrize("data", [b"", b"damaged\n"])
def test_a_file_before_with_a_changed_end_is_not_built_upon(path, data):
    before = path.with_name("audit.jsonl.1-4")
    before.write_bytes(data)
    with pytest.raises(AuditLogError, match=f"^{before}: the last record doesn't hold: it is not JSON"):
        opened(path)


def test_a_keyed_log_is_rotated_and_goes_on(path):
    filled(path, hmac_key="secret")
    filled(path, hmac_key="secret", max_bytes=1)
    assert verify(path, hmac_key="secret").records == 9
    with pytest.raises(AuditLogError, match="its hash is not that of its content"):
        opened(path, hmac_key="other")


def test_a_crash_between_renaming_and_the_new_file_loses_nothing(path):
    filled(path)
    path.rename(path.with_name("audit.jsonl.1-4"))
    with opened(path, run="r2") as audit_log:
        put(audit_log, "run-started")
    assert verify(path).records == 6


@given(st.lists(st.binary(min_size=1, max_size=40).filter(lambda b: b"\n" not in b), max_size=30), st.integers(1, 99))
def test_lines_backwards_are_the_lines_backwards(tmp_path_factory, lines, block):
    from ipsync.audit import files

    path = tmp_path_factory.mktemp("lines") / "x"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    before, files.BLOCK = files.BLOCK, block
    try:
        assert list(lines_backwards(path)) == lines[::-1]
    finally:
        files.BLOCK = before


# ── another key ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("old", "new"), [("one", "two"), (None, "two"), ("one", None)])
def test_a_log_goes_on_with_another_key_in_a_new_file_and_each_part_verifies(path, old, new):
    filled(path, hmac_key=old)
    keys = {"hmac_key": new, "hmac_keys_before": [old]}
    found = verify(path, **keys)
    assert not found.ok
    assert found.problem.startswith("every record holds, but the last was sealed with one of audit.hmac_keys_before")
    for run in ("r2", "r3"):
        filled(path, run=run, **keys)
    assert [p.name for p in rotated(path)] == ["audit.jsonl.1-4"]
    first = json.loads(path.read_bytes().splitlines()[0])
    assert (first["event"], first["rekeyed"], first["prev"]) == ("rotated", True, first["head"])
    assert verify(path, **keys).records == 13
    assert (
        "sealed with another key than audit.hmac_key and audit.hmac_keys_before" in verify(path, hmac_key=new).problem
    )
    for lacking in ({"hmac_key": new}, {"hmac_key": old}, {"hmac_key": old, "hmac_keys_before": [new]}):
        assert not verify(path, **lacking).ok


def test_a_key_changes_again_and_again_and_in_the_middle_of_a_rotation(path):
    filled(path, hmac_key="one")
    filled(path, hmac_key="two", hmac_keys_before=["one"])
    path.rename(path.with_name("audit.jsonl.5-9"))  # a crash before the new file's first record
    filled(path, hmac_key="three", hmac_keys_before=["one", "two"])
    filled(path, hmac_key="three", hmac_keys_before=["two"], max_bytes=1)
    assert verify(path, hmac_key="three", hmac_keys_before=["one", "two"]).records == 19
    assert [r.get("rekeyed") for r in show(path) if r["event"] == "rotated"] == [True, True, None]


@pytest.mark.parametrize("rotate", [False, True])
def test_the_remedy_that_is_told_when_the_key_has_changed_helps(path, rotate):
    """It said to move the file away; the next run then failed at the rotated one."""
    path = path.with_name("audit log [1].jsonl")
    filled(path, hmac_key="one")
    if rotate:
        filled(path, hmac_key="one", max_bytes=1)
    with pytest.raises(AuditLogError, match=r"add the former key to audit\.hmac_keys_before") as caught:
        opened(path, hmac_key="two")
    command = str(caught.value).rpartition("keep this one whole: ")[2]
    subprocess.run(["sh", "-c", command], check=True)
    filled(path, hmac_key="two")
    assert verify(path, hmac_key="two").records == 4
    aside = path.with_name("audit-log-until-r1") / path.name
    assert verify(aside, hmac_key="one").records == (9 if rotate else 4)


def test_a_key_of_before_takes_no_record_into_a_file_of_the_new_one(path):
    filled(path, hmac_key="two")
    last = json.loads(path.read_bytes().splitlines()[-1])
    body = {k: v for k, v in last.items() if k != "hash"} | {"seq": 5, "prev": last["hash"], "rekeyed": True}
    path.write_bytes(path.read_bytes() + canonical(seal(body, key="one")) + b"\n")
    found = verify(path, hmac_key="two", hmac_keys_before=["one"])
    assert (
        "line 5: its hash is not that of its content: it was sealed with another key than the record" in found.problem
    )


def test_a_log_written_anew_with_a_key_of_before_doesnt_verify(path):
    filled(path, hmac_key="one")
    assert not verify(path, hmac_key="two", hmac_keys_before=["one"]).ok


def test_a_key_can_t_change_where_the_rotated_file_s_name_is_taken(path):
    filled(path, hmac_key="one")
    path.with_name("audit.jsonl.1-4").mkdir()
    with pytest.raises(AuditLogError, match=r"can't go on with another key: .*1-4 is there already"):
        opened(path, hmac_key="two", hmac_keys_before=["one"])


# ── what the system refuses is said in a sentence ────────────────────────────


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOLCK, r" \(its file system doesn't lock files: put audit.path on a local disk. On NFS"),
        (errno.EOPNOTSUPP, r" \(its file system doesn't lock files"),
        (errno.ENOSYS, r" \(its file system doesn't lock files"),
        (errno.EIO, r" \(its file system doesn't lock files"),
        (errno.ENOMEM, "; without the audit log ipsync writes to no cloud"),
    ],
)
def test_a_file_system_that_locks_nothing_is_named_and_what_helps(path, monkeypatch, caplog, code, remedy):
    def refuse(_handle, _operation):
        raise OSError(code, os.strerror(code))

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(AuditLogError, match=f"^{path}.lock: can't be locked: {os.strerror(code)}{remedy}"):
        opened(path)
    with open_optional(path, **PLAN) as plan:
        assert put(plan, "plan").seq == 0
    assert f"{path}: can't be locked: {os.strerror(code)}" in caplog.text
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_lock_that_fails_amid_a_run_doesn_t_say_that_nothing_was_written(path, monkeypatch):
    """What the run wrote to a cloud before, the log doesn't know."""

    def refuse(_handle, _operation):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with opened(path) as log:
        put(log, "plan")
        with monkeypatch.context() as stale:
            stale.setattr(fcntl, "flock", refuse)
            with pytest.raises(AuditLogError, match=r"; without the audit log ipsync writes to no cloud$") as caught:
                put(log, "plan")
    assert "nothing was written" not in str(caught.value)


@pytest.mark.parametrize("victim", ["audit.jsonl", "audit.jsonl.lock"])
@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.EROFS, "mount it writable, or name a file elsewhere in audit.path"),
        (errno.ENOSPC, "free some space there, or name another file in audit.path"),
        (errno.EDQUOT, "free some of that user's quota"),
        (errno.ELOOP, "name the file itself in audit.path"),
        (errno.EACCES, "belongs to root, who may not write it"),
        (errno.EMFILE, "; without the audit log ipsync writes to no cloud"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_what_can_t_be_opened_or_made_is_named_and_what_helps(path, monkeypatch, victim, code, remedy, there):
    real = os.open
    if there:
        filled(path)

    def refuse(name, flags, mode=0o777):
        if Path(name).name == victim and (there or flags & os.O_CREAT):
            raise OSError(code, os.strerror(code))
        return real(name, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    how = "opened" if there else "made"
    with pytest.raises(AuditLogError) as caught:
        opened(path)
    said = str(caught.value)
    assert said.startswith(f"{path.with_name(victim)}: can't be {how}: {os.strerror(code)}")
    assert remedy.replace("root", getpass.getuser()) in said


def test_a_link_to_what_is_not_there_is_said(path):
    path.symlink_to("missing/audit.jsonl")
    with pytest.raises(AuditLogError, match=f"^{path}: can't be opened: No such file"):
        opened(path)


# ── root among other users ───────────────────────────────────────────────────

SERVICE = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user's")


def as_service(path: Path) -> str:
    """Make one pass as the service's user, and return what it complained of."""
    code = (
        "import os, sys; from datetime import UTC, datetime; from ipsync.audit import AuditLog\n"
        "from ipsync.core.events import RunStarted\n"
        f"os.setgroups([]); os.setgid({SERVICE}); os.setuid({SERVICE})\n"
        "with AuditLog.open(sys.argv[1], owner='a', actor='b', run='c', clock=lambda: datetime.now(UTC)) as j:\n"
        "    j.record(RunStarted(mode='sync'))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    return done.stderr


@pytest.fixture
def service_log():
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        Path(name).chmod(0o755)
        folder = Path(name) / "log"
        folder.mkdir(0o700)
        os.chown(folder, SERVICE, SERVICE)
        yield folder / "audit.jsonl"


@as_root
@pytest.mark.parametrize("first", [True, False], ids=["root first", "the service first"])
@pytest.mark.parametrize("writes", [True, False], ids=["sync", "plan"])
def test_what_root_makes_belongs_to_the_log_s_user(service_log, first, writes):
    """A plan run as root left files of root's, and the service's next run couldn't open them."""
    if not first:
        assert as_service(service_log) == ""
    for _ in range(2):
        with AuditLog.open(service_log, **PLAN, max_bytes=1, writes=writes) as audit_log:
            put(audit_log, "run-started", mode="plan")
    assert as_service(service_log) == ""
    assert {f.stat().st_uid for f in service_log.parent.iterdir()} == {SERVICE}
    assert len(rotated(service_log)) == (1 if first else 2)
    assert verify(service_log).ok


@as_root
@pytest.mark.parametrize("name", ["audit.jsonl", "audit.jsonl.lock"])
def test_root_follows_no_link_that_another_user_made(service_log, tmp_path, name):
    precious = tmp_path / "precious"
    precious.write_bytes(b"half a line")
    link = service_log.with_name(name)
    link.symlink_to(precious)
    with pytest.raises(AuditLogError, match=f"^{link}: can't be opened: .*it is a symbolic link"):
        opened(service_log)
    assert precious.read_bytes() == b"half a line"


@as_root
def test_a_link_in_one_s_own_folder_is_followed(path, tmp_path):
    path.symlink_to(tmp_path / "real.jsonl")
    filled(path)
    assert verify(tmp_path / "real.jsonl").records == 4


@as_root
def test_who_owns_what_can_t_be_written_is_said(service_log):
    service_log.touch(0o600)
    said = as_service(service_log)
    me, service = getpass.getuser(), pwd.getpwuid(SERVICE).pw_name
    assert f"{service_log}: can't be opened: Permission denied ({service_log} belongs to {me}, and this runs as" in said
    assert f"run it as {me} (sudo -u {me} …), or give it back (chown {service})" in said


# ── places, which each run hands on ──────────────────────────────────────────

PLACES = [{"owner": "acme", "config": "/c", "seen": "2026-01-31", "resources": ["r"]}]


def test_what_a_run_knew_of_places_is_handed_on_by_runs_that_say_nothing_of_them(path):
    with opened(path) as audit_log:
        assert audit_log.places == []
        put(audit_log, "run-ended", mode="sync", places=PLACES)
    with open_optional(path, **PLAN) as check:
        assert check.places == PLACES
        put(check, "run-ended", mode="check")
    with opened(path, max_bytes=1) as audit_log:
        assert audit_log.places == PLACES
        with open_optional(path, **PLAN) as plan:
            put(plan, "run-ended", mode="plan", places=[])
        put(audit_log, "run-ended", mode="apply", refused="it has moved")
    with opened(path) as audit_log:
        assert audit_log.places == []
    ended = [r for r in show(path) if r["event"] == "run-ended"]
    assert [r.get("places") for r in ended] == [PLACES, None, [], None]
    assert [r.get("places_in") for r in ended] == [None, [1, 0], None, None]


def test_places_that_are_as_before_are_not_listed_again(path):
    """Of a thousand accounts they are half a megabyte, in each run of a worker; what is looked up at the log's end was lost behind them."""
    other = [{**PLACES[0], "seen": "2026-02-01"}]
    with opened(path) as audit_log:
        put(audit_log, "run-started", mode="sync")
        first = path.stat().st_size
        put(audit_log, "run-ended", mode="sync", places=PLACES)
        put(audit_log, "run-ended", mode="sync", places=[dict(p) for p in PLACES])
        put(audit_log, "run-ended", mode="sync", places=other)
    with opened(path, max_bytes=1) as audit_log:
        assert audit_log.places == other
        put(audit_log, "run-ended", mode="sync", places=other)  # after it the file is put aside
    with opened(path) as audit_log:
        assert audit_log.places == other, "the record that lists them stands in a rotated file now"
        put(audit_log, "run-ended", mode="sync")
    ended = [r for r in show(path) if r["event"] == "run-ended"]
    assert [r.get("places") for r in ended] == [PLACES, None, other, None, None]
    assert [r.get("places_in", [0])[0] for r in ended] == [0, 2, 0, 4, 4]
    assert ended[1]["places_in"] == [2, first]
    assert verify(path).ok


@pytest.mark.parametrize(
    "pointer", [[1, 0], [2, 1], [9, 0], [2], "x", None, {"2": 0}, [2, 10**12], [-1, -1], [True, None]]
)
def test_places_that_are_pointed_to_wrongly_are_not_known_and_listed_anew(path, pointer, monkeypatch):
    with opened(path) as audit_log:
        put(audit_log, "run-started", mode="sync")
        put(audit_log, "run-ended", mode="sync", places=PLACES)
        monkeypatch.setattr(history.Open, "ended", lambda _self, fields: {"open": [], "places_in": pointer, **fields})
        put(audit_log, "run-ended", mode="sync")
        monkeypatch.undo()
    with opened(path) as audit_log:
        assert audit_log.places == []
        put(audit_log, "run-ended", mode="sync", places=PLACES)
    with opened(path) as audit_log:
        assert audit_log.places == PLACES


# ── a long log costs no more than a short one ────────────────────────────────


def many_plans(path: Path, number: int, *, head: Checkpoint, **ended: object) -> None:
    """Append runs that planned, as they are after years, without waiting for the disk."""
    events = (("run-started", {"mode": "plan"}), ("plan", {"id": f"sha256:{'0' * 64}"}), ("run-ended", ended))
    seq, prev, lines = head.seq, head.hash, []
    for n in range(number):
        for event, fields in events:
            seq += 1
            common = {"v": 1, "at": "2026-01-31T09:00:00Z", "owner": "acme", "actor": "me@host", "run": f"p{n}"}
            record = seal({**common, "seq": seq, "prev": prev, "event": event, **fields}, key=None)
            prev = record["hash"]
            lines.append(canonical(record) + b"\n")
    with path.open("ab") as file:
        file.write(b"".join(lines))


def bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.fixture
def long(path):
    """A log of 36,000 records and 10 MiB, all plans but for one sync at its beginning, which left something open."""
    with opened(path) as audit_log:
        put(audit_log, "run-started", mode="sync")
        where = path.stat().st_size
        put(audit_log, "intent", resource="r", target="web")
        head = put(audit_log, "run-ended", mode="sync", targets=[])
    many_plans(path, 12_000, head=head, open=[2], open_at=[where])
    assert path.stat().st_size > 10 * 2**20
    return path


def test_opening_a_long_log_reads_its_end_alone_whatever_is_open(long):
    before = bytes_read()
    with opened(long, run="r2") as audit_log:
        assert list(audit_log.pending) == [2]
        put(audit_log, "run-ended")
    assert bytes_read() - before < 500_000
    with opened(long, run="r3", max_bytes=1) as audit_log:
        assert list(audit_log.pending) == [2], "it stands in a rotated file now"
        put(audit_log, "run-ended")
    before = bytes_read()
    with opened(long, run="r4") as audit_log:
        assert list(audit_log.pending) == [2]
    assert bytes_read() - before < 500_000
    assert verify(long).ok


def test_the_runs_before_are_looked_for_in_the_end_of_a_long_log(long):
    """A million plans: each plan read all of them, for 24 seconds, to find three syncs."""
    with opened(long) as audit_log:
        before = bytes_read()
        assert audit_log.runs_before(3) == []
        assert bytes_read() - before < 5 * 2**20


@pytest.mark.parametrize("places", [{}, {"open_at": [1]}, {"open_at": [10**9]}, {"open_at": []}])
def test_an_open_intent_whose_place_is_not_told_rightly_is_searched_for(path, places, monkeypatch):
    with opened(path) as audit_log:
        put(audit_log, "run-started", mode="sync")
        left = put(audit_log, "intent", resource="r", target="web").seq
        put(audit_log, "run-ended", mode="sync", targets=[])
        monkeypatch.setattr(history.Open, "ended", lambda _self, fields: {"open": [left], **places, **fields})
        put(audit_log, "run-ended", mode="plan", targets=[])
    with opened(path) as audit_log:
        assert list(audit_log.pending) == [left]


# ── reading ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("filters", "seqs"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"run": "r2"}, [5]),
        ({"target": "web"}, [2, 4]),
        ({"address": "8.8.8.8"}, [2]),
        ({"address": "8.8.0.0/16"}, [2]),
        ({"address": "9.9.9.9"}, []),
        ({"event": "outcome"}, [3]),
        ({"since": "2026-02-01"}, []),
        ({"until": "2026-01-30"}, []),
        ({"since": "2026-01-31", "until": "2026-01-31"}, [1, 2, 3, 4, 5]),
    ],
)
def test_filters(path, filters, seqs):
    filled(path)
    with opened(path, run="r2") as audit_log:
        put(audit_log, "run-started", mode="plan")
    assert [r["seq"] for r in show(path, **filters)] == seqs


def test_a_clock_that_was_set_back_hides_no_record(path):
    hours = iter([12, 9, 10, 11])
    with AuditLog.open(path, owner="a", actor="b", run="c", clock=lambda: AT.replace(hour=next(hours))) as audit_log:
        for _ in range(4):
            put(audit_log, "run-started", mode="plan")
    assert [r["seq"] for r in show(path, since="2026-01-31T10")] == [1, 3, 4]
    assert [r["seq"] for r in show(path, until="2026-01-31T10")] == [2, 3]


def test_a_wrong_address_is_a_usage_error(path):
    filled(path)
    with pytest.raises(UsageError, match="--address"):
        list(show(path, address="nonsense"))


def test_records_read_well(path):
    with opened(path) as audit_log:
        put(audit_log, "feed", feed="qatech", rejected="no answer")
        put(audit_log, "feed", feed="qatech", count=2, digest="sha256:1")
        put(audit_log, "plan", id="sha256:2", summary={"add": 1, "remove": 0}, verdicts=[])
        put(audit_log, "approval", plan="sha256:3", current="sha256:2", holds=False)
        put(audit_log, "recovered", intent=1, result="applied")
        put(audit_log, "recovered", torn_bytes=7)
        put(audit_log, "rotated", file="x")
    filled(path, run="r2")
    text = "\n".join(describe(r) for r in show(path))
    for part in (
        "feed qatech rejected: no answer",
        "feed qatech: 2 addresses",
        "plan sha256:2: 1 to add",
        "which let nothing go (the plan was sha256:2)",
        "recovered of #1: applied",
        "cut off 7 bytes",
        "intent: add on r for web: + 8.8.8.8/32 443/tcp",
        "outcome of #9: applied (request req-1)",
        "sync ended: web applied",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("event", "fields", "line"),
    [
        ("run-started", {"mode": "sync"}, "sync started by me@host"),
        ("run-started", {"mode": "apply", "plan": "sha256:1"}, "apply of plan sha256:1 started by me@host"),
        ("run-ended", {"mode": "sync", "targets": []}, "sync ended"),
        ("run-ended", {"mode": "sync", "interrupted": True}, "sync ended early, as it was asked to"),
        ("run-ended", {"mode": "apply", "targets": [], "refused": "it expired"}, "apply ended: refused, it expired"),
        ("run-ended", {"mode": "check", "targets": [], "passed": 3, "missing": []}, "check ended: 3 checks passed"),
        (
            "run-ended",
            {"mode": "check", "passed": 1, "missing": ["a", "b"]},
            "check ended: 1 check passed, missing: a, b",
        ),
        (
            "run-ended",
            {"mode": "sync", "targets": [{"target": "a", "status": "applied"}, {"target": "b", "status": "error"}]},
            "sync ended: a applied, b error",
        ),
        (
            "run-ended",
            {"mode": "sync", "targets": [{"target": "a", "status": "applied"}] * 1_300},
            "sync ended: a applied on 1,300 resources",
        ),
        (
            "run-ended",
            {"mode": "sync", "targets": [{"target": "a", "status": "in-sync", "resources": 1_300}]},
            "sync ended: a in-sync on 1,300 resources",
        ),
        ("feed", {"feed": "qatech", "count": 2, "digest": "sha256:1"}, "feed qatech: 2 addresses, sha256:1"),
        ("feed", {"feed": "qatech", "rejected": "down"}, "feed qatech rejected: down"),
        ("plan", {"id": "i", "summary": {"add": 1, "remove": 2}}, "plan i: 1 to add, 2 to remove"),
        (
            "plan",
            {"id": "i", "summary": {}, "verdicts": [{"guard": "empty", "verdict": "refuse"}]},
            "plan i: None to add, None to remove; empty: refuse",
        ),
        ("approval", {"plan": "i", "holds": True}, "approval of i by me@host"),
        ("approval", {"plan": "i", "current": "j"}, "approval of i by me@host, which let nothing go (the plan was j)"),
        (
            "intent",
            {"kind": "note", "resource": "r", "target": "web", "before": ["A", "B"], "after": ["B", "C", "D"]},
            "intent: note on r for web: + C, + D, - A",
        ),
        ("intent", {"kind": "note", "resource": "r", "target": "web"}, "intent: note on r for web: "),
        ("plan", {"id": "i"}, "plan i: None to add, None to remove"),
        (
            "plan",
            {"id": "i", "verdicts": [{"guard": "empty", "verdict": "refuse"}, {"guard": "drift", "verdict": "refuse"}]},
            "plan i: None to add, None to remove; empty: refuse; drift: refuse",
        ),
        ("outcome", {"intent": 1, "result": "applied", "request_id": "q"}, "outcome of #1: applied (request q)"),
        ("outcome", {"intent": 1, "result": "denied", "error": "no"}, "outcome of #1: denied: no"),
        ("recovered", {"intent": 1, "result": "applied"}, "recovered of #1: applied"),
        ("rotated", {"file": "x"}, "rotated"),
    ],
)
def test_a_line_says_when_which_run_which_record_and_what(path, event, fields, line):
    with opened(path) as audit_log:
        put(audit_log, event, **fields)
    (record,) = show(path)
    if event == "run-ended":
        assert record.pop("open") == []
    assert describe(record) == f"2026-01-31T09:00:00Z  r1  #1  {line}"


@pytest.mark.parametrize(
    ("filters", "seqs"),
    [
        ({"target": "web"}, [1, 3]),
        ({"target": "edge"}, [2]),
        ({"address": "8.8.8.8"}, [1, 4]),
        ({"address": "9.9.9.9"}, [4]),
        ({"address": "9.9.8.0/23"}, [4]),
        ({"address": "9.9.9.9/16"}, [4]),
        ({"address": "2600::1"}, [1]),
        ({"address": "1.1.1.1"}, []),
        ({"target": "web", "address": "8.8.8.8"}, [1]),
        ({"target": "web", "event": "plan"}, [3]),
        ({"since": "2026-01-31T09:00:00Z", "event": "plan"}, [2, 3]),
        ({"since": "2026-01-31T09:00:01Z"}, []),
        ({"until": "2026-01-31T08"}, []),
        ({"until": "2026-01-31T09:00:00Z", "event": "plan"}, [2, 3]),
    ],
)
def test_filters_look_into_targets_verdicts_and_what_changed(path, filters, seqs):
    with opened(path) as audit_log:
        listed = ["1.1.1.1/32 443/tcp", "8.8.8.8/32 443/tcp leaving since 2026-01-31T09:00:00Z", "ports 443/tcp"]
        after = ["1.1.1.1/32 443/tcp", "8.8.8.8/32 443/tcp", "2600::/32", "ports 80/tcp"]
        put(audit_log, "intent", target="web", before=listed, after=after)
        put(audit_log, "plan", verdicts=[{"target": "edge", "guard": "empty"}])
        put(audit_log, "plan", targets=[{"target": "web"}])
        put(audit_log, "recovered", target="other", now=["8.8.8.8/32", "9.9.9.0/24"])
        put(audit_log, "intent", resource="half a record")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\ndamaged\n", 1) + b"torn")
    assert [r["seq"] for r in show(path, **filters)] == seqs


def test_a_file_of_the_log_that_can_t_be_read_is_named_when_it_is_verified(path):
    filled(path)
    (path.parent / f"{path.name}.1-2").mkdir()
    with pytest.raises(AuditLogError, match=r"1-2: the audit log can't be read: Is a directory$"):
        verify(path)
