"""The benchmark's own parts: that they can be loaded, and that a page keeps what wasn't measured anew."""

from __future__ import annotations

import pytest

from bench import page
from bench.__main__ import PARTS, main
from bench.table import Row

PAGE = f"# What it costs\n\n{page.BEGIN}\nNot measured yet.\n{page.END}\nThe end.\n"


def test_a_page_gets_the_figures_of_the_parts_that_were_measured(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    page.write(
        path, {"start": [Row("one", "1 s", "≤ 2 s", ok=True)], "planning": [Row("two", "3 s", "≤ 2 s", ok=False)]}
    )
    page.write(path, {"planning": [Row("two", "1 s", "≤ 2 s", ok=True)]})
    text = path.read_text()
    assert "Not measured yet" not in text
    assert text.index("### start") < text.index("| one | 1 s | ≤ 2 s | ok |") < text.index("### planning")
    assert "| two | 1 s | ≤ 2 s | ok |" in text
    assert "MISSED" not in text
    assert text.startswith("# What it costs\n")
    assert text.endswith(f"{page.END}\nThe end.\n")


def test_a_page_without_a_place_for_figures_is_refused(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("# What it costs\n")
    with pytest.raises(SystemExit, match="has no place for figures"):
        page.write(path, {"start": [Row("one", "1 s")]})


def test_an_unknown_part_is_told_with_those_there_are(capsys):
    with pytest.raises(SystemExit):
        main(["speed"])
    assert f"no part is named speed; there are {', '.join(PARTS)}" in capsys.readouterr().err
