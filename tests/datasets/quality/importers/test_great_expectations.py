"""Great Expectations: each kind there and its equal here, each way to miss it, and suites that go there and back."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.catalog.session import Session
from everloop.datasets.quality import expectations as e
from everloop.datasets.quality.importers.great_expectations import read, write
from everloop.datasets.quality.importers.taken import Taken
from everloop.datasets.quality.service import examine
from everloop.datasets.quality.suitefile import kinds
from everloop.kernel.errors import InvalidInput
from tests.examples import examples


def take(kind: str, **kwargs: Any) -> Taken:
    """What is taken of one expectation."""
    return read(json.dumps({"expectations": [{"type": f"expect_{kind}", "kwargs": kwargs}]}), "rows")


def made(kind: str, **kwargs: Any) -> tuple[e.Expectation, ...]:
    taken = take(kind, **kwargs)
    assert taken.not_taken == ()
    return taken.expectations


def why_not(kind: str, **kwargs: Any) -> str:
    """The only reason why one expectation is not taken."""
    taken = take(kind, **kwargs)
    assert taken.expectations == ()
    (left,) = taken.not_taken
    return left.reason


class TestKinds:
    @pytest.mark.parametrize(
        ("kind", "kwargs", "expected"),
        [
            ("column_values_to_be_null", {"column": "a", "mostly": 0.5}, e.AllNull("a", 0.5)),
            ("column_values_to_not_be_null", {"column": "a", "mostly": None}, e.NotNull("a")),
            ("column_values_to_be_in_set", {"column": "a", "value_set": [1, None]}, e.OneOf("a", (1,))),
            ("column_distinct_values_to_be_in_set", {"column": "a", "value_set": ["x"]}, e.OneOf("a", ("x",))),
            ("column_values_to_not_be_in_set", {"column": "a", "value_set": [0]}, e.NotOneOf("a", (0,))),
            ("column_values_to_be_between", {"column": "a", "max_value": 9}, e.InRange("a", None, 9)),
            ("column_value_lengths_to_be_between", {"column": "a", "min_value": 1}, e.Length("a", 1)),
            (
                "column_value_lengths_to_be_between",
                {"column": "a", "min_value": 1, "max_value": 5, "strict_min": True, "strict_max": True},
                e.Length("a", 2, 4),
            ),
            ("column_value_lengths_to_equal", {"column": "a", "value": 3.0}, e.Length("a", 3, 3)),
            ("table_row_count_to_be_between", {"min_value": 1, "strict_min": True}, e.RowCount(2)),
            ("table_row_count_to_equal", {"value": 5}, e.RowCount(5, 5)),
            ("column_to_exist", {"column": "a"}, e.HasColumns(("a",))),
            ("table_columns_to_match_set", {"column_set": ["a"], "exact_match": False}, e.HasColumns(("a",))),
            ("table_columns_to_match_set", {"column_set": ["a"], "exact_match": None}, e.HasColumns(("a",), only=True)),
            ("column_mean_to_be_between", {"column": "a", "min_value": 1}, e.MeanInRange("a", 1)),
            ("column_stdev_to_be_between", {"column": "a", "max_value": 1}, e.StdInRange("a", None, 1)),
            ("column_sum_to_be_between", {"column": "a", "min_value": 1}, e.SumInRange("a", 1)),
            ("column_min_to_be_between", {"column": "a", "min_value": 1}, e.QuantileInRange("a", 0.0, 1)),
            ("column_max_to_be_between", {"column": "a", "max_value": 1}, e.QuantileInRange("a", 1.0, None, 1)),
            ("column_unique_value_count_to_be_between", {"column": "a", "min_value": 2}, e.DistinctInRange("a", 2)),
            (
                "column_proportion_of_non_null_values_to_be_between",
                {"column": "a", "min_value": 0.9, "max_value": 1},
                e.NotNull("a", 0.9),
            ),
            ("column_values_to_be_of_type", {"column": "a", "type_": "BIGINT"}, e.HasTypes({"a": "int64"})),
            (
                "column_values_to_be_in_type_list",
                {"column": "a", "type_list": ["str", "TEXT"]},
                e.HasTypes({"a": "string"}),
            ),
            ("column_values_to_be_increasing", {"column": "a", "strictly": True}, e.Increasing("a", strict=True)),
            ("column_pair_values_to_be_equal", {"column_A": "a", "column_B": "b"}, e.Compare("a", "==", "b")),
        ],
    )
    def test_each_has_its_equal(self, kind: str, kwargs: dict[str, Any], expected: e.Expectation) -> None:
        assert made(kind, **kwargs) == (expected,)

    @pytest.mark.parametrize(("or_equal", "operator"), [(True, ">="), (False, ">"), (None, ">")])
    def test_a_pair_is_compared(self, or_equal: bool | None, operator: e.Operator) -> None:
        taken = take("column_pair_values_a_to_be_greater_than_b", column_A="a", column_B="b", or_equal=or_equal)
        assert taken.expectations == (e.Compare("a", operator, "b"),)
        assert taken.notes == ("Two columns are compared only in rows that have both.",)

    def test_an_ordered_list_is_two_expectations(self) -> None:
        names = ("b", "a")
        assert made("table_columns_to_match_ordered_list", column_list=["b", "a"]) == (
            e.HasColumns(names, only=True),
            e.ColumnOrder(names),
        )

    def test_quantiles_are_one_each_and_not_interpolated(self) -> None:
        ranges = {"quantiles": [0.1, 0.5], "value_ranges": [[1, None], [None, 9]]}
        taken = take("column_quantile_values_to_be_between", column="a", quantile_ranges=ranges)
        assert taken.expectations == (e.QuantileInRange("a", 0.1, 1), e.QuantileInRange("a", 0.5, None, 9))
        assert len(taken.notes) == 1

    def test_a_query_sees_the_rows_under_their_name(self, session: Session) -> None:
        held = {
            "type": "unexpected_rows_expectation",
            "kwargs": {"unexpected_rows_query": "SELECT * FROM {batch} WHERE x > 1"},
        }
        (asked,) = read(json.dumps({"expectations": [held]}), "rows").expectations
        assert examine(session, "rows", pa.table({"x": [1, 2, 3]}), [asked])[0].failures == 2

    @pytest.mark.parametrize(
        ("pattern", "text", "fits"),
        [("a%", "abc", True), ("a%", "bac", False), ("_b_", "abc", True), ("_b", "abc", False), ("a.c", "abc", False)],
    )
    def test_like_patterns_are_those_of_sql(self, session: Session, pattern: str, text: str, fits: bool) -> None:
        like = made("column_values_to_match_like_pattern", column="x", like_pattern=pattern)
        unlike = made("column_values_to_not_match_like_pattern", column="x", like_pattern=pattern)
        found = examine(session, "rows", pa.table({"x": [text]}), [*like, *unlike])
        assert [result.passed for result in found] == [fits, not fits]

    @pytest.mark.parametrize(("match_on", "fits"), [("any", [True, True, False]), ("all", [True, False, False])])
    def test_one_of_several_patterns_or_all(self, session: Session, match_on: str, fits: list[bool]) -> None:
        asked = made("column_values_to_match_regex_list", column="x", regex_list=["a", "b"], match_on=match_on)
        tables = [pa.table({"x": [text]}) for text in ("xaby", "xa", "c")]
        assert [all(one.passed for one in examine(session, "rows", table, asked)) for table in tables] == fits

    def test_a_column_that_is_never_missing_is_a_key_when_it_is_unique(self) -> None:
        sure = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "a"}}
        unique = {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "a"}}
        assert read(json.dumps({"expectations": [unique, sure]}), "rows").expectations == (
            e.Unique(("a",)),
            e.NotNull("a"),
        )
        for weak in (
            sure | {"severity": "warning"},
            sure | {"kwargs": {"column": "a", "mostly": 0.9}},
            sure | {"kwargs": 5},
        ):
            assert isinstance(read(json.dumps({"expectations": [unique, weak]}), "rows").expectations[0], e.NoRows)


class TestWhatHasNoEqual:
    @pytest.mark.parametrize(
        ("kind", "kwargs", "reason"),
        [
            ("column_values_to_be_between", {"column": "a"}, "it names no end"),
            (
                "column_values_to_be_between",
                {"column": "a", "min_value": 0, "row_condition": "x"},
                "conditions on rows",
            ),
            ("column_mean_to_be_between", {"column": "a", "min_value": 0, "strict_min": True}, "strict ends"),
            ("column_mean_to_be_between", {"column": "a", "min_value": {"$PARAMETER": "x"}}, "evaluated at run time"),
            ("column_max_to_be_between", {"column": "a", "max_value": "2013-01-01"}, "lowest and highest of numbers"),
            ("column_values_to_be_unique", {"column": "a", "mostly": 0.9}, "a share (mostly)"),
            (
                "compound_columns_to_be_unique",
                {"column_list": ["a"], "ignore_row_if": "any_value_is_missing"},
                "ignore_row_if",
            ),
            (
                "column_values_to_match_regex_list",
                {"column": "a", "regex_list": ["a"], "match_on": "all", "mostly": 0.5},
                "a share",
            ),
            ("column_to_exist", {"column": "a", "column_index": 0}, "the place of a column"),
            ("column_values_to_be_in_set", {"column": "a", "value_set": "x"}, "value_set is not a list"),
            ("column_values_to_be_in_set", {"column": "a", "value_set": [[1]]}, "value_set is not a list"),
            ("column_values_to_be_of_type", {"column": "a", "type_": "NUMERIC"}, "NUMERIC is not one type"),
            ("column_values_to_be_in_type_list", {"column": "a", "type_list": ["int", "str"]}, "int, str is not one"),
            ("column_values_to_be_in_type_list", {"column": "a"}, " is not one type"),
            (
                "column_proportion_of_non_null_values_to_be_between",
                {"column": "a", "max_value": 0.5},
                "a highest share",
            ),
            (
                "column_quantile_values_to_be_between",
                {"column": "a", "quantile_ranges": []},
                "quantile_ranges is not a mapping",
            ),
            ("table_row_count_to_equal", {"value": 1.5}, "1.5 is no whole number"),
            ("column_values_to_match_regex", {"column": "a", "regex": "(?<=a)b"}, "uses (?<="),
            ("column_kl_divergence_to_be_less_than", {"column": "a"}, "has no equal here"),
        ],
    )
    def test_is_listed_with_the_reason(self, kind: str, kwargs: dict[str, Any], reason: str) -> None:
        assert reason in why_not(kind, **kwargs)

    @pytest.mark.parametrize("ranges", [{"quantiles": [0.1, 0.5], "value_ranges": [[1, 2]]}, {"quantiles": [0.1]}])
    def test_quantiles_without_their_ranges_are_listed_whole(self, ranges: dict[str, Any]) -> None:
        assert "it is not as it should be" in why_not(
            "column_quantile_values_to_be_between", column="a", quantile_ranges=ranges
        )

    @pytest.mark.parametrize("text", ["{}", "[]", '{"expectations": {}}', '{"expectations": null}', "a: 1"])
    def test_a_file_without_a_list_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            read(text, "rows")

    def test_an_entry_that_is_none_is_listed_by_its_place(self) -> None:
        taken = read('{"expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "a"}}, 5]}', "rows")
        assert [left.what for left in taken.not_taken] == ["expectation 2"]
        assert taken.expectations == (e.HasColumns(("a",)),)


THERE = [
    e.NotNull("a", 0.9, "warning"),
    e.AllNull("a"),
    e.InRange("a", 0, 5, strict_minimum=True),
    e.InRange("a", None, "2013-01-01", 0.5),
    e.OneOf("a", ("x", 1, True)),
    e.NotOneOf("a", (0.5,)),
    e.Length("a", 1, 5),
    e.RowCount(1, 9, "warning"),
    e.HasColumns(("a", "b")),
    e.HasColumns(("a",), only=True),
    e.MeanInRange("a", 0.5),
    e.StdInRange("a", None, 2.5),
    e.SumInRange("a", 1, 2),
]


class TestThereAndBack:
    @pytest.mark.parametrize("expectation", THERE)
    def test_what_has_an_equal_comes_back_as_it_was(self, expectation: e.Expectation) -> None:
        assert read(write("rows", (expectation,)), "rows").expectations == (expectation,)

    @pytest.mark.parametrize("pattern", ["a+", "a|b", "", "é"])
    def test_patterns_mean_the_same_when_they_are_back(self, session: Session, pattern: str) -> None:
        suite = (e.Matches("x", pattern), e.NotMatches("x", f"z{pattern}"))
        back = read(write("rows", suite), "rows").expectations
        table = pa.table({"x": ["a", "aa", "b", "", "zé", "za", "ab", None]})
        before, after = (examine(session, "rows", table, asked) for asked in (suite, back))
        assert [one.at for one in before] == [one.at for one in after]

    @settings(max_examples=examples(60), deadline=None)
    @given(st.lists(st.sampled_from(sorted(kinds())).flatmap(lambda name: st.from_type(kinds()[name])), max_size=5))
    def test_nothing_is_left_out_in_silence(self, suite: list[Any]) -> None:
        written = json.loads(write("rows", tuple(suite)))
        assert len(written["expectations"]) + len(written["meta"]["not_exported"]) == len(suite)

    def test_a_suite_is_named_as_the_dataset_is(self) -> None:
        assert json.loads(write("flights", ()))["name"] == "flights"
