"""The crontab line runs as it stands, and the systemd units say what the contract's exit codes need."""

import configparser
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "deploy" / "cron"


def crontab_line():
    [line] = [x for x in (ROOT / "ipsync.cron").read_text().splitlines() if x.startswith("*")]
    *when, user, command = line.split(maxsplit=6)
    return when, user, command


def unit(name):
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(ROOT / name)
    return parser


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_cron_starts_a_pass_every_fifteen_minutes_as_its_own_user():
    when, user, command = crontab_line()
    assert when == ["*/15", "*", "*", "*", "*"]
    assert user == "ipsync"
    assert "%" not in command, "cron turns % into a line feed"
    assert "flock" not in command


@pytest.mark.parametrize("code", [0, 1, 3, 4])
def test_the_crontab_line_logs_what_was_said_and_the_exit_code(tmp_path, code):
    script(tmp_path / "ipsync", f'echo "args: $*"; echo "on stderr" >&2; exit {code}')
    script(tmp_path / "logger", f'cat > "{tmp_path}/log"')
    _, _, command = crontab_line()
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["/bin/sh", "-c", command], env={"PATH": path}, capture_output=True, check=False, text=True)
    assert (done.stdout, done.stderr) == ("", ""), "cron mails whatever is printed"
    assert (tmp_path / "log").read_text().splitlines() == [
        "args: sync --log-format json", "on stderr", f"ipsync ended with exit code {code}",
    ]  # fmt: skip


def test_the_service_is_one_bounded_hardened_pass():
    service = unit("ipsync.service")["Service"]
    assert service["Type"] == "oneshot"
    assert service["ExecStart"] == "/opt/ipsync/bin/ipsync sync --log-format json"
    assert service["TimeoutStartSec"] == "10min", "oneshot has no time limit of its own"
    assert "SuccessExitStatus" not in service, "a guard's 3 has to show as failed"
    assert (service["User"], service["ProtectSystem"], service["NoNewPrivileges"]) == ("ipsync", "strict", "yes")
    assert service["CapabilityBoundingSet"] == ""
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"


def test_the_timer_makes_up_a_missed_pass_and_spreads_the_starts():
    timer = unit("ipsync.timer")["Timer"]
    assert (timer["OnCalendar"], timer["Persistent"], timer["RandomizedDelaySec"]) == ("*:0/15", "true", "60")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze isn't installed")
def test_systemd_understands_the_units(tmp_path):
    for name in ("ipsync.service", "ipsync.timer"):
        text = (ROOT / name).read_text().replace("/opt/ipsync/bin/ipsync", "/bin/true")
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if str(tmp_path) in line] == []
