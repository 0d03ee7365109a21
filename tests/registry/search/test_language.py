"""The language of the registry's search."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.registry.search.language import Comparison, parse, parse_order

ATTRIBUTES = {"name": frozenset(("=", "!=", "LIKE", "ILIKE", "IN")), "version_number": frozenset(("=", "<", ">="))}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("name = 'a'", [Comparison("name", "=", "a")]),
        ('attribute.name != "it\'s"', [Comparison("name", "!=", "it's")]),
        (
            "name like 'a%' and version_number>=3",
            [Comparison("name", "LIKE", "a%"), Comparison("version_number", ">=", 3)],
        ),
        ("tags.`a b` ILIKE '%x'", [Comparison("tags.a b", "ILIKE", "%x")]),
        ("tag.a.b = 'x'", [Comparison("tags.a.b", "=", "x")]),
        ("name IN ('a', 'b')", [Comparison("name", "IN", ("a", "b"))]),
        (r"name = 'a\'b'", [Comparison("name", "=", "a'b")]),
    ],
)
def test_a_filter_is_read(text: str, found: list[Comparison]) -> None:
    assert parse(text, ATTRIBUTES) == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name = late", "not quoted or unidentified quote types used for string value late"),
        ("evil = true", "Invalid clause"),
        ("name LIKE", "Invalid clause"),
        ("name IN (", "Invalid clause"),
        ("name = 'a' OR name = 'b'", "Invalid clause"),
        ("name = 'a", "Invalid clause"),
        ("name = 'a' name = 'b'", "Invalid clause"),
        ("run = 'a'", "Invalid attribute key 'run' specified"),
        ("params.a = 'a'", "Invalid entity type 'params'"),
        ("name IN ()", "got empty list"),
        ("name IN (,)", "got ill-formed list"),
        ("name IN ('a',,'b')", "got ill-formed list"),
        ("name IN (1, 2)", "got different type in list"),
        ("name > 'a'", "Invalid comparator for attribute: >"),
        ("tags.a IN ('b')", "Invalid comparator for tag: IN"),
        ("version_number = 'a'", "Expected a number"),
        ("name = 3", "Expected a quoted string value"),
        ("version_number = 99999999999999999999", "no whole number"),
        ("name = 'a\0'", "NUL"),
        ("name = '" + "a" * 10_000 + "'", "characters"),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(told)):
        parse(text, ATTRIBUTES)


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        parse(text, ATTRIBUTES)


@pytest.mark.parametrize("text", ["name", "name ASC", " attribute.name  asc ", "`name`"])
def test_an_order_goes_up_unless_it_says_otherwise(text: str) -> None:
    assert parse_order(text, {"name": "name"}, "{}") == ("name", False)


def test_an_order_goes_down() -> None:
    assert parse_order("name\tdEsC", {"name": "called"}, "{}") == ("called", True)


@pytest.mark.parametrize(
    ("text", "told"), [("name up", "Invalid order_by clause 'name up'"), ("x", "no x"), ("", "clause")]
)
def test_another_order_is_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        parse_order(text, {"name": "name"}, "no {}")
