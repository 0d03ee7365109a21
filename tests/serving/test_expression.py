"""Expressions over columns: what they give, what they read, and all that they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.registry.entities import Field
from everloop.serving.expression import LONGEST, Expression

FIELDS = {name: Field(name, "float64") for name in ("a", "b", "airport_weather.wind")} | {
    "carrier": Field("carrier", "string"),
    "picture": Field("picture", "float64", shape=(2,)),
}
ROWS = {
    "a": np.array([1.0, 5.0, np.nan]),
    "b": np.array([2.0, 2.0, 2.0]),
    "airport_weather.wind": np.array([10.0, 30.0, 20.0]),
    "carrier": np.array(["AA", None, "UA"], dtype=object),
}


def value(text: str) -> list[object]:
    return Expression(text, FIELDS)(ROWS, 3).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5", [0.5, 0.5, 0.5]),
        ("-a + b * 2", [3.0, -1.0, pytest.approx(np.nan, nan_ok=True)]),
        ("1.0 if a > b else 0", [0.0, 1.0, 0.0]),
        ("airport_weather.wind / 10", [1.0, 3.0, 2.0]),
        ("1 if carrier == 'AA' else 2", [1.0, 2.0, 2.0]),
        ("1 if carrier in ('UA', 'AA') else 2", [1.0, 2.0, 1.0]),
        ("1 if carrier not in ('UA',) else 2", [1.0, 1.0, 2.0]),
        ("1 if missing(carrier) or missing(a) else 2", [2.0, 1.0, 1.0]),
        ("1 if a > 0 and not a >= 5 else 2", [1.0, 2.0, 2.0]),
        ("1 if b != 2 else 2", [2.0, 2.0, 2.0]),
    ],
)
def test_an_expression_gives_a_value_for_each_row(text: str, expected: list[object]) -> None:
    assert value(text) == expected


def test_an_expression_tells_what_it_reads() -> None:
    found = Expression("a if carrier == 'AA' else 0.1", FIELDS)
    assert {field.name for field in found.inputs} == {"a", "carrier"}
    assert found.kind == "number"
    assert Expression("a > 1", FIELDS).kind == "truth"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "cannot be read"),
        ("a +", "cannot be read"),
        ("a; b", "cannot be read"),
        ("c", "no column 'c'"),
        ("picture", "no column 'picture'"),
        ("__import__('os').system('ls')", "function"),
        ("a.__class__", "no column 'a.__class__'"),
        ("(lambda: 1)()", "function"),
        ("[x for x in a]", "no listcomp"),
        ("a ** 9", "no pow"),
        ("a[0]", "no subscript"),
        ("carrier > 'AA'", "cannot be compared"),
        ("carrier + 1", "carrier is a text"),
        ("1 < a < 2", "more than two things"),
        ("a == 'AA'", "is a text, not a number"),
        ("1 if a else 2", "a is a number, not a truth"),
        ("1 if a > 1 else 'x'", "is a text"),
        ("a in ()", "nothing"),
        ("None", "neither a number nor a text"),
        ("missing(a + 1)", "function"),
    ],
)
def test_an_expression_that_makes_no_sense_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match="makes no sense") as caught:
        Expression(text, FIELDS)
    assert why in caught.value.message


def test_neither_endless_nor_deep_expressions_are_parsed() -> None:
    with pytest.raises(InvalidInput, match="characters"):
        Expression("1+" * LONGEST + "1", FIELDS)
    with pytest.raises(InvalidInput, match="cannot be read"):
        Expression("(" * 900 + "1" + ")" * 900, FIELDS)


@given(st.text(max_size=60))
def test_whatever_is_written_it_is_an_expression_or_invalid_input(text: str) -> None:
    try:
        found = Expression(text, FIELDS)
    except InvalidInput:
        return
    assert len(found(ROWS, 3)) == 3


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=1, max_size=20))
def test_arithmetic_is_that_of_the_columns(rows: list[tuple[float, float]]) -> None:
    a, b = np.array(rows).T
    found = Expression("a * 2 - b if a > b else b / 4", {**FIELDS})({"a": a, "b": b}, len(a))
    assert np.array_equal(found, np.where(a > b, a * 2 - b, b / 4))
