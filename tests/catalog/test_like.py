"""LIKE as Python and every database answer it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from everloop.catalog.like import holds, matcher

TEXTS = st.text(st.sampled_from("abAB\n.ä"), max_size=8)
PATTERNS = st.text(st.sampled_from("ab%_.\nÄ"), max_size=6)


@given(TEXTS, PATTERNS, st.booleans())
def test_it_is_what_a_regular_expression_says(text: str, pattern: str, ignoring_case: bool) -> None:
    parts = {"%": ".*", "_": "."}
    written = "".join(parts.get(character, re.escape(character)) for character in pattern)
    expected = re.fullmatch(written, text, re.DOTALL | (re.IGNORECASE if ignoring_case else 0)) is not None
    assert matcher(pattern, ignoring_case=ignoring_case)(text) == expected


@given(st.text(max_size=20), st.text(max_size=20))
def test_without_wildcards_it_is_equality(pattern: str, text: str) -> None:
    plain = pattern.replace("%", "").replace("_", "")
    assert matcher(plain)(plain)
    assert matcher(plain)(text) == (text == plain)


def test_no_pattern_keeps_it_busy() -> None:
    assert not matcher("%a" * 200 + "%b")("a" * 5_000)


def test_nobody_knows_of_a_text_that_is_not_there() -> None:
    assert holds(None, "%", 0) is None
