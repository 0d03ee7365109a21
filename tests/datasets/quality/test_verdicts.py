"""Verdicts: what figures say about expectations, without a table."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.datasets.entities import Column
from everloop.datasets.quality import verdicts
from everloop.datasets.quality.checks import Source
from everloop.datasets.quality.engine import (
    Finding,
    Measured,
    Moments,
    MomentsOf,
    Newest,
    NewestOf,
    Part,
    Tally,
    merged,
)
from everloop.datasets.quality.expectations import (
    ColumnOrder,
    DistinctInRange,
    Expectation,
    Freshness,
    HasColumns,
    HasTypes,
    LikeHistory,
    LikeReference,
    MeanInRange,
    NoRows,
    NotNull,
    QuantileInRange,
    RowCount,
    SchemaMatches,
    StdInRange,
    SumInRange,
    Unique,
)
from tests.datasets.quality.around import Around

NOTHING: tuple[tuple[str, ...], tuple[int, ...]] = ((), ())
FINITE = st.floats(-1e9, 1e9)


def moments(*values: float) -> Moments:
    """The figure of some numbers."""
    mean = sum(values) / len(values)
    return Moments(len(values), sum(values), mean, sum((value - mean) ** 2 for value in values))


def passes(expectation: Expectation, figure: Measured, around: Around | None = None) -> bool:
    return verdicts.of_figure(expectation, figure, 100, around or Around()).passed


class TestShares:
    @pytest.mark.parametrize(
        ("mostly", "failures", "passed"),
        [(1.0, 0, True), (1.0, 1, False), (0.9, 10, True), (0.9, 11, False), (0.0, 100, True), (0.7, 30, True)],
    )
    def test_so_many_rows_may_fail(self, mostly: float, failures: int, passed: bool) -> None:
        assert verdicts.of_tally(NotNull("x", mostly), Tally(100, failures)).passed is passed

    def test_what_fails_is_told_as_a_share(self) -> None:
        assert verdicts.of_tally(NotNull("x"), Tally(8, 1)).observed == "12.500% fail"
        assert verdicts.of_tally(NotNull("x"), Tally(8, 0)).observed == ""

    def test_of_no_rows_none_fails(self) -> None:
        assert verdicts.of_tally(NotNull("x"), Tally(0, 0)).passed

    def test_a_query_may_find_its_share_of_the_rows(self) -> None:
        lax = NoRows("SELECT 1", mostly=0.5)
        assert verdicts.of_query(lax, 5, 10, ("a",)).sample == ("a",)
        assert [verdicts.of_query(lax, found, 10, ()).passed for found in (5, 6)] == [True, False]

    @given(st.integers(0, 1000), st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1))
    def test_who_demands_less_is_never_harder_to_please(self, good: int, bad: int, one: float, two: float) -> None:
        tally = Tally(good + bad, bad)
        lax, strict = (verdicts.of_tally(NotNull("x", share), tally).passed for share in sorted((one, two)))
        assert lax or not strict


class TestMoments:
    @pytest.mark.parametrize(
        ("expectation", "passed"),
        [
            (MeanInRange("x", 2, 2), True),
            (MeanInRange("x", 2.1), False),
            (MeanInRange("x", None, 1.9), False),
            (MeanInRange("x"), True),
            (SumInRange("x", 6, 6), True),
            (SumInRange("x", 6.1), False),
            (StdInRange("x", 1, 1), True),
            (StdInRange("x", None, 0.9), False),
        ],
    )
    def test_both_ends_are_inside(self, expectation: Expectation, passed: bool) -> None:
        assert passes(expectation, moments(1, 2, 3)) is passed

    def test_without_numbers_there_is_no_mean_and_no_deviation_but_a_sum(self) -> None:
        assert not passes(MeanInRange("x"), Moments())
        assert not passes(StdInRange("x"), moments(5))
        assert passes(SumInRange("x", 0, 0), Moments())

    def test_the_deviation_is_that_of_a_sample(self) -> None:
        found = verdicts.of_figure(StdInRange("x"), moments(2, 4, 4, 4, 5, 5, 7, 9), 8, Around())
        assert found.observed == f"{math.sqrt(32 / 7):.6g}"

    def test_a_mean_that_rounding_moved_still_meets_its_end(self) -> None:
        tenths = moments(*[0.1] * 10)
        assert tenths.mean < 0.1
        assert passes(MeanInRange("x", 0.1), tenths)
        assert passes(SumInRange("x", 1.0), tenths)

    def test_what_rounding_leaves_of_nothing_is_told_as_nothing(self) -> None:
        left = Moments(20, 6.9e-17, -3.5e-18, 0.2)
        for kind in (MeanInRange, SumInRange):
            assert verdicts.of_figure(kind("x", 0, 0), left, 20, Around()).observed == "0"

    def test_a_small_mean_of_small_numbers_is_told_as_it_is(self) -> None:
        assert verdicts.of_figure(MeanInRange("x"), moments(1e-300, 3e-300), 2, Around()).observed == "2e-300"

    def test_rounding_excuses_nothing_that_can_be_seen(self) -> None:
        assert not passes(MeanInRange("x", 0.1), moments(*[0.1 - 1e-12] * 10))

    @pytest.mark.parametrize("mean", [math.inf, math.nan])
    def test_numbers_too_large_to_add_up_fail_every_end(self, mean: float) -> None:
        huge = Moments(2, mean, mean, math.inf)
        assert not passes(MeanInRange("x", None, 1e308), huge)
        assert not passes(SumInRange("x", None, 1e308), huge)

    @given(st.lists(FINITE, min_size=1, max_size=20), st.data())
    def test_the_order_of_parts_changes_no_verdict(self, values: list[float], data: st.DataObject) -> None:
        shuffled = data.draw(st.permutations([moments(value) for value in values]))
        cut = data.draw(st.integers(1, len(values)))
        whole, pieces = merged(shuffled), merged([merged(shuffled[:cut]), *shuffled[cut:]])
        end = math.fsum(values) / len(values)
        for figure in (whole, pieces, moments(*values)):
            assert passes(MeanInRange("x", end, end), figure)

    def test_figures_of_different_kinds_do_not_add_up(self) -> None:
        with pytest.raises(TypeError, match="different kinds"):
            merged([Tally(1, 0), Moments()])

    def test_nothing_has_a_figure_of_each_kind(self) -> None:
        assert verdicts.nothing(MomentsOf("x")) == Moments()
        assert verdicts.nothing(NewestOf("x")) == Newest()
        assert verdicts.nothing(NotNull("x")) == Tally(0, 0)

    def test_a_figure_that_does_not_belong_to_an_expectation_is_a_fault_of_ours(self) -> None:
        with pytest.raises(TypeError, match="is not judged by"):
            passes(MeanInRange("x"), Tally(1, 0))


class TestFreshness:
    @pytest.mark.parametrize(("hours", "passed"), [(0, True), (2, True), (3, False), (-5, True)])
    def test_the_newest_row_is_young_enough(self, hours: int, passed: bool) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        newest = Newest((int(now.timestamp()) - hours * 3600) * 10**9)
        assert passes(Freshness("at", "2h"), newest, Around(time=now)) is passed

    def test_without_a_row_nothing_is_fresh(self) -> None:
        found = verdicts.of_figure(Freshness("at", "2h"), Newest(), 0, Around())
        assert (found.passed, found.observed) == (False, "no value")

    def test_when_and_how_old_is_told(self) -> None:
        at = int(datetime(2025, 12, 31, 22, tzinfo=UTC).timestamp()) * 10**9
        found = verdicts.of_figure(Freshness("at", "1h"), Newest(at), 9, Around())
        assert found.observed == "2025-12-31T22:00:00+00:00, 2:00:00 old"

    @given(st.lists(st.none() | st.integers(-(2**62), 2**62), min_size=1))
    def test_the_newest_of_parts_is_the_newest_of_all(self, moments: list[int | None]) -> None:
        known = [moment for moment in moments if moment is not None]
        assert merged([Newest(moment) for moment in moments]) == Newest(max(known, default=None))


class TestHistory:
    asked = LikeHistory("mean", "x", threshold=3.5, least=4)

    def test_too_short_a_history_judges_nobody(self) -> None:
        found = verdicts.of_figure(self.asked, moments(1e9), 1, Around(before=[1, 2, 3]))
        assert found.passed
        assert found.observed.endswith("3 earlier versions are too few to judge by")

    @pytest.mark.parametrize(("mean", "passed"), [(10, True), (12.0, True), (17, False), (-40, False)])
    def test_an_outlier_among_earlier_versions_fails(self, mean: float, passed: bool) -> None:
        assert passes(self.asked, moments(mean), Around(before=[10, 11, 9, 10, 12])) is passed

    def test_where_all_agreed_so_must_the_next(self) -> None:
        same = Around(before=[5.0] * 6)
        assert passes(self.asked, moments(5), same)
        assert not passes(self.asked, moments(5.0001), same)

    def test_without_a_value_there_is_nothing_like_before(self) -> None:
        found = verdicts.of_figure(self.asked, Moments(), 3, Around(before=[1, 2, 3, 4]))
        assert (found.passed, found.observed) == (False, "no value")

    def test_the_share_of_missing_values_has_a_history_too(self) -> None:
        nulls = LikeHistory("nulls", "x")
        before = Around(before=[0.1, 0.11, 0.09, 0.1])
        assert passes(nulls, Tally(100, 10), before)
        assert not passes(nulls, Tally(100, 60), before)
        assert passes(nulls, Tally(0, 0), Around(before=[0.0] * 4))

    def test_and_the_deviation(self) -> None:
        std = LikeHistory("std", "x")
        assert passes(std, moments(0, 2), Around(before=[1.4, 1.5, 1.3, 1.4]))
        assert not passes(std, moments(0, 20), Around(before=[1.4, 1.5, 1.3, 1.4]))

    @given(FINITE, st.lists(FINITE, min_size=1, max_size=9))
    def test_a_score_is_never_negative_and_the_median_has_none(self, value: float, before: list[float]) -> None:
        from statistics import median

        assert verdicts.robust_score(value, before) >= 0
        assert verdicts.robust_score(median(before), before) == 0


class TestWholes:
    def test_a_quantile_lies_in_its_range(self) -> None:
        found = verdicts.of_finding(QuantileInRange("x", 0.5, 1, 2), Finding(9, observed=2.0), Around(), NOTHING, "")
        assert (found.passed, found.failures, found.rows, found.observed) == (True, 0, 9, "2")

    def test_a_count_of_values_is_told_with_its_thousands(self) -> None:
        asked = DistinctInRange("x", 1, 10)
        found = verdicts.of_finding(asked, Finding(2000, observed=1500), Around(), NOTHING, "")
        assert (found.passed, found.failures, found.observed) == (False, 1, "1,500")

    def test_a_difference_names_what_it_was_compared_with(self) -> None:
        asked = LikeReference("x", "flights@1", maximum=0.2)
        found = verdicts.of_finding(asked, Finding(9, observed=0.3), Around(), NOTHING, "flights@1")
        assert (found.passed, found.reference) == (False, "flights@1")

    def test_rows_that_fail_are_shown(self) -> None:
        sample = (("a", "b"), (4, 7))
        found = verdicts.of_finding(Unique(("x",)), Finding(9, 2, (4, 7)), Around(), sample, "")
        assert (found.passed, found.failures, found.sample, found.at) == (False, 2, ("a", "b"), (4, 7))

    def test_the_number_of_values_has_a_history(self) -> None:
        asked = LikeHistory("distinct", "x")
        around = Around(before=[3, 3, 4, 3])
        assert not verdicts.of_finding(asked, Finding(9, observed=900), around, NOTHING, "").passed


class TestShape:
    columns = (Column("id", "int64"), Column("name", "string"), Column("at", "date32[day]"))
    source = Source(columns, (Part("", 7, lambda _: b""), Part("", 5, lambda _: b"")))

    def judged(self, expectation: Expectation, around: Around | None = None) -> tuple[bool, int, str]:
        found = verdicts.of_shape(expectation, self.source, around or Around())
        return found.passed, found.failures, found.observed

    @pytest.mark.parametrize(
        ("expectation", "told"),
        [
            (RowCount(12, 12), "12"),
            (HasColumns(("at", "id")), ""),
            (HasColumns(("at", "id", "name"), only=True), ""),
            (ColumnOrder(("id", "at")), ""),
            (HasTypes({"id": "int64", "at": "date32[day]"}), ""),
        ],
    )
    def test_what_is_so_passes(self, expectation: Expectation, told: str) -> None:
        assert self.judged(expectation) == (True, 0, told)

    @pytest.mark.parametrize(
        ("expectation", "failures", "told"),
        [
            (RowCount(13), 1, "12"),
            (RowCount(0, 11), 1, "12"),
            (HasColumns(("id", "x", "y")), 2, "no x; no y"),
            (HasColumns(("id", "x"), only=True), 3, "no x; also name; also at"),
            (ColumnOrder(("at", "id")), 1, "id, at"),
            (ColumnOrder(("id", "x")), 1, "id"),
            (HasTypes({"id": "int32", "x": "string"}), 2, "id is int64; x is not there"),
        ],
    )
    def test_what_is_not_so_is_named(self, expectation: Expectation, failures: int, told: str) -> None:
        assert self.judged(expectation) == (False, failures, told)

    def test_five_faults_are_enough_to_name(self) -> None:
        _, failures, told = self.judged(HasColumns(tuple("abcdefg")))
        assert (failures, told) == (7, "no a; no b; no c; no d; no e")

    @pytest.mark.parametrize(
        ("names", "told"),
        [
            ({"id": "int64", "name": "string", "at": "date32[day]"}, ""),
            ({"id": "int64", "at": "date32[day]", "name": "string"}, "order: id, name, at"),
            ({"id": "int32", "name": "string", "at": "date32[day]"}, "no id int32; also id int64"),
            ({"id": "int64"}, "also name string; also at date32[day]"),
        ],
    )
    def test_a_schema_is_names_types_and_their_order(self, names: dict[str, str], told: str) -> None:
        import pyarrow as pa

        types = {"int64": pa.int64(), "int32": pa.int32(), "string": pa.string(), "date32[day]": pa.date32()}
        other = pa.table({name: pa.array([], types[kind]) for name, kind in names.items()})
        found = verdicts.of_shape(SchemaMatches("old"), self.source, Around({"old": other}))
        assert (found.passed, found.observed, found.reference) == (not told, told, "old@1")

    def test_the_number_of_rows_has_a_history(self) -> None:
        rows = LikeHistory("rows")
        assert self.judged(rows, Around(before=[11, 12, 13, 12]))[0]
        assert not self.judged(rows, Around(before=[500, 510, 490, 505]))[0]

    def test_what_takes_rows_is_not_judged_by_a_shape(self) -> None:
        with pytest.raises(TypeError, match="shape of a table"):
            self.judged(NotNull("id"))


def test_what_cannot_be_judged_fails_and_says_why() -> None:
    found = verdicts.impossible(NotNull("x"), "there is no x")
    assert (found.passed, found.failures, found.rows, found.observed) == (False, 1, 0, "there is no x")


def test_a_result_is_told_its_cost_and_its_sample_and_stays_the_same_otherwise() -> None:
    found = verdicts.of_tally(NotNull("x"), Tally(9, 1))
    told = verdicts.shown(verdicts.timed(found, 0.5), ("a",), (3,))
    assert (told.seconds, told.sample, told.at, told.failures) == (0.5, ("a",), (3,), 1)
