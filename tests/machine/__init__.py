"""A Hypothesis state machine that does to ipsync what production does, all at once, under the eyes of a referee.

world      clouds in memory, feeds, clocks, the installations over them; every pass is told to the referee
wire       what happens to a write on its way: kills, lost replies, refusals, races
operator   what an operator changes in a config
people     what people and other programs do to the clouds by hand
promises   the machine itself: one rule a kind of event
"""

from __future__ import annotations

from machine.promises import Promises
from machine.world import STEPS, WRITES

__all__ = ["STEPS", "WRITES", "Promises"]
