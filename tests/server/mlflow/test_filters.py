"""MLflow's filters and orders: what is read, what is refused, and what they select."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.server.mlflow.filters import Comparison, Order, Searched, parse, parse_order, selected

SEARCHED = Searched(("name",), ("size",), "size DESC", ("attribute", "tag", "metric"))
ROWS = [
    {"name": "Delay", "size": 3, "tags.team": "core"},
    {"name": "price", "size": 1, "tags.team": "edge"},
    {"name": "churn", "size": None},
]


@pytest.mark.parametrize(
    ("text", "comparison"),
    [
        ("metrics.auc > 0.7", Comparison("metric", "auc", ">", 0.7)),
        ("metric.`val loss` <= -1e-3", Comparison("metric", "val loss", "<=", -0.001)),
        ("params.a.b = 'x'", Comparison("parameter", "a.b", "=", "x")),
        ('tags."a b" != "y"', Comparison("tag", "a b", "!=", "y")),
        ("tags.mlflow.parentRunId = 'r'", Comparison("tag", "mlflow.parentRunId", "=", "r")),
        ("status = 'FINISHED'", Comparison("attribute", "status", "=", "FINISHED")),
        ("attributes.run_id NOT IN ('a', 'b')", Comparison("attribute", "run_id", "not in", ("a", "b"))),
        ("datasets.name IN ('a',)", Comparison("dataset", "name", "in", ("a",))),
        ("`run name` iLIKE '%x_'", Comparison("attribute", "run name", "ilike", "%x_")),
        (r"params.quote = 'it\'s'", Comparison("parameter", "quote", "=", "it's")),
    ],
)
def test_every_form_of_a_comparison_is_read(text: str, comparison: Comparison) -> None:
    assert parse(text) == [comparison]
    assert parse(f"{text} AND {text}") == [comparison, comparison]


@pytest.mark.parametrize(
    "text",
    [
        "metrics.auc",
        "metrics.auc >",
        "= 1",
        "a = 'x' OR b = 'y'",
        "a = 'x' b = 'y'",
        "a IN ()",
        "a IN ('x'",
        "a = x",
        "a ; b",
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="filter"):
        parse(text)


@given(st.text())
def test_whatever_is_sent_is_read_or_refused(text: str) -> None:
    with suppress(InvalidInput):
        parse(text)
    with suppress(InvalidInput):
        parse_order(text)


def test_an_order_goes_up_unless_it_says_otherwise() -> None:
    assert parse_order("metrics.auc") == Order("metric", "auc", False)
    assert parse_order("attributes.start_time desc") == Order("attribute", "start_time", True)
    with pytest.raises(InvalidInput):
        parse_order("start_time DESC NULLS FIRST")


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ("", ["Delay", "price", "churn"]),
        ("size >= 1", ["Delay", "price"]),
        ("name LIKE '%e%'", ["Delay", "price"]),
        ("name ILIKE 'd%'", ["Delay"]),
        ("name LIKE 'd%'", []),
        ("tags.team != 'core'", ["price"]),
        ("name IN ('price', 'churn') AND size = 1", ["price"]),
        ("name NOT IN ('price')", ["Delay", "churn"]),
    ],
)
def test_rows_are_selected_and_what_has_no_value_comes_last(filter: str, names: list[str]) -> None:
    assert [row["name"] for row in selected(ROWS, filter, [], SEARCHED)] == names


def test_of_several_values_one_that_meets_the_comparison_is_enough() -> None:
    rows = [{"name": "a", "size": 1, "metrics.f1": (0.1, 0.9)}, {"name": "b", "size": 2, "metrics.f1": (0.2,)}]
    assert [row["name"] for row in selected(rows, "metrics.f1 > 0.5", [], SEARCHED)] == ["a"]
    assert [row["name"] for row in selected(rows, "metrics.f1 < 0.5", [], SEARCHED)] == ["b", "a"]


def test_what_an_order_leaves_equal_comes_in_the_order_of_the_list() -> None:
    rows = [{"name": name, "size": size} for name, size in (("b", 1), ("a", 1), ("c", 2))]
    by_name = Searched(("name",), ("size",), "name ASC")
    assert [row["name"] for row in selected(rows, "", ["size DESC"], by_name)] == ["c", "a", "b"]


def test_what_the_rows_do_not_have_is_refused() -> None:
    for filter, order in (
        ("colour = 'red'", []),
        ("", ["colour"]),
        ("size = 'three'", []),
        ("name > 3", []),
        ("params.a = 'x'", []),
    ):
        with pytest.raises(InvalidInput):
            selected(ROWS, filter, order, SEARCHED)
