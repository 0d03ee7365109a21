"""Checks find what is wrong in data, and show it."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from everloop.datasets.quality.checks import Check, source_of
from everloop.datasets.quality.expectations import (
    AllNull,
    ColumnOrder,
    Compare,
    Difference,
    Expectation,
    Freshness,
    HasColumns,
    HasTypes,
    Increasing,
    InRange,
    Length,
    LikeHistory,
    LikeReference,
    Matches,
    MeanInRange,
    Metric,
    NoRows,
    NotMatches,
    NotNull,
    NotOneOf,
    OneOf,
    QuantileInRange,
    References,
    RowCount,
    SchemaMatches,
    StdInRange,
    SumInRange,
    Unique,
)
from everloop.datasets.quality.verdicts import robust_score
from everloop.kernel.errors import InvalidInput
from tests.datasets.quality.around import ENGINE, Around, checked, outcome

PLANES = pa.table({"tail": ["N1", "N2", "N2", None], "site": ["A", "A", "B", "B"]})
AROUND = Around({"planes": PLANES})


def column(*values: object) -> pa.Table:
    return pa.table({"x": list(values)})


class TestShape:
    TABLE = pa.table({"id": [1], "at": ["x"], "late": [1.5]})

    @pytest.mark.parametrize(
        ("expectation", "failures"),
        [
            (HasColumns(("id", "late")), 0),
            (HasColumns(("id", "gate")), 1),
            (HasColumns(("id", "late"), only=True), 1),
            (HasColumns(("late", "at", "id"), only=True), 0),
            (ColumnOrder(("id", "late")), 0),
            (ColumnOrder(("late", "id")), 1),
            (ColumnOrder(("id", "gate")), 1),
            (HasTypes({"id": "int64", "late": "float64"}), 0),
            (HasTypes({"id": "string", "gate": "int64"}), 2),
        ],
    )
    def test_columns_types_and_order_are_compared(self, expectation: Expectation, failures: int) -> None:
        result = checked(self.TABLE, expectation)
        assert (result.failures, result.passed) == (failures, failures == 0)

    def test_what_differs_is_named(self) -> None:
        assert checked(self.TABLE, HasTypes({"id": "string", "gate": "int64"})).sample == (
            "id is int64",
            "gate is not there",
        )

    def test_a_schema_is_that_of_another_version(self) -> None:
        around = Around({"flights": self.TABLE, "other": self.TABLE.select(["at", "id", "late"])})
        assert checked(self.TABLE, SchemaMatches("flights@1"), around).passed
        result = checked(self.TABLE, SchemaMatches("other"), around)
        assert (result.observed, result.reference) == ("order: id, at, late", "other@1")
        assert checked(self.TABLE.drop_columns(["id"]), SchemaMatches("flights@1"), around).observed == "no id int64"

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


class TestValues:
    @pytest.mark.parametrize(
        ("table", "expectation", "found"),
        [
            (column("a", None, "b", None), NotNull("x"), (False, 2, 4)),
            (column(1.0, math.nan), NotNull("x"), (False, 1, 2)),
            (column(None, None, 1), AllNull("x", mostly=0.5), (True, 1, 3)),
            (column(0, 5, 10), InRange("x", 0, 10), (True, 0, 3)),
            (column(0, 5, 10), InRange("x", 0, 10, strict_minimum=True, strict_maximum=True), (False, 2, 3)),
            (column(1, 2), InRange("x", maximum=1.5), (False, 1, 2)),
            (column(1, None), InRange("x"), (True, 0, 1)),
            (column(2**62, -(2**62)), InRange("x", maximum=2**70), (True, 0, 2)),
            (column(0.5, math.inf), InRange("x", maximum=math.inf), (True, 0, 2)),
            (column("a", "c"), InRange("x", "a", "c", strict_maximum=True), (False, 1, 2)),
            (column(1, 2, None), OneOf("x", ("1", 3.0)), (False, 1, 2)),
            (column(1, 2), OneOf("x", (1.5,)), (False, 2, 2)),
            (column(True, False), OneOf("x", (True,)), (False, 1, 2)),
            (column("NA", "x"), NotOneOf("x", ("NA", "?")), (False, 1, 2)),
            (column("a", "b", "ax"), Matches("x", "a|b"), (False, 1, 3)),
            (column(12, 7), Matches("x", "[0-9]"), (False, 1, 2)),
            (column("a@b", "ab"), NotMatches("x", "@"), (False, 1, 2)),
            (column("日本", "abc"), Length("x", 1, 2), (False, 1, 2)),
            (column(1, None, 2, 2), Increasing("x"), (True, 0, 3)),
            (column(1, None, 2, 2), Increasing("x", strict=True), (False, 1, 3)),
        ],
    )
    def test_what_fails_is_counted_among_what_is_judged(
        self, table: pa.Table, expectation: Expectation, found: tuple[bool, int, int]
    ) -> None:
        assert outcome(table, expectation) == found

    def test_a_year_is_a_range_of_times(self) -> None:
        at = [
            datetime(2012, 12, 31, 23, tzinfo=UTC),
            datetime(2013, 1, 1, tzinfo=UTC),
            datetime(2014, 1, 1, tzinfo=UTC),
        ]
        year = InRange("x", "2013-01-01", "2014-01-01", strict_maximum=True)
        assert checked(pa.table({"x": pa.array(at, pa.timestamp("us", "UTC"))}), year).at == (0, 2)

    def test_two_columns_are_compared_where_both_have_a_value(self) -> None:
        rows = pa.table({"a": [1, 5, None, 2], "b": [2.0, 4.0, 1.0, None]})
        result = checked(rows, Compare("a", "<=", "b"))
        assert (result.failures, result.rows, result.sample, result.at) == (1, 2, ("5, 4.0",), (1,))

    def test_nested_values_can_only_be_there_or_not(self) -> None:
        assert outcome(pa.table({"x": [[1], None]}), NotNull("x")) == (False, 1, 2)
        assert "no range" in checked(pa.table({"x": [[1]]}), InRange("x", 0)).observed

    @pytest.mark.parametrize("kind", [pa.decimal256(40, 2), pa.map_(pa.string(), pa.int8()), pa.binary(), pa.null()])
    def test_types_that_nothing_computes_with_have_missing_values(self, kind: pa.DataType) -> None:
        assert outcome(pa.table({"x": pa.array([None, None], kind)}), NotNull("x")) == (False, 2, 2)


class TestSamples:
    def test_the_first_different_rows_are_shown_with_their_numbers(self) -> None:
        result = checked(column(-1, 5, 11, 11, 12, 13, 14, 15), InRange("x", 0, 10))
        assert (result.failures, result.sample) == (7, ("-1", "11", "12", "13", "14"))
        assert result.at == (0, 2, 4, 5, 6)

    def test_rows_that_are_tolerated_are_shown_too(self) -> None:
        result = checked(column(1, 99), InRange("x", 0, 10, mostly=0.5))
        assert (result.passed, result.sample) == (True, ("99",))

    def test_twins_are_shown_without_the_first(self) -> None:
        result = checked(pa.table({"a": [1, 1, 2, 1], "b": ["x", "x", "x", "x"]}), Unique(("a", "b")))
        assert (result.failures, result.sample, result.at) == (2, ("1, x",), (1,))

    def test_rows_of_later_parts_are_numbered_through(self) -> None:
        from tests.datasets.quality.around import in_parts

        source = in_parts(column(1, 2, -3, 4, -5), [2, 4])
        (result,) = Check(ENGINE, source, AROUND).run([InRange("x", 0)])
        assert (result.sample, result.at) == (("-3", "-5"), (2, 4))

    def test_every_failing_row_can_be_had(self) -> None:
        check = Check(ENGINE, source_of(pa.table({"x": [1, None, 1, -4], "t": ["N1", "N9", None, "N2"]})), AROUND)
        assert check.failing(NotNull("x")) == [1]
        assert check.failing(Unique(("x",))) == [2]
        assert check.failing(References(("t",), "planes", ("tail",))) == [1]
        assert check.failing(MeanInRange("x", 0)) == check.failing(NotNull("gone")) == []


class TestReferences:
    def test_values_without_a_key_are_found(self) -> None:
        result = checked(column("N1", "N9", None, "N2"), References(("x",), "planes", ("tail",)), AROUND)
        assert (result.passed, result.failures, result.rows, result.sample) == (False, 1, 3, ("N9",))
        assert (result.at, result.reference) == ((1,), "planes@1")

    def test_several_columns_refer_together(self) -> None:
        table = pa.table({"t": ["N1", "N1"], "s": ["A", "B"]})
        assert checked(table, References(("t", "s"), "planes", ("tail", "site")), AROUND).sample == ("N1, B",)

    def test_a_share_may_be_without(self) -> None:
        expectation = References(("x",), "planes", ("tail",), mostly=0.5)
        assert checked(column("N1", "N9"), expectation, AROUND).passed
        assert not checked(column("N1", "N9", "N8"), expectation, AROUND).passed

    def test_keys_of_another_type_are_refused(self) -> None:
        with pytest.raises(InvalidInput, match="another type"):
            checked(column(1, 2), References(("x",), "planes", ("tail",)), AROUND)


class TestQueries:
    def test_a_query_finds_the_rows_that_are_wrong(self) -> None:
        result = checked(pa.table({"a": [1, 2], "b": [3, 1]}), NoRows("SELECT * FROM flights WHERE a > b"))
        assert (result.passed, result.failures, result.rows, result.sample) == (False, 1, 2, ("2, 1",))
        assert checked(column(1, 2), NoRows("SELECT * FROM flights WHERE x > 1", mostly=0.5)).passed

    @pytest.mark.parametrize("sql", ["SELEC", "SELECT * FROM others", "SELECT * FROM read_csv('/etc/passwd')"])
    def test_a_query_that_is_wrong_or_reaches_further_fails_and_says_why(self, sql: str) -> None:
        result = checked(column(1), NoRows(sql))
        assert (result.passed, result.failures) == (False, 1)
        assert "The SQL cannot run" in result.observed


class TestStatistics:
    @pytest.mark.parametrize(
        ("expectation", "observed", "passed"),
        [
            (MeanInRange("x", 2, 3), "2.5", True),
            (MeanInRange("x", 2.6), "2.5", False),
            (StdInRange("x", maximum=1.2), "1.29099", False),
            (SumInRange("x", 10, 10), "10", True),
            (QuantileInRange("x", 0.5, maximum=2), "2", True),
            (QuantileInRange("x", 1.0, maximum=3), "4", False),
        ],
    )
    def test_what_was_observed_is_told(self, expectation: Expectation, observed: str, passed: bool) -> None:
        result = checked(column(1.0, 2.0, 3.0, 4.0, None, math.nan, math.inf), expectation)
        assert (result.observed, result.passed) == (observed, passed)

    @pytest.mark.parametrize("expectation", [MeanInRange("x"), StdInRange("x"), QuantileInRange("x", 0.5)])
    def test_a_figure_of_no_values_lies_nowhere(self, expectation: Expectation) -> None:
        result = checked(pa.table({"x": pa.array([None], pa.float64())}), expectation)
        assert (result.passed, result.observed) == (False, "no value")


class TestFreshness:
    AT = pa.table({"x": pa.array([datetime(2025, 12, 31, 20, tzinfo=UTC), None], pa.timestamp("ms", "UTC"))})

    @pytest.mark.parametrize(("within", "passed"), [("4h", True), ("3h 59m", False), ("1d", True)])
    def test_the_newest_value_is_compared_with_the_clock(self, within: str, passed: bool) -> None:
        result = checked(self.AT, Freshness("x", within))
        assert (result.passed, result.observed) == (passed, "2025-12-31T20:00:00+00:00, 4:00:00 old")

    def test_no_value_is_not_fresh(self) -> None:
        assert not checked(self.AT.slice(1), Freshness("x", "100d")).passed


class TestHistory:
    @pytest.mark.parametrize(
        ("metric", "passed"), [("rows", True), ("nulls", False), ("distinct", True), ("mean", True), ("std", False)]
    )
    def test_a_figure_is_judged_by_those_before_it(self, metric: Metric, passed: bool) -> None:
        before = {"rows": 5, "nulls": 0.0, "distinct": 4, "mean": 2.5, "std": 40.0}[metric]
        around = Around(before=[before, before * 1.01, before * 0.99, before])
        assert checked(column(1, 2, 3, 4, None), LikeHistory(metric, "x"), around).passed is passed

    def test_a_robust_score_is_not_moved_by_one_outlier(self) -> None:
        assert robust_score(10.5, [10, 10.2, 9.8, 10.1, 1000]) < 3.5 < robust_score(30, [10, 10.2, 9.8, 10.1, 1000])

    def test_where_all_agree_so_must_the_next(self) -> None:
        assert robust_score(10, [10, 10, 10]) == 0
        assert robust_score(10.001, [10, 10, 10]) == math.inf

    def test_too_few_versions_judge_nothing(self) -> None:
        result = checked(column(1), LikeHistory("rows"), Around(before=[1000.0] * 3))
        assert (result.passed, "too few" in result.observed) == (True, True)


class TestLikeness:
    GENERATOR = np.random.default_rng(5)
    NUMBERS = pa.table({"x": GENERATOR.normal(size=5000)})
    SHIFTED = pa.table({"x": GENERATOR.normal(1.0, size=5000)})
    TEXTS = pa.table({"x": ["a"] * 700 + ["b"] * 300})

    @pytest.mark.parametrize("measure", ["psi", "ks", "total_variation", "cramers_v"])
    def test_a_column_that_has_moved_is_unlike_its_reference(self, measure: Difference) -> None:
        asked = LikeReference("x", "before", measure, maximum=0.15)
        assert checked(self.NUMBERS, asked, Around({"before": self.NUMBERS.slice(2500)})).passed
        result = checked(self.SHIFTED, asked, Around({"before": self.NUMBERS}))
        assert (result.passed, result.reference) == (False, "before@1")

    def test_the_kolmogorov_smirnov_distance_is_scipys(self) -> None:
        from scipy.stats import ks_2samp

        asked = LikeReference("x", "before", "ks", maximum=1)
        found = checked(self.SHIFTED, asked, Around({"before": self.NUMBERS})).observed
        assert float(found) == pytest.approx(ks_2samp(self.SHIFTED["x"], self.NUMBERS["x"]).statistic, abs=1e-5)

    def test_cramers_v_is_that_of_scipys_table(self) -> None:
        from scipy.stats.contingency import association

        there = pa.table({"x": ["a"] * 500 + ["b"] * 400 + ["c"] * 100})
        found = checked(self.TEXTS, LikeReference("x", "before", "cramers_v"), Around({"before": there})).observed
        assert float(found) == pytest.approx(association(np.array([[700, 300, 0], [500, 400, 100]])), abs=1e-5)

    def test_half_the_sum_of_the_differences_is_the_share_that_moved(self) -> None:
        there = pa.table({"y": ["a"] * 500 + ["b"] * 400 + [None] * 100})
        asked = LikeReference("x", "served", "total_variation", reference_column="y")
        assert checked(self.TEXTS, asked, Around({"served": there})).observed == "0.2"

    def test_psi_is_the_sum_over_classes(self) -> None:
        there = pa.table({"x": ["a"] * 500 + ["b"] * 500})
        expected = (0.7 - 0.5) * math.log(0.7 / 0.5) + (0.3 - 0.5) * math.log(0.3 / 0.5)
        assert float(checked(self.TEXTS, LikeReference("x", "t"), Around({"t": there})).observed) == pytest.approx(
            expected, abs=1e-6
        )

    def test_missing_values_are_a_class_of_their_own(self) -> None:
        gone = pa.table({"x": pa.array([None] * 500 + list(range(500)), pa.float64())})
        full = pa.table({"x": pa.array(np.arange(1000) % 500, pa.float64())})
        assert not checked(gone, LikeReference("x", "t"), Around({"t": full})).passed

    def test_nothing_is_like_no_values(self) -> None:
        empty = pa.table({"x": pa.array([], pa.string())})
        assert checked(self.TEXTS, LikeReference("x", "t"), Around({"t": empty})).observed == "no value"


EVERY: list[Expectation] = [
    NotNull("x"),
    InRange("x", 0, 1),
    Unique(("x",)),
    OneOf("x", ("1",)),
    Matches("x", "1"),
    RowCount(),
    Increasing("x"),
]


@pytest.mark.parametrize("expectation", EVERY, ids=lambda found: type(found).__name__)
@pytest.mark.parametrize("values", [[], [None, None]])
def test_a_column_without_values_has_nothing_to_fail_but_to_be_there(
    expectation: Expectation, values: list[None]
) -> None:
    table = pa.table({"x": pa.array(values, pa.int64())})
    failures = {NotNull: len(values), Unique: max(len(values) - 1, 0)}.get(type(expectation), 0)
    assert checked(table, expectation).failures == failures


def test_what_cannot_be_judged_fails_and_the_rest_is_judged() -> None:
    results = Check(ENGINE, source_of(column("a")), AROUND).run([MeanInRange("x"), NotNull("y"), NotNull("x")])
    assert [result.passed for result in results] == [False, False, True]
    assert results[0].observed == "MeanInRange of x: its type is string, which has no numbers."
    assert results[1].observed == "NotNull speaks of y, which flights does not have."
