"""Keeps a run's memory by how many clouds are asked at once, not by how many there are.

What reads a cloud is let go as soon as it was read, but each of botocore's clients is a web of cycles that only the
garbage collector frees, and for speed that hardly runs (cli/__init__.py). Of 1,000 accounts that was 15 MiB.
"""

from __future__ import annotations

import gc
from contextlib import suppress

from ipsync.core.signals import Event, Recorded, ScopeRead

EVERY = 32
"""Scopes between two collections: as many as are read at once. Of 1,000 accounts every 64 took 10 MiB more, every 16 saved 1."""
_M_ARENA_MAX = -8  # malloc.h of the GNU C library


class Waste:
    """Hears which scopes were read, and has what they leave behind collected."""

    frozen = False
    """Whether this process has set aside what it imported: once is enough, and waste of later passes isn't to be kept."""

    def __init__(self) -> None:
        self._read = 0

    def __call__(self, event: Event, at: Recorded | None) -> None:
        """Count a scope; what was imported until the first stays for good, and needn't be looked through again."""
        del at
        if not isinstance(event, ScopeRead):
            return
        self._read += 1
        if not Waste.frozen:
            Waste.frozen = True
            gc.freeze()
        if self._read % EVERY == 0:
            gc.collect()


def share_one_arena() -> None:
    """Let all threads take memory from one place.

    By default the GNU C library gives each thread one of its own, and what one has freed no other can use: of 32
    threads that read clouds that was another 15 MiB (mallopt(3), M_ARENA_MAX). Other C libraries do without.
    """
    with suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
