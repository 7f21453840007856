"""What is no address is told as what it seems to be; and never taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsync.core.errors import AddressError
from ipsync.feeds.hints import hint

KINDS = [
    ("34.88.10.0 - 34.88.10.15", "; ranges aren't read; as networks it would be 34.88.10.0/28"),
    ("34.88.10.0-34.88.10.16", "; ranges aren't read; as networks it would be 34.88.10.0/28, 34.88.10.16/32"),
    ("34.88.10.0-15", "; ranges aren't read; as networks it would be 34.88.10.0/28"),
    ("34.88.10.0 – 34.88.10.15", "; ranges aren't read; as networks it would be 34.88.10.0/28"),
    ("34.88.10.0..34.88.10.15", "; ranges aren't read; as networks it would be 34.88.10.0/28"),
    ("34.88.10.0 to 34.88.10.15", "; ranges aren't read; as networks it would be 34.88.10.0/28"),
    ("2600:: - 2600::ff", "; ranges aren't read; as networks it would be 2600::/120"),
    (
        "8.8.8.1 - 8.8.8.254",
        "; ranges aren't read; as networks it would be 8.8.8.1/32, 8.8.8.2/31, 8.8.8.4/30, 8.8.8.8/29 and 10 more",
    ),
    ("1.2.3.9 - 1.2.3.4", "; it is a range that ends before it begins"),
    ("1.2.3.9 - 2600::1", "; it is a range that ends before it begins"),
    ("8.8.8.a - 8.8.8.b", ""),
    ("1.2.3.0/255.255.255.0", "; netmasks aren't read; as a network it would be 1.2.3.0/24"),
    ("1.2.3.0 255.255.255.0", "; netmasks aren't read; as a network it would be 1.2.3.0/24"),
    ("1.2.3.0/0.0.0.255", ""),
    ("1.2.3.*", "; wildcards aren't read; as a network it would be 1.2.3.0/24"),
    ("1.2.*.*", "; wildcards aren't read; as a network it would be 1.2.0.0/16"),
    ("300.*", ""),
    ("1.1.1.1, 2.2.2.2", "; it holds several addresses; only one an entry, or a line, is read"),
    ("1.1.1.1 2.2.2.2", "; it holds several addresses; only one an entry, or a line, is read"),
    (
        "34.88.10.0/24,FI,FI-09,Hamina,49400",
        "; only an address and nothing else is read, so neither columns nor names beside it (34.88.10.0/24)",
    ),
    (
        "fra1.example 1.1.1.1",
        "; only an address and nothing else is read, so neither columns nor names beside it (1.1.1.1)",
    ),
    ("1.1.1.1 ; fra1", "; comments begin with # alone"),
    ("1.1.1.1 // fra1", "; comments begin with # alone"),
    ("; made today", "; comments begin with # alone"),
    ("// made today", "; comments begin with # alone"),
    ("1.1.1.1:443", "; it has brackets or a port, and only an address is read; ports stand in the target"),
    ("[2600::1]", "; it has brackets or a port, and only an address is read; ports stand in the target"),
    ("fe80::1%eth0", "; it has a zone (%), which belongs to one machine"),
    ("https://a.example/x", "; it is a URL"),
    (" 1.1.1.1", "; it is an address with spaces around it"),
    ("1\x00.\x001", "; it seems to be UTF-16; only UTF-8 is read"),
    ("oops", ""),
    ("x" * 101, ""),
    (7, ""),
    (None, ""),
]


@pytest.mark.parametrize(("text", "words"), KINDS)
def test_each_kind_is_told(text, words):
    assert hint(text) == words


@given(st.text("0123456789.:-/ ,;*%[]#abcx", max_size=40) | st.text(max_size=120))
def test_no_text_breaks_it(text):
    found = hint(text)
    assert found == "" or (found.startswith("; ") and len(found) < 200)


def test_none_of_them_is_an_address():
    from ipsync.core.addresses import parse

    for text, words in KINDS:
        if words:
            with pytest.raises(AddressError):
                parse(text)
