"""Waves over shards: a later wave waits for every shard's part of the one before, and limits are divided."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from factory import HTTPS, aws_target, config
from waves import SMOKE, A, B, Killed, Waves, statuses

from ipsync import engine
from ipsync.core.addresses import parse
from ipsync.core.model import Entry
from ipsync.core.planfile import dump, load
from ipsync.core.report import exit_code
from ipsync.core.rollout import Wave
from ipsync.core.sharding import Shard, holder
from ipsync.render import render
from ipsync.render.json import document
from ipsync.targets.aws.where import AwsAccount

EU = "eu-north-1"
N = 2
FIRST, SECOND = ([a for a in map(str, range(1, 30)) if holder(f"aws/{a}/{EU}", N) == i][:3] for i in range(N))
ACCOUNTS = (*FIRST, *SECOND)
"""Three of each shard."""
WAVES = (Wave("canary", ("smoke",)), Wave("main"))

pytestmark = pytest.mark.usefixtures("quick")


def resource(account: str) -> str:
    return f"aws/{account}/{EU}/sg-1"


def target(account: str, wave: str, **changes):
    where = {"account": AwsAccount(role_arn=f"arn:aws:iam::{account}:role/ipsync")}
    return replace(aws_target(f"t{account}", where=where, **changes), wave=wave)


@dataclass(slots=True)
class Sharded(Waves):
    """A stage in waves, whose log is one shard's."""

    shard: Shard | None = None
    others: dict[int, Sharded] | None = None

    def __post_init__(self) -> None:
        Waves.__post_init__(self)
        self.cloud.accounts = {t.where.account: t.where.account.number for t in self.config.targets}
        self.cloud.groups = {resource(a): {} for a in ACCOUNTS}

    def run(self, *only: str) -> engine.Run:
        made = Waves.run(self, *only)
        return replace(made, config=replace(self.config, shard=self.shard))


def shards(*listed: str, canary: str, targets=(), waves=WAVES) -> list[Sharded]:
    """Return both shards over one cloud: the canary is in one account, and all others are the main wave."""
    found = targets or [target(a, "canary" if a == canary else "main") for a in ACCOUNTS]
    made = replace(config(*found), waves=tuple(waves), checks=(SMOKE,))
    both = [Sharded(made, lists={"qatech": listed}, shard=Shard(i, N)) for i in range(N)]
    both[1].cloud = both[0].cloud
    return both


def hold(report) -> str:
    return next((w.detail for w in report.waves if w.name == "canary"), "")


WAITS = "at the places of other shards, not every target of it is as wished: t{} (change)"


def test_a_shard_waits_for_the_part_of_another_and_goes_on_once_that_is_written():
    one, two = shards(A, canary=FIRST[0])
    report = two.sync()
    assert set(statuses(report).values()) == {"held"}
    assert hold(report) == WAITS.format(FIRST[0])
    assert exit_code(report, detailed=False) == 4
    assert (one.cloud.writes, two.vendor.started) == (0, []), "nobody is asked before everything is written"
    assert set(statuses(one.sync()).values()) == {"applied"}
    report = two.sync()
    assert set(statuses(report).values()) == {"applied"}
    assert two.vendor.started == ["run1"], "it is this shard's own proof"
    assert all(one.held(resource(a)) == [A] for a in ACCOUNTS)
    assert set(statuses(two.sync()).values()) == {"in-sync"}


def test_a_proof_of_before_another_shard_s_last_write_proves_nothing():
    one, two = shards(A, canary=FIRST[0])
    one.sync()
    two.sync()
    for shard in (one, two):
        shard.lists["qatech"] = (A, B)
    one.sync()
    two.vendor.open = lambda: False
    report = two.sync()
    assert set(statuses(report).values()) == {"held"}
    assert two.vendor.started == ["run1", "run2"]
    assert all(two.held(resource(a)) == [A] for a in SECOND)


def test_a_quiet_shard_neither_reads_the_others_nor_asks_anybody():
    one, two = shards(A, canary=FIRST[0])
    one.sync()
    two.sync()
    two.cloud.unreadable = {t.scope for t in two.config.targets if t.name == f"t{FIRST[0]}"}
    report = two.sync()
    assert set(statuses(report).values()) == {"in-sync"}
    assert (hold(report), two.vendor.started) == ("", ["run1"])


def test_what_cant_be_read_at_another_shard_holds():
    _, two = shards(A, canary=FIRST[0])
    two.cloud.unreadable = {t.scope for t in two.config.targets if t.name == f"t{FIRST[0]}"}
    assert f"t{FIRST[0]} (error)" in hold(two.sync())
    assert two.cloud.writes == 0


def test_a_foreign_entry_elsewhere_satisfies_and_doesn_t_hold():
    """It is looked for as that shard's own run does, by reading the group whole."""
    one, two = shards(A, canary=FIRST[0])
    one.cloud.put(resource(FIRST[0]), Entry(parse(A), HTTPS))
    assert set(statuses(two.sync()).values()) == {"applied"}


def test_a_resource_that_a_later_wave_shares_there_is_that_wave_s():
    """The canary of shard 0 shares its group with the main wave, so it is written there, and holds nobody before."""
    twin = replace(target(FIRST[0], "main"), name="twin")
    targets = [*(target(a, "canary" if a == FIRST[0] else "main") for a in ACCOUNTS), twin]
    _, two = shards(A, canary=FIRST[0], targets=targets)
    assert set(statuses(two.sync()).values()) == {"applied"}


def test_who_shares_that_resource_needn_t_be_selected():
    """Its feed isn't fetched then; it is frozen there, as it is in that shard's own run."""
    twin = replace(target(FIRST[0], "canary"), name="twin", feeds=("other",))
    targets = [*(target(a, "canary" if a == SECOND[2] else "main") for a in ACCOUNTS), twin]
    one, two = shards(A, canary="", targets=targets, waves=(Wave("main"), Wave("canary")))
    one.sync(*(f"t{a}" for a in ACCOUNTS))
    report = two.sync(*(f"t{a}" for a in ACCOUNTS))
    assert set(statuses(report).values()) == {"applied"}


def test_the_plan_foresees_it_and_the_approval_lets_it_go():
    _, two = shards(A, canary=FIRST[0])
    plan = two.plan()
    (wave, *_) = plan.waves
    assert wave.detail == WAITS.format(FIRST[0])
    assert wave.approve.startswith("wave:")
    assert f"--approve {wave.approve}" in render(plan, output="text", colour=False, again="ipsync sync --shard 1/2")
    report = two.sync(approve=wave.approve)
    assert set(statuses(report).values()) == {"applied"}
    assert not [n for n in report.notices if "approval names" in n]


def test_the_plan_s_own_id_lets_it_go_too():
    _, two = shards(A, canary=FIRST[0])
    assert set(statuses(two.sync(approve=two.plan().plan.id)).values()) == {"applied"}


def test_a_saved_plan_waits_as_well():
    one, two = shards(A, canary=FIRST[0])
    report, made = two.plan(), replace(two.config, shard=two.shard)
    data = dump(document(report), report.plan, made, selected=frozenset(t.name for t in made.targets))
    saved = load(data, made, now=two.now)
    assert set(statuses(engine.apply(two.run(), saved)).values()) == {"held"}
    one.sync()
    assert set(statuses(engine.apply(two.run(), saved)).values()) == {"applied"}


def test_a_part_that_isn_t_selected_holds():
    one, two = shards(A, canary=FIRST[0])
    one.sync()
    report = two.sync(*(f"t{a}" for a in SECOND))
    assert f"t{FIRST[0]} of it isn't selected" in hold(report)
    assert set(statuses(report).values()) == {"held"}


def test_a_pause_is_kept_after_another_shard_s_write(monkeypatch):
    waits: list[float] = []
    one, two = shards(A, canary=FIRST[0], waves=(Wave("canary", pause=60.0), Wave("main")))
    one.stop = two.stop = type("Stop", (), {"wait": lambda _s, s: waits.append(s), "is_set": lambda _s: False})()
    one.sync()
    assert waits == [60.0], "its own main wave comes behind"
    two.sync()
    assert waits == [60.0, 60.0]


def test_a_kill_between_shards_leaves_the_order():
    one, two = shards(A, canary=FIRST[0])

    def killed(_operation):
        raise Killed

    one.cloud.after = killed
    with pytest.raises(Killed):
        one.sync()
    one.cloud.after = lambda _o: None
    assert one.held(resource(FIRST[0])) == [A]
    two.vendor.open = lambda: False
    assert set(statuses(two.sync()).values()) == {"held"}, "it is written, and not proven"
    two.vendor.open = lambda: True
    assert set(statuses(two.sync()).values()) == {"applied"}


# ── how much ─────────────────────────────────────────────────────────────────


def limited(number: int) -> list[Sharded]:
    return shards(A, canary="", waves=(Wave("main", max_changed_targets=number),))


@pytest.mark.parametrize("number", [1, 4, 5, 6])
def test_all_shards_together_change_no_more_than_the_limit(number):
    written = [sum(s == "applied" for s in statuses(shard.sync()).values()) for shard in limited(number)]
    assert sum(written) <= number
    expected = [len(mine) if len(mine) <= Shard(i, N).share(number) else 0 for i, mine in enumerate((FIRST, SECOND))]
    assert written == expected


def test_a_part_that_is_too_small_says_whose_part_it_is_and_can_be_approved():
    one, _ = limited(3)
    report = one.sync()
    (said,) = {v.detail for e in report.plan.target_changes for v in e.violations}
    assert said.startswith(f"changes {len(FIRST)} targets in wave main, more than 2, this shard's part of 3; raise")
    assert exit_code(report, detailed=False) == 3
    assert set(statuses(one.sync(approve=report.plan.id)).values()) == {"applied"}


def test_a_part_of_nothing_is_told():
    _, two = limited(1)
    text = "wave main: max-changed-targets 1 is divided among 2 shards, and nothing of it falls to shard 1"
    assert any(n.startswith(text) for n in two.plan().notices)
    assert not [n for n in limited(1)[0].plan().notices if "divided" in n]
