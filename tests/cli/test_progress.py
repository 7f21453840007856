"""How far a long pass is: a bar that comes late and goes, only where somebody looks; with -v a line a stage."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from factory import Stage, aws_target, config, gcp_target

from ipsync import engine
from ipsync.cli import progress, streams
from ipsync.core.signals import ConfigRead, PassEnded, ScopeRead, StageBegan

CONFIG = config(aws_target(), gcp_target())


class Terminal(io.StringIO):
    """A terminal as rich sees it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def terminal_for(monkeypatch) -> Terminal:
    """Put a terminal in the place of stderr; not as a fixture, since pytest sets stderr anew before each test's call."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    for name, value in {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return made


def until(what) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_bar_comes_late_and_goes(monkeypatch):
    terminal = terminal_for(monkeypatch)
    handler = logging.StreamHandler(terminal)
    logging.getLogger().addHandler(handler)
    bar = progress.Bar(CONFIG, frozenset(), patience=0.0)
    try:
        bar(StageBegan("read"), None)
        until(lambda: bar._progress)
        bar(ScopeRead((), 0.1), None)
        until(lambda: "reading" in terminal.getvalue() and "1/2" in terminal.getvalue())
        assert handler.stream is not terminal
        logging.getLogger("ipsync").warning("said meanwhile")
        bar(StageBegan("plan"), None)
        bar(StageBegan("open"), None)
        until(lambda: "letting in" in terminal.getvalue())
    finally:
        bar(PassEnded("sync", 1.0), None)
        logging.getLogger().removeHandler(handler)
    assert handler.stream is terminal
    assert sys.stderr is terminal
    shown = terminal.getvalue()
    assert "said meanwhile" in shown
    assert shown.endswith("\x1b[1A\x1b[2K"), "the line is gone"
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l"), "and the cursor is there"


def test_a_short_pass_shows_nothing_and_another_one_may(monkeypatch):
    terminal = terminal_for(monkeypatch)
    bar = progress.Bar(CONFIG, frozenset(), patience=60.0)
    for _ in range(2):
        bar(StageBegan("read"), None)
        timer = bar._timer
        bar(PassEnded("sync", 0.1), None)
        assert timer.finished.is_set()
    bar._start()
    assert terminal.getvalue() == ""


def test_a_real_pass_moves_the_bar():
    stage = Stage(CONFIG, lists={"qatech": ["8.8.8.8", "8.8.8.9"]})
    bar, seen = progress.Bar(CONFIG, frozenset(), patience=60.0), []
    run = replace(
        stage.run(), subscribers=[bar, lambda event, _recorded: seen.append((bar._text, bar._done, bar._total))]
    )
    engine.sync(run)
    assert ("reading feeds and clouds", 0, 2) in seen
    assert ("reading feeds and clouds", 2, 2) in seen
    assert max(done for text, done, _ in seen if text == "letting in") == seen[-1][2]
    bar(ConfigRead(config(aws_target())), None)
    assert bar._scopes == 1
    bar(PassEnded("sync", 0.1), None)


@pytest.mark.parametrize(
    ("environ", "shown"), [({}, "Bar"), ({"TERM": "dumb"}, "Stages")], ids=["a terminal", "one that can't"]
)
def test_a_bar_only_where_somebody_looks_and_elsewhere_lines(monkeypatch, environ, shown):
    terminal_for(monkeypatch)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert [type(o).__name__ for o in progress.observers(CONFIG, ())] == [shown]
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert [type(o) for o in progress.observers(CONFIG, ())] == [progress.Stages]


def test_logs_of_json_lines_have_no_bar(monkeypatch):
    terminal_for(monkeypatch)
    before = logging.getLogger().handlers[:], logging.getLogger("ipsync").level
    try:
        streams.start_logging("json", 0)
        assert [type(o) for o in progress.observers(CONFIG, ())] == [progress.Stages]
    finally:
        logging.getLogger().handlers[:] = before[0]
        logging.getLogger("ipsync").setLevel(before[1])


def test_each_stage_is_a_line_with_its_run(caplog):
    stages = progress.Stages(CONFIG, frozenset())
    with caplog.at_level(logging.DEBUG, "ipsync"):
        stage = Stage(CONFIG, lists={"qatech": ["8.8.8.8"]})
        engine.sync(replace(stage.run(), subscribers=[stages]))
        stages(PassEnded("sync", 1.0), None)
    records = [record for record in caplog.records if "stage over" in record.message]
    assert [record.fields["stage"] for record in records] == ["read", "plan", "open", "close", "verify"]
    assert {record.fields["run"] for record in records} == {"r1"}
    assert records[0].fields["scopes"] == 2
    assert records[0].fields["feeds"] == 1
    assert records[2].fields["writes"] == 2
    line = json.loads(streams.JsonLines().format(records[0]))
    assert (line["stage"], line["run"], line["scopes"]) == ("read", "r1", 2)
    assert line["message"].startswith("stage over: run=r1 stage=read targets=2 seconds=")


def test_only_a_long_stage_is_told_of_without_v(caplog):
    for long, told in ((0.0, 1), (60.0, 0)):
        stages = progress.Stages(CONFIG, frozenset({"web"}), long=long)
        caplog.clear()
        with caplog.at_level(logging.INFO, "ipsync"):
            stages(StageBegan("read", "r1"), None)
            stages(PassEnded("sync", 1.0), None)
        assert [r.fields["targets"] for r in caplog.records] == [1] * told


def test_a_config_that_is_read_again_is_counted_by(caplog):
    stages = progress.Stages(CONFIG, frozenset(), long=0)
    stages(ConfigRead(config(aws_target(), aws_target("a"), aws_target("b"))), None)
    with caplog.at_level(logging.INFO, "ipsync"):
        stages(StageBegan("read", "r1"), None)
        stages(PassEnded("sync", 1.0), None)
    assert [r.fields["targets"] for r in caplog.records] == [3]


def test_rich_is_loaded_only_for_a_bar():
    code = "import sys\nfrom ipsync.cli import progress\nprint('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
