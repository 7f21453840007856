"""A selection loses no entry: what JMESPath would pass over in silence is told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsync.core.errors import FeedError
from ipsync.feeds.formats import read_json
from ipsync.feeds.selection import search

GOOGLE = {"prefixes": [{"ipv4Prefix": "8.8.8.0/24"}, {"ipv6Prefix": "2600::/48"}]}
AZURE = {
    "values": [
        {"name": "A", "properties": {"addressPrefixes": ["8.8.8.0/24", "9.9.9.0/24"]}},
        {"name": "B", "properties": {"addressPrefixes": ["1.1.1.0/24"]}},
    ]
}


@pytest.mark.parametrize(
    ("select", "document", "found"),
    [
        ("prefixes[].p", {"prefixes": [{"p": "1"}, {"p": "2"}]}, ["1", "2"]),
        ("prefixes[*].p", {"prefixes": [{"p": "1"}, {"p": "2"}]}, ["1", "2"]),
        ("[prefixes[].ipv4Prefix, prefixes[].ipv6Prefix][]", GOOGLE, ["8.8.8.0/24", "2600::/48"]),
        ("prefixes[].[ipv4Prefix, ipv6Prefix][]", GOOGLE, ["8.8.8.0/24", "2600::/48"]),
        ("prefixes[].not_null(ipv4Prefix, ipv6Prefix)", GOOGLE, ["8.8.8.0/24", "2600::/48"]),
        ("prefixes[?ipv4Prefix].ipv4Prefix", GOOGLE, ["8.8.8.0/24"]),
        ("values[?name=='B'].properties.addressPrefixes[]", AZURE, ["1.1.1.0/24"]),
        ("values[].properties.addressPrefixes[]", AZURE, ["8.8.8.0/24", "9.9.9.0/24", "1.1.1.0/24"]),
        ("values[?name=='C'].properties.addressPrefixes[]", AZURE, []),
        ("*.ips[]", {"eu": {"ips": ["1"]}, "us": {"ips": ["2"]}}, ["1", "2"]),
        ("* | [?ips].ips[]", {"eu": {"ips": ["1"]}, "date": "today"}, ["1"]),
        ("keys(@)", {"1.1.1.1": {}, "8.8.8.8": None}, ["1.1.1.1", "8.8.8.8"]),
        ("x[?t[?k=='a'].v | [0]].ip", {"x": [{"t": [{"k": "a"}, {"k": "a", "v": "1"}], "ip": "2"}]}, ["2"]),
        ("[a, b][]", {"a": ["1"], "b": ["2"]}, ["1", "2"]),
        ("[a, b || `[]`][]", {"a": ["1"]}, ["1"]),
        ("[2:]", ["1", None, "3"], ["3"]),
        ("x[?n == `0`].ip", {"x": [{"n": 0, "ip": "1"}, {"n": False, "ip": "2"}]}, ["1"]),
    ],
)
def test_what_real_lists_need_is_selected(select, document, found):
    assert search(select, document) == found


@pytest.mark.parametrize(
    ("select", "document", "words"),
    [
        ("ips[]", {"ips": ["1.1.1.1", None]}, r"nothing for entry 1 \(null\); has its format changed\?"),
        ("ips[*]", {"ips": [None]}, r"entry 0 \(null\)"),
        ("[]", ["1.1.1.1", None], r"entry 1 \(null\)"),
        ("[]", [["1.1.1.1", None], ["8.8.8.8"]], r"entry 1 \(null\)"),
        ("prefixes[].p", {"prefixes": [{"p": "1"}, {"address": "2"}]}, r'entry 1 \({"address": "2"}\)'),
        ("prefixes[].p", {"prefixes": [{"p": "1"}, {"p": None}]}, r'entry 1 \({"p": null}\)'),
        ("prefixes[].p", {"prefixes": [{"p": "1"}, "8.8.8.8"]}, r'entry 1 \("8.8.8.8"\)'),
        ("prefixes[].p", {"prefixes": [{"x": 1}] * 5}, r'entry 0 \({"x": 1}\), entry 1 .*, entry 2 .* and 2 more; has'),
        ("prefixes[?s=='E'].p", {"prefixes": [{"s": "E", "p": "1"}, {"s": "E"}]}, r'entry 1 \({"s": "E"}\)'),
        ("values[].properties.addressPrefixes[]", {"values": [*AZURE["values"], {"properties": {}}]}, "entry 2 "),
        ("x[*].y[*].ip", {"x": [{"y": [{"ip": "1"}, {}]}]}, r"entry 1 \({}\)"),
        ("x[*].y[*].ip", {"x": [{"y": [{"ip": "1"}]}, {"z": []}]}, r'entry 1 \({"z": \[\]}\)'),
        ("*.ips[]", {"eu": {"ips": ["1"]}, "us": {"ip": ["2"]}}, r'the key "us" \({"ip": \["2"\]}\)'),
        ("[prefixes[].ipv4Prefix, prefixes[].ipv6Prefix][]", {"prefixes": [{"ipv4Prefix": "1"}, {"x": 1}]}, "entry 1 "),
        ("prefixes[].[ipv4Prefix, ipv6Prefix][]", {"prefixes": [{"ipv4Prefix": "1"}, {"x": 1}]}, "entry 1 "),
        ("[a[].ip, b[].ip][]", {"a": [{"ip": "1"}], "c": []}, "nothing for the part 2 of its 2; has"),
        ("sort(x[].ip)", {"x": [{"ip": "1"}, {}]}, r"entry 1 \({}\)"),
        ("x[].ip | [?@ != 'x']", {"x": [{"ip": "1"}, {}]}, r"entry 1 \({}\)"),
        ("x[].ip", {"x": [{"n": "\x1b[2J" + "a" * 999}]}, r'entry 0 \({"n": "\\u001b\[2Ja{40,60}…\)'),
    ],
)
def test_what_a_projection_passes_over_is_told(select, document, words):
    with pytest.raises(FeedError, match=words) as caught:
        search(select, document)
    assert f"`{select}` gives nothing for " in str(caught.value)


@pytest.mark.parametrize(
    ("select", "document", "words"),
    [
        (
            "x[?contains(name, 'a')].ip",
            {"x": [{"name": "a", "ip": "1"}, {"ip": "2"}]},
            r"can't be evaluated at entry 1 \(.*\): contains\(\) got null and takes array or string; test for it first, like ",
        ),
        ("x[].starts_with(@, 'a')", {"x": ["a", 7]}, r"at entry 1 \(7\): starts_with\(\) got number and takes string"),
        (
            "x[?n > `1`].ip",
            {"x": [{"n": "2"}]},
            r"at entry 0 .*: it compares or computes with values of different kinds",
        ),
        ("join(',', x)", {"x": [1]}, r"can't be evaluated: join\(\) got"),
        ("sort_by(x, &ip)", {"x": [{"ip": "a"}, {"ip": 2}]}, r"can't be evaluated.*: "),
        ("sort_by(x, &ip)", {"x": [{"ip": "a"}, {}]}, r"can't be evaluated.*: "),
        ("*.keys(@)", {"a": {}, "b": "x" * 999}, r'at the key "b" \("x{59}…\): keys\(\) got string and takes object'),
        ("nope(@)", {}, r"it is not a sound expression \(UnknownFunctionError\)"),
        ("a[", {}, r"it is not a sound expression"),
        ("[::0]", ["1"], "can't be evaluated"),
    ],
)
def test_what_fails_while_it_runs_is_the_feed_s_error_and_says_where(select, document, words):
    with pytest.raises(FeedError, match=words) as caught:
        search(select, document)
    assert len(str(caught.value)) < 400


values = st.sampled_from(
    ["8.8.8.8", "1.1.1.1", None, 7, True, {}, {"ip": None}, {"ip": "9.9.9.9"}, [], {"x": "9.9.9.9"}]
)


@given(st.lists(values, max_size=6))
def test_as_many_come_out_as_go_in(document):
    expected = [e["ip"] for e in document if isinstance(e, dict) and e.get("ip") is not None]
    if len(expected) == len(document):
        assert search("[*].ip", document) == expected
    else:
        with pytest.raises(FeedError, match="gives nothing for"):
            search("[*].ip", document)


def test_a_selection_of_a_feed_goes_this_way():
    with pytest.raises(FeedError, match="gives nothing for entry 0"):
        read_json(json.dumps([{"ip": None}]).encode(), select="[].ip")
