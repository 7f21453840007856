"""A referee of its own: it knows the contract, and nothing of the code that decides.

It is told what the world is (the config, what the feeds served in this pass, what the clouds held, the clock, which
targets were selected, what a human approved), and it judges each write that reaches a cloud, and what the run said of it
afterwards. What is ours it reads from the marks by itself, as docs/aws.md and docs/gcp.md describe them.

Where the contract leaves a choice, the referee takes the reading that allows more: a foul is wrong in every reading.

    facts     what a pass rests on, as plain data; no clouds, no clocks
    marks     whose is it, since when is it leaving: from tags, and from a description
    wanted    what a target wants, may want, and whether it may be touched now
    limits    the guards' words (contract 4), counted anew
    rules     one write: a promise a function
    told      a whole pass: what was shown, what the exit code says, what must be so at rest
    judge     puts them together and keeps the fouls
"""

from __future__ import annotations

from proof.referee.facts import Facts, Held, Hole, Line, Told, Write
from proof.referee.judge import Referee

__all__ = ["Facts", "Held", "Hole", "Line", "Referee", "Told", "Write"]
