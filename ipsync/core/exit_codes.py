"""What a command's end tells a script: the exit codes, one place for the code, the help and the docs."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """An exit code. Where several hold, the first of 4, 1, 3, 2, 0 wins."""

    DONE = 0
    FAILED = 1
    PENDING = 2
    REFUSED = 3
    PARTIAL = 4

    @property
    def meaning(self) -> str:
        """What a script may conclude from it."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "Done. With `--detailed-exitcode`: nothing to change.",
    ExitCode.FAILED: "Failed: bad usage or config, feed unusable, cloud unreachable. "
    "The targets concerned were not touched.",
    ExitCode.PENDING: "Only with `--detailed-exitcode`: changes are pending.",
    ExitCode.REFUSED: "A guard refused or needs approval. What it guards was not touched.",
    ExitCode.PARTIAL: "Partial: some targets are as wished, others failed, are unknown, "
    "or were held because a wave's check failed.",
}
