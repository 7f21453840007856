"""Which shard holds what: exactly one, evenly, on every machine the same, and with little movement when N changes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsync.core.sharding import MOST, Shard, Share, holder, read

SCOPES = [f"aws/{account:012d}/{region}" for account in range(500) for region in ("eu-north-1", "us-east-1")]
names, counts = st.text(min_size=1, max_size=40), st.integers(1, 24)


@given(names, counts)
def test_every_scope_is_in_exactly_one_shard(scope, count):
    assert [shard.index for i in range(count) if (shard := Shard(i, count)).holds(scope)] == [holder(scope, count)]


@given(names, counts)
def test_one_more_shard_moves_a_scope_to_the_new_one_or_not_at_all(scope, count):
    assert holder(scope, count + 1) in {holder(scope, count), count}


def test_a_thousand_scopes_are_spread_evenly_and_few_of_them_move():
    held = {scope: holder(scope, 8) for scope in SCOPES}
    assert all(90 <= number <= 165 for number in Counter(held.values()).values()), "125 each, by chance"
    moved = sum(holder(scope, 9) != shard for scope, shard in held.items())
    assert 75 <= moved <= 150, "a ninth is 111"


@pytest.mark.parametrize(
    ("scope", "of_4", "of_8"),
    [
        ("aws/111122223333/eu-north-1", 1, 4),
        ("aws/111122223333/us-east-1", 3, 4),
        ("gcp/acme-staging", 0, 0),
        ("gcp/acme-prod", 1, 1),
        ("acme/etc", 3, 4),
    ],
)
def test_every_machine_and_release_says_the_same(scope, of_4, of_8):
    assert (holder(scope, 4), holder(scope, 8)) == (of_4, of_8)


@given(st.integers(0, 10**6), counts)
def test_the_parts_of_a_number_add_up_to_it_and_differ_by_one_at_most(number, count):
    parts = [Shard(i, count).share(number) for i in range(count)]
    assert sum(parts) == number
    assert max(parts) - min(parts) <= 1


def test_it_is_written_as_it_is_read():
    assert read("2/8") == Shard(2, 8)
    assert (str(Shard(2, 8)), Shard(2, 8).words) == ("2/8", "shard 2 of 8")
    assert str(Share(Shard(2, 8), 125, 1000)) == "shard 2 of 8: 125 of 1,000 scopes"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4/4", "there is no shard 4 of 4; they are 0 to 3"),
        ("0/0", "0 is no number of shards"),
        (f"0/{MOST + 1}", f"there are 1 to {MOST}"),
        *(
            (text, "0/4, 1/4, 2/4 and 3/4 are all of four")
            for text in ("a/b", "1", "-1/4", "1/4/2", "1 /4", "", "\u0661/\u0664")
        ),
    ],
)
def test_what_is_no_shard_is_said_to_be_none(text, said):
    with pytest.raises(ValueError, match=said):
        read(text)
