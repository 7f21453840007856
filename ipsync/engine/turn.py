"""The right to write to clouds, which a run gives away while it waits for somebody else (docs/decisions/0033)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from ipsync.core.errors import AuditLogError
from ipsync.core.standing import Standing

GivenUp = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Heard:
    """What the audit log knows by now. `others` counts how often others may have written since it was opened."""

    standing: Standing = field(default_factory=Standing)
    open_intents: Sequence[Mapping[str, object]] = ()
    others: int = 0


def _alone(_given_up: GivenUp) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(slots=True)
class Turn:
    """One run's right to write. `lost` says who has it, once it couldn't be had again: then nothing more is written."""

    heard: Callable[[], Heard] = Heard
    letting_others_write: Callable[[GivenUp], AbstractContextManager[None]] = _alone
    lost: str = ""

    @contextmanager
    def given_away(self, stopping: GivenUp) -> Iterator[None]:
        """Let others write while something is waited for; a run that is `stopping` needs the right no more."""
        try:
            with self.letting_others_write(stopping):
                yield
        except AuditLogError as error:
            self.lost = str(error)
