"""Addresses: parsed once, strictly, against a slow oracle; special-use networks found by overlap."""

from __future__ import annotations

import tracemalloc
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsync.core.addresses import SPECIAL_V4, SPECIAL_V6, canonical, parse, sort_key, special_use, to_network
from ipsync.core.errors import AddressError

v4 = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda p: IPv4Network(p, strict=False))
v6 = st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(lambda p: IPv6Network(p, strict=False))
any_network = v4 | v6

BAD = [
    *(None, True, False, 0, 1, 167772161, 1.5, [], ["8.8.8.8"], {}, b"8.8.8.8"),
    *("", " ", "/", "/8", "8.8.8.8/", "8.8.8.8 ", " 8.8.8.8", "8.8.8.8\n", "\t8.8.8.8", "8.8.8.8/24 ", "8.8.8.8/ 24"),
    *("8.8.8", "8.8.8.8.8", "8.8.8.256", "8.8.8.-1", "8.8.8.08", "08.8.8.8", "8.8.8.0x8", "8.8.8.8e0", "134744072"),
    *(
        "8.8.8.0/33",
        "8.8.8.8/-1",
        "8.8.8.8/032",
        "8.8.8.8/08",
        "8.8.8.8/+32",
        "8.8.8.8/32/32",
        "8.8.8.8/255.255.255.255",
    ),
    *("8.8.8.8/0.0.0.0", "1.1.1.0/0.0.0.255", "8.8.8.0/255.255.255.0", "8.8.8.8/24", "0.0.0.1/0", "8.8.8.8/1e1"),
    *("8.8.8.8-8.8.8.9", "8.8.8.8,8.8.4.4", "8.8.8.8;", "8.8.8.8:443", "https://8.8.8.8", "localhost", "example.com"),
    *(
        "8.8.8.*",
        "8.8.8.x",
        "٨.٨.٨.٨",
        "8\uff0e8\uff0e8\uff0e8",
        "\uff18.8.8.8",
        "8.8.8.8\x00",
        "\ufeff8.8.8.8",
        "8.8.8.8\u200b",
    ),
    *(":", ":::", "2600::1::2", "2600:::1", "fe80::1%eth0", "2600::1%1", "2600::1/129", "2600::1/64", "[2600::1]"),
    *("2600::g", "12600::1", "2600:0:0:0:0:0:0:0:1", "2600::1.2.3", "::ffff:1.2.3.4.5", "2600::1/0128", "x" * 44),
    "0" * 5000,
]


def test_the_corpus_is_large_enough():
    assert len(BAD) >= 60


@pytest.mark.parametrize("wrap", [str, lambda text: [text], lambda text: {"a": [text]}])
def test_what_is_said_of_megabytes_takes_none(wrap):
    value = wrap("\U0001f600" + "\x7f" * 1_000_000)
    tracemalloc.start()
    with pytest.raises(AddressError, match="is not a"):
        parse(value)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text)[:60])
def test_what_is_not_an_address_is_refused_with_its_text(text):
    with pytest.raises(AddressError) as caught:
        parse(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (167772161, "^167772161 is not a text but a number"),
        (1.5, "^1.5 is not a text but a number"),
        (True, "^True is not a text but a boolean"),
        (["8.8.8.8"], r"^\['8.8.8.8'\] is not a text but a list"),
        ({}, "^{} is not a text but an object"),
        (None, "^None is not a text but nothing"),
        ("1.2.3.4/24", "host bits set; the network would be 1.2.3.0/24"),
        ("2600::1/64", "the network would be 2600::/64"),
        ("1.2.3.999", "not an IPv4 or IPv6 address"),
        ("8.8.8.8/255.0.0.0", "optional decimal prefix"),
    ],
)
def test_the_message_says_what_would_be_right(text, words):
    with pytest.raises(AddressError, match=words):
        parse(text)


@pytest.mark.parametrize(("text", "shown"), [("x" * 51, repr("x" * 51)), ("x" * 52, "'" + "x" * 49 + "…")])
def test_a_long_text_is_shown_shortened(text, shown):
    with pytest.raises(AddressError) as caught:
        parse(text)
    assert str(caught.value).startswith(f"{shown} is not an address")


def test_the_longest_text_there_is_is_an_address():
    longest = "2600:1f14:0436:5801:0000:0000:0000:0010/128"
    assert len(longest) == 43
    assert canonical(parse(longest)) == "2600:1f14:436:5801::10/128"


@pytest.mark.parametrize("length", range(50, 60))
def test_no_text_is_shown_longer_than_it_is_shortened_to(length):
    with pytest.raises(AddressError) as caught:
        parse("x" * length)
    shown = str(caught.value).partition(" is not")[0]
    assert shown == (repr("x" * length) if length < 52 else "'" + "x" * 49 + "…")


@given(any_network)
def test_canonical_text_reads_back(network):
    assert parse(canonical(network)) == network
    assert parse(str(network.network_address)).network_address == network.network_address


@given(st.text("0123456789abcdef.:/ %xX", max_size=44))
def test_nothing_is_accepted_that_a_slow_oracle_rejects(text):
    try:
        found = parse(text)
    except AddressError:
        return
    address, slash, prefix = text.partition("/")
    assert ip_address(address) == found.network_address
    assert (str(int(prefix)) == prefix) if slash else found.prefixlen == found.max_prefixlen
    assert found == ip_network(text)


@given(st.lists(any_network))
def test_sorted_by_family_then_address(networks):
    ordered = sorted(networks, key=sort_key)
    assert [n.version for n in ordered] == sorted(n.version for n in networks)
    assert ordered == sorted(networks, key=lambda n: (n.version, n.network_address, n.prefixlen))


# ── special use ──────────────────────────────────────────────────────────────


@given(any_network)
def test_special_use_is_overlap_and_ipv6_only_inside_2000(network):
    blocks = SPECIAL_V4 if network.version == 4 else SPECIAL_V6
    overlaps = any(network.overlaps(block) for block, _ in blocks)
    outside = network.version == 6 and not network.subnet_of(IPv6Network("2000::/3"))
    assert (special_use(network) is not None) == (overlaps or outside)


@pytest.mark.parametrize(
    "text",
    [
        # `is_global` is true for each of these (measured on CPython 3.11.7)
        *("0.0.0.0/0", "224.0.0.0/3", "10.0.0.0/7", "192.168.0.0/15", "100.0.0.0/8", "224.0.0.1", "ff02::1"),
        *("fec0::1", "4000::1", "::10.0.0.1", "64:ff9b::a00:1", "3fff::1", "5f00::1", "2002:a00:1::1"),
        # and the plain ones
        *("127.0.0.1", "169.254.169.254", "192.0.2.1", "198.51.100.1", "203.0.113.1", "100.64.0.1", "198.18.0.1"),
        *("240.0.0.1", "255.255.255.255", "0.1.2.3", "192.88.99.1", "::", "::1", "::ffff:8.8.8.8", "2001:db8::1"),
        *("2001::1", "fc00::1", "fe80::1", "::/0", "2000::/3", "1000::1"),
    ],
)
def test_no_vendor_connects_from_here(text):
    assert special_use(ip_network(text))


@pytest.mark.parametrize("block", [block for block, _ in (*SPECIAL_V4, *SPECIAL_V6)], ids=str)
def test_a_block_s_first_and_its_last_address_lie_in_it(block):
    assert special_use(ip_network(block[0]))
    assert special_use(ip_network(block[-1]))


@pytest.mark.parametrize("text", ["8.8.8.8", "18.196.41.10", "223.255.255.255", "1.1.1.0/24", "2600::1", "2a00::/32"])
def test_plain_public_space_is_no_special_use(text):
    assert special_use(ip_network(text)) is None


@given(any_network)
def test_a_network_is_made_once_and_equals_one_that_python_made(plain: IPv4Network | IPv6Network) -> None:
    made = to_network(str(plain))
    assert made is to_network(str(plain))
    assert (made, hash(made), str(made)) == (plain, hash(plain), str(plain))
    assert {made: "known"}[plain] == {plain: "known"}[made] == "known"
    assert (canonical(made), sort_key(made)) == (canonical(plain), sort_key(plain))


@pytest.mark.parametrize("text", ["8.8.8.8/24", "2600::1/64", "pl-0abc", "8.8.8", "", "2600::g"])
def test_what_is_no_network_is_refused_in_pythons_words(text: str) -> None:
    with pytest.raises(ValueError) as told:
        to_network(text)
    with pytest.raises(ValueError) as plain:
        ip_network(text)
    assert str(told.value) == str(plain.value)


def test_set_host_bits_are_dropped_where_a_cloud_may_hold_them() -> None:
    assert to_network("8.8.8.8/24", strict=False) == ip_network("8.8.8.0/24")


@pytest.mark.parametrize("text", ["8.8.8.8/8", "8.8.8.256", "2600::1/64"])
def test_a_fault_holds_nothing_of_how_it_was_found(text: str) -> None:
    """Twenty thousand of them, which a feed may list, held 35 MiB of half-made networks."""
    with pytest.raises(AddressError) as told:
        parse(text)
    assert told.value.__context__ is None
