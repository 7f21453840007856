"""Draws how time and memory grow with the accounts, ipsync beside its floor, as a file that two runs write alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.scale import Growth

LINES = (("a bare botocore loop", "floor", "#b45309", "--"), ("ipsync", "ours", "#1d4ed8", "-"))


def draw(grown: Sequence[Growth], path: Path, *, below: str) -> None:
    """Write the plot; `below` says when and where it was measured."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "ipsync", "svg.fonttype": "none", "font.size": 10})  # no ids by chance
    from matplotlib import pyplot as plt

    figure, (time, memory) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    _panel(time, grown, "seconds", lambda cost: cost.seconds)
    _panel(memory, grown, "peak memory, MiB", lambda cost: cost.mib)
    memory.set_ylim(bottom=0)
    time.set_xscale("log")
    time.set_yscale("log")
    memory.set_xscale("log")
    memory.legend(frameon=False)
    figure.supxlabel(f"accounts (20 groups × 20 rules in each). {below}", fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _panel(axes: Any, grown: Sequence[Growth], name: str, figure: Callable[[Any], float]) -> None:
    for label, side, colour, style in LINES:
        values = [figure(getattr(g, side)) for g in grown]
        axes.plot([g.scopes for g in grown], values, style, marker="o", color=colour, label=label)
    axes.set_title(name, loc="left")
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
