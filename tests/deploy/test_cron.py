"""The crontab line runs as it stands, and the systemd units say what the contract's exit codes need."""

import configparser
import json
import os
import re
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
    *said, last = (tmp_path / "log").read_text().splitlines()
    assert said == ["args: sync --log-format json", "on stderr"]
    assert json.loads(last) == {"message": "ipsync ended", "exit_code": code}, "collectors parse every line"


def test_the_crontab_line_loads_the_environment_file(tmp_path):
    script(tmp_path / "ipsync", 'echo "token: $QATECH_TOKEN"')
    script(tmp_path / "logger", f'cat > "{tmp_path}/log"')
    (tmp_path / "environment").write_text("QATECH_TOKEN='a b'\n")
    command = crontab_line()[2].replace("/etc/ipsync/environment", str(tmp_path / "environment"))
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["/bin/sh", "-c", command], env={"PATH": path}, check=True)
    assert (tmp_path / "log").read_text().startswith("token: a b\n")


def test_by_hand_it_is_the_service_s_user_with_its_environment_and_config(tmp_path):
    """The function of README.md: root's own plan would lock the service out of its log."""
    (tmp_path / "environment").write_text("QATECH_TOKEN='a b'\n")
    script(tmp_path / "ipsync", 'echo "$*|$QATECH_TOKEN|$IPSYNC_CONFIG|$(pwd)"')
    script(tmp_path / "sudo", '[ "$1 $2" = "-u ipsync" ] && shift 2 && exec env "$@"')
    [block] = re.findall(r"```sh\n(ipsync\(\) \{\n.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    for there, here in (
        ("/etc/ipsync/environment", "environment"),
        ("/opt/ipsync/bin/ipsync", "ipsync"),
        ("/var/lib/ipsync", ""),
    ):
        block = block.replace(there, str(tmp_path / here))
    path = f"{tmp_path}:{os.environ['PATH']}"
    asked = f"{block}\nipsync sync --approve 'sha256:4 be'"
    done = subprocess.run(["sh", "-c", asked], env={"PATH": path}, capture_output=True, text=True, check=True)
    assert done.stdout == f"sync --approve sha256:4 be|a b|/etc/ipsync/ipsync.yaml|{tmp_path}\n"


def test_the_service_is_one_bounded_hardened_pass():
    service = unit("ipsync.service")["Service"]
    assert service["Type"] == "oneshot"
    assert service["ExecStart"] == "/opt/ipsync/bin/ipsync sync --log-format json"
    assert service["TimeoutStartSec"] == "10min", "oneshot has no time limit of its own"
    assert "SuccessExitStatus" not in service, "a guard's 3 has to show as failed"
    assert (service["User"], service["ProtectSystem"], service["NoNewPrivileges"]) == ("ipsync", "strict", "yes")
    assert service["CapabilityBoundingSet"] == ""
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"
    assert "XDG_CACHE_HOME=/var/cache" in service["Environment"].split()
    assert (service["CacheDirectory"], service["CacheDirectoryMode"]) == ("ipsync", "0700"), (
        "as targets/aws/cache.py wants"
    )


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
