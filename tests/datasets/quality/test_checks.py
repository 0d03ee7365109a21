"""Checks find what is wrong in data."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.datasets.entities import Column
from everloop.datasets.quality.checks import check_table, require_columns
from everloop.datasets.quality.entities import CheckResult
from everloop.datasets.quality.expectations import (
    Expectation,
    InRange,
    Matches,
    NotNull,
    OneOf,
    References,
    RowCount,
    Unique,
)
from everloop.kernel.errors import InvalidInput
from tests.examples import examples

PLANES = pa.table({"tail": ["N1", "N2", "N2", None], "site": ["A", "A", "B", "B"]})


def checked(table: pa.Table, expectation: Expectation) -> CheckResult:
    (result,) = check_table(table, [expectation], lambda wanted: PLANES.select(list(wanted.keys)))
    return result


def outcome(table: pa.Table, expectation: Expectation) -> tuple[bool, int, int]:
    result = checked(table, expectation)
    return result.passed, result.failures, result.rows


def column(*values: object) -> pa.Table:
    return pa.table({"x": list(values)})


class TestNotNull:
    def test_missing_values_are_counted(self) -> None:
        assert outcome(column("a", None, "b", None), NotNull("x")) == (False, 2, 4)

    def test_nan_is_missing(self) -> None:
        assert outcome(column(1.0, math.nan), NotNull("x")) == (False, 1, 2)

    @pytest.mark.parametrize(("mostly", "passed"), [(0.75, True), (0.76, False), (0.0, True)])
    def test_a_share_may_be_missing(self, mostly: float, passed: bool) -> None:
        assert checked(column(1, 2, 3, None), NotNull("x", mostly)).passed is passed


class TestInRange:
    def test_the_ends_are_inside(self) -> None:
        assert outcome(column(0, 5, 10), InRange("x", 0, 10)) == (True, 0, 3)

    def test_what_is_outside_is_counted_and_shown(self) -> None:
        result = checked(column(-1, 5, 11, 11), InRange("x", 0, 10))
        assert (result.failures, result.sample) == (3, ("-1", "11"))

    def test_missing_values_are_not_judged(self) -> None:
        assert outcome(column(1.0, None, math.nan), InRange("x", 0, 10)) == (True, 0, 1)

    @pytest.mark.parametrize(("expectation", "failures"), [(InRange("x", 0), 1), (InRange("x", maximum=0), 2)])
    def test_one_end_may_be_open(self, expectation: InRange, failures: int) -> None:
        assert checked(column(-1, 5, math.inf), expectation).failures == failures

    @settings(max_examples=examples(50), deadline=None)
    @given(st.lists(st.none() | st.floats(-100, 100)), st.floats(-50, 0), st.floats(0, 50))
    def test_it_counts_as_plain_python_does(self, values: list[float | None], low: float, high: float) -> None:
        result = checked(pa.table({"x": pa.array(values, pa.float64())}), InRange("x", low, high))
        present = [value for value in values if value is not None]
        assert (result.rows, result.failures) == (len(present), sum(not low <= value <= high for value in present))


class TestUnique:
    def test_surplus_rows_are_counted_and_shown(self) -> None:
        result = checked(column("a", "b", "a", "a"), Unique(("x",)))
        assert (result.passed, result.failures, result.sample) == (False, 2, ("a",))

    def test_several_columns_make_one_key(self) -> None:
        table = pa.table({"day": [1, 1, 2], "flight": [7, 8, 7]})
        assert outcome(table, Unique(("day", "flight"))) == (True, 0, 3)
        assert checked(table, Unique(("flight",))).failures == 1

    def test_rows_that_miss_the_same_are_twins(self) -> None:
        assert checked(column(None, None), Unique(("x",))).failures == 1

    @settings(max_examples=examples(50), deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b"]))))
    def test_it_counts_as_a_set_does(self, rows: list[tuple[int, str]]) -> None:
        kinds = pa.schema([("n", pa.int64()), ("s", pa.string())])
        table = pa.Table.from_pylist([{"n": n, "s": s} for n, s in rows], schema=kinds)
        assert checked(table, Unique(("n", "s"))).failures == len(rows) - len(set(rows))


class TestOneOf:
    def test_other_values_are_shown(self) -> None:
        result = checked(column("EWR", "QQQ", None), OneOf("x", ("EWR", "JFK")))
        assert (result.failures, result.rows, result.sample) == (1, 2, ("QQQ",))

    def test_numbers_are_compared_as_text(self) -> None:
        assert outcome(column(1, 2, 3), OneOf("x", ("1", "2"))) == (False, 1, 3)


class TestMatches:
    def test_the_whole_value_must_match(self) -> None:
        assert checked(column("N123", "xN123", "N123x", "N1\n"), Matches("x", "N[0-9]+")).failures == 3

    def test_alternatives_stay_inside_the_anchors(self) -> None:
        assert checked(column("a", "b", "ax"), Matches("x", "a|b")).failures == 1


class TestReferences:
    def test_values_without_a_key_are_found(self) -> None:
        result = checked(column("N1", "N9", None, "N2"), References(("x",), "planes", ("tail",)))
        assert (result.passed, result.failures, result.rows, result.sample) == (False, 1, 3, ("N9",))

    def test_several_columns_refer_together(self) -> None:
        table = pa.table({"t": ["N1", "N1"], "s": ["A", "B"]})
        assert checked(table, References(("t", "s"), "planes", ("tail", "site"))).sample == ("N1, B",)

    def test_a_key_that_stands_twice_does_not_count_twice(self) -> None:
        assert outcome(column("N2", "N2", "N2"), References(("x",), "planes", ("tail",))) == (True, 0, 3)

    def test_a_share_may_be_without(self) -> None:
        expectation = References(("x",), "planes", ("tail",), mostly=0.5)
        assert checked(column("N1", "N9"), expectation).passed
        assert not checked(column("N1", "N9", "N8"), expectation).passed

    def test_keys_of_another_type_are_refused(self) -> None:
        with pytest.raises(InvalidInput, match="another type"):
            checked(column(1, 2), References(("x",), "planes", ("tail",)))


class TestRowCount:
    @pytest.mark.parametrize(
        ("expectation", "passed"),
        [
            (RowCount(), True),
            (RowCount(3), True),
            (RowCount(4), False),
            (RowCount(0, 3), True),
            (RowCount(0, 2), False),
        ],
    )
    def test_rows_are_counted(self, expectation: RowCount, passed: bool) -> None:
        assert checked(column(1, 2, 3), expectation).passed is passed


EVERY: list[Expectation] = [
    NotNull("x"),
    InRange("x", 0, 1),
    Unique(("x",)),
    OneOf("x", ("1",)),
    Matches("x", "1"),
    RowCount(),
]


@pytest.mark.parametrize("expectation", EVERY, ids=lambda found: type(found).__name__)
@pytest.mark.parametrize("values", [[], [None, None]])
def test_a_column_without_values_has_nothing_to_fail_but_to_be_there(
    expectation: Expectation, values: list[None]
) -> None:
    table = pa.table({"x": pa.array(values, pa.int64())})
    failures = {NotNull: len(values), Unique: max(len(values) - 1, 0)}.get(type(expectation), 0)
    assert checked(table, expectation).failures == failures


class TestWhatCanBeExpected:
    COLUMNS = (Column("n", "int64"), Column("s", "string"))

    @pytest.mark.parametrize(
        ("expectation", "complaint"),
        [
            (NotNull("y"), "NotNull speaks of y"),
            (Unique(()), "no column"),
            (Unique(("n", "y")), "speaks of y"),
            (InRange("s", 0, 1), "no range of numbers"),
            (NotNull("n", mostly=1.5), "from 0 to 1"),
            (Matches("s", "(unclosed"), "not a regular expression"),
            (References(("n", "s"), "other", ("k",)), "cannot refer"),
        ],
    )
    def test_what_makes_no_sense_is_refused_by_name(self, expectation: Expectation, complaint: str) -> None:
        with pytest.raises(InvalidInput, match=complaint):
            require_columns([expectation], self.COLUMNS, "flights")

    def test_what_makes_sense_passes(self) -> None:
        require_columns([NotNull("s"), InRange("n", 0), Matches("s", "a+"), RowCount(1)], self.COLUMNS, "flights")
