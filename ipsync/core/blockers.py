"""What stands in a target's way before anything is compared: feeds that can't be believed, lists that can't be managed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ipsync.core import guards
from ipsync.core.configured import Limits, Target
from ipsync.core.diff import Diff
from ipsync.core.model import Network, State, Status, Verdict, Violation, suits
from ipsync.core.placement import base_name, family_name, is_owned
from ipsync.core.plan import FeedResult


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why a target is left alone in this run: its status, and the words for it."""

    status: Status
    error: str | None = None
    violations: tuple[Violation, ...] = ()


def blockers(targets: Iterable[Target], feeds: Mapping[str, FeedResult]) -> dict[str, Blocker | None]:
    """Return of each target what hinders it; None where nothing does."""
    return {t.name: _blocker(t, feeds) for t in targets}


def _blocker(target: Target, feeds: Mapping[str, FeedResult]) -> Blocker | None:
    errors = [feeds[f].error for f in target.feeds if feeds[f].error]
    if errors:
        text = "; ".join(e for e in errors if e)
        refusal = Violation("feed", Verdict.REFUSE, text)
        return Blocker(Status.ERROR, error=text, violations=(refusal,))
    limits = dict(target.limits)
    found = [
        violation
        for name in target.feeds
        if (snapshot := feeds[name].snapshot)
        for violation in guards.check_snapshot(snapshot, limits.get(name, Limits()))
    ]
    return Blocker(Status.BLOCKED, violations=tuple(found)) if found else None


def conflicts(state: State, change: Diff, owner: str) -> list[Violation]:
    """Say why a list can't be managed: what hinders it, or a name that somebody else's holds."""
    ours = [p.blocker for p in state.managed_lists if is_owned(state, p, owner=owner)]
    reason = state.conflict or next((text for text in ours if text), None)
    found = [Violation("ownership", Verdict.REFUSE, reason)] if reason else []
    for name in _foreign_names(state, change, owner):
        detail = (
            f"a rule named {name} exists and was not made by this owner ({owner}); "
            f"choose another `rule:` in the config, or delete or rename that rule"
        )
        found.append(Violation("ownership", Verdict.REFUSE, detail))
    return found


def _foreign_names(state: State, change: Diff, owner: str) -> list[str]:
    taken = {p.name for p in state.managed_lists if not is_owned(state, p, owner=owner)}
    families = {e.network.version for e in change.after}
    names = {family_name(base_name(state), version) for version in families}
    return sorted(names & taken)


def unfit(targets: Sequence[Target], lists: Mapping[str, Sequence[Network]]) -> list[Violation]:
    """Say of each target which family it has no place for, or no service that exists in it: those addresses are let in nowhere."""
    return [v for t in targets for v in _unfit(t, lists)]


def _unfit(target: Target, lists: Mapping[str, Sequence[Network]]) -> list[Violation]:
    wanted = {n for f in target.feeds for n in lists.get(f, ())} | set(target.static)
    found = []
    for version in (4, 6):
        lost = [n for n in wanted if n.version == version]
        if lost and version not in target.families:
            text = f"{target.name}: {guards.some(lost)} not let in: the target names no list for IPv{version}"
            found.append(Violation("family", Verdict.ALLOW, text))
        elif lost and target.services and not any(suits(s.protocol, version) for s in target.services):
            ports = ", ".join(str(s) for s in target.services)
            text = f"{target.name}: {guards.some(lost)} not let in: none of its ports ({ports}) exists in IPv{version}"
            found.append(Violation("family", Verdict.ALLOW, text))
    return found
