"""What check found that is the same but for where is told once: of a thousand accounts one missing permission is one line."""

from __future__ import annotations

from ipsync.cli.check import render
from ipsync.targets.base import Finding
from ipsync.targets.findings import alike, apart, subjects

EU = "eu-north-1"


def denied(account: int, group: str, why: str = "no") -> Finding:
    """Return what check says of a group: the account, the group and the region stand in each of its texts."""
    return Finding(
        f"{group} in {EU}: authorize",
        ok=False,
        detail=f"{group}: {why} for account {account:012d}",
        remedy=f"allow it on arn:aws:ec2:{EU}:{account:012d}:security-group/{group}",
        resource=f"aws/{account:012d}/{EU}/{group}",
    )


def fine(account: int) -> Finding:
    return Finding(f"aws {account:012d} {EU}: read", ok=True, resource=f"aws/{account:012d}/{EU}")


OTHERS = "aws/000000000002/eu-north-1/sg-2, aws/000000000003/eu-north-1/sg-3, aws/000000000004/eu-north-1/sg-4"
ALL = [fine(1), denied(1, "sg-1"), *(fine(n) for n in range(2, 1001)), *(denied(n, f"sg-{n}") for n in range(2, 1301))]


def test_what_is_alike_is_told_once_with_where_else():
    assert render(ALL, output="text", colour=False).splitlines() == [
        "ok       aws 000000000001 eu-north-1: read (and 999 more like it)",
        "MISSING  sg-1 in eu-north-1: authorize: sg-1: no for account 000000000001",
        "         allow it on arn:aws:ec2:eu-north-1:000000000001:security-group/sg-1",
        f"         the same in 1,299 other places: {OTHERS} and 1,296 more (-v tells each by itself)",
        "1,000 of 2,300 checks passed, 1,300 to fix",
    ]


def test_verbose_and_json_tell_each():
    assert len(render(ALL, output="text", colour=False, verbose=True).splitlines()) == 1_000 + 2 * 1_300 + 1
    assert render(ALL, output="json", colour=False).count('"subject"') == len(ALL)


def test_few_are_told_each_by_itself():
    few = [denied(n, f"sg-{n}") for n in range(3)]
    assert alike(few) == apart(few)
    assert "the same" not in render(few, output="text", colour=False)


def test_another_reason_or_remedy_is_another_line():
    odd = denied(7, "sg-7", why="a barrier")
    found = [*(denied(n, f"sg-{n}") for n in range(5)), odd, fine(1)]
    assert [(len(same.findings), same.first.subject) for same in alike(found)] == [
        (5, "sg-0 in eu-north-1: authorize"),
        (1, "sg-7 in eu-north-1: authorize"),
        (1, "aws 000000000001 eu-north-1: read"),
    ]
    assert subjects(found)[0] == "sg-0 in eu-north-1: authorize (and 4 more like it)"


def test_what_is_skipped_is_no_success():
    skipped = [Finding(f"sg-{n}: revoke", ok=True, skipped=True, resource=f"aws/1/{EU}/sg-{n}") for n in range(9)]
    told = render([*skipped, *(fine(n) for n in range(4))], output="text", colour=False)
    assert told.startswith("skipped  sg-0: revoke\n         the same in 8 other places: aws/1/eu-north-1/sg-1, ")
    assert told.endswith("4 of 13 checks passed, 9 skipped\n")
