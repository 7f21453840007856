"""Which rules stand together, beside the sentence of the docs written out: RULE, RULE-v6, and numbered ones of either."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from ipsync.targets.gcp.names import Names

words = st.lists(st.sampled_from(["a", "b", "-v6", "-2", "-13", "-x", "-"]), min_size=1, max_size=4).map("".join)


def continues(name, base):
    return bool(re.fullmatch(re.escape(base) + "(-v6)?-[0-9]+", name))


def standing(name, named, *, own):
    bases = [b for b in named if name == f"{b}-v6" or (own and continues(name, b))]
    return name if name in named else max(bases, key=len, default=None)


@settings(max_examples=50)
@given(st.dictionaries(words, st.booleans(), max_size=8), st.sets(words, min_size=1, max_size=4))
def test_a_rule_stands_under_its_own_name_or_the_longest_that_it_continues(rules, named):
    names = Names(rules, named)
    for base in (*named, None):
        assert names.under(base) == [n for n, own in rules.items() if standing(n, named, own=own) == base]


@settings(max_examples=50)
@given(st.dictionaries(words, st.booleans(), max_size=8), st.sets(words, min_size=1, max_size=4))
def test_overflow_steps_over_what_others_hold_and_the_config_names(rules, named):
    names, fixed = Names(rules, named), {*named, *(f"{n}-v6" for n in named)}
    for base in named:
        others = {n for n in (*rules, *fixed) if n in fixed or standing(n, named, own=rules[n]) != base}
        assert names.taken(base) == tuple(sorted(n for n in others if continues(n, base)))
