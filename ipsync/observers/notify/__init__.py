"""Notifications: a message to a webhook, to Slack or through a command, when something happened that somebody asked for.

It listens to a pass (its events), gathers what there is to tell when the pass ends, and hands it to a courier a
sink. Plans and dry runs notify nobody, since nobody gives them a Notifier.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ipsync.core.configured import Config, Notify
from ipsync.core.events import FeedRead, RunEnded
from ipsync.core.signals import ConfigRead, Contested, Event, PassEnded, Recorded
from ipsync.observers.notify import courier
from ipsync.observers.notify.command import Command
from ipsync.observers.notify.courier import Courier, Surroundings
from ipsync.observers.notify.happenings import SAVED, Heard, Situation, of_config, of_pass
from ipsync.observers.notify.memory import Told
from ipsync.observers.notify.message import Message, sample
from ipsync.observers.notify.records import remembered
from ipsync.observers.notify.sinks import Sink, Try, Undelivered
from ipsync.observers.notify.slack import Slack
from ipsync.observers.notify.webhook import Webhook

__all__ = ["Message", "Notifier", "Surroundings", "Try", "Undelivered", "named_sinks", "remembered", "sample"]


class Notifier:
    """Hears one worker's passes, and tells who wants to know."""

    def __init__(self, config: Config, around: Surroundings, *, selected: frozenset[str]) -> None:
        self._config, self._selected = config, selected
        self._couriers = [Courier(sink, each, around, name=name) for name, sink, each in named_sinks(config.notify)]
        self._heard = Heard()

    def hear(self, event: Event, recorded: Recorded | None = None) -> None:
        """Take up one event of a pass; at its end, hand over what there is to tell."""
        del recorded
        if isinstance(event, FeedRead):
            self._heard = replace(self._heard, feeds={**self._heard.feeds, event.feed: event})
        elif isinstance(event, Contested):
            self._heard = replace(self._heard, contested=event.told)
        elif isinstance(event, RunEnded):
            self._heard = replace(self._heard, interrupted=bool(event.interrupted))
        elif isinstance(event, ConfigRead):
            self._hand_over(of_config(event.refused))
        elif isinstance(event, PassEnded) and (event.report or event.mode != SAVED):
            heard = replace(self._heard, report=event.report, error=str(event.error or ""))
            self._heard = Heard()
            self._hand_over(of_pass(heard, self._config, selected=self._selected))

    def known(self) -> dict[str, Sequence[Told]]:
        """Return what each knows by now, for whoever tells them next."""
        return {each.name: each.known for each in self._couriers}

    def close(self, *, within: float) -> None:
        """Wait until everything is told, for so many seconds; what isn't by then is given up, and said so."""
        courier.close(self._couriers, within=within)

    def _hand_over(self, situation: Situation) -> None:
        for each in self._couriers:
            each.put(situation)


def named_sinks(settings: Sequence[Notify]) -> Iterator[tuple[str, Sink, Notify]]:
    """Yield each sink with its name in messages, logs and records; a second one of a name has a number."""
    seen = Counter[str]()
    for each in settings:
        sink = _sink(each)
        name = f"{each.kind} {sink.name}"
        seen[name] += 1
        yield (name if seen[name] == 1 else f"{name} #{seen[name]}"), sink, each


def _sink(settings: Notify) -> Sink:
    if settings.kind == "webhook":
        return Webhook(settings.url, settings.secret)
    return Slack(settings.url) if settings.kind == "slack" else Command(settings.command)
