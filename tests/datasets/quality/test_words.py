"""Every expectation and every finding reads as a sentence."""

from __future__ import annotations

import msgspec
import pytest

from everloop.datasets.quality import expectations as e
from everloop.datasets.quality.entities import CheckResult
from everloop.datasets.quality.suitefile import kinds
from everloop.datasets.quality.words import finding_of, sentence_of

SENTENCES: list[tuple[e.Expectation, str]] = [
    (e.HasColumns(("a", "b")), "the columns are there: a, b"),
    (e.HasColumns(("a", "b"), only=True), "the columns are just there: a, b"),
    (e.ColumnOrder(("a", "b")), "the columns come in the order a, b"),
    (e.HasTypes({"a": "int64", "b": "string"}), "the types are a int64, b string"),
    (e.SchemaMatches("flights@1"), "the columns are those of flights@1"),
    (e.RowCount(), "there are any number of rows"),
    (e.RowCount(1000), "there are at least 1,000 rows"),
    (e.RowCount(0, 9), "there are at most 9 rows"),
    (e.RowCount(7, 7), "there are 7 rows"),
    (e.RowCount(7, 9), "there are from 7 to 9 rows"),
    (e.NotNull("a"), "a is never missing"),
    (e.NotNull("a", 0.9), "a is there in at least 90 % of the rows"),
    (e.AllNull("a"), "a is missing"),
    (e.InRange("a"), "a is anything"),
    (e.InRange("a", 0, 1_000_000), "a is from 0 to 1,000,000"),
    (e.InRange("a", 0.1), "a is at least 0.1"),
    (e.InRange("at", maximum="2013-01-01"), "at is at most 2013-01-01"),
    (e.InRange("a", 0, 9, strict_minimum=True), "a is more than 0 and at most 9"),
    (e.InRange("a", 0, 9, strict_maximum=True), "a is at least 0 and less than 9"),
    (e.InRange("a", 0, strict_minimum=True), "a is more than 0"),
    (e.InRange("a", None, 9, strict_maximum=True), "a is less than 9"),
    (e.OneOf("a", ("x", 1, True)), "a is one of x, 1, True"),
    (e.NotOneOf("a", ("x",)), "a is none of x"),
    (e.Matches("a", "[0-9]+"), "a has the form [0-9]+"),
    (e.NotMatches("a", "[0-9]+"), "a holds nowhere [0-9]+"),
    (e.Length("a", 1, 3), "a has from 1 to 3 characters"),
    (e.Length("a", 0, 3), "a has at most 3 characters"),
    (e.Length("a"), "a has any number of characters"),
    (e.Compare("a", ">=", "b"), "a >= b"),
    (e.Increasing("a"), "a never falls from row to row"),
    (e.Increasing("a", strict=True), "a always grows from row to row"),
    (e.Unique(("a", "b")), "no two rows agree in a, b"),
    (e.References(("a", "b"), "planes", ("k", "l")), "(a, b) stands in planes (k, l)"),
    (e.NoRows("SELECT 1"), "no row is found by SELECT 1"),
    (e.MeanInRange("a", 0, 1), "the mean of a is from 0 to 1"),
    (e.StdInRange("a", 0.5), "the deviation of a is at least 0.5"),
    (e.SumInRange("a", None, 10), "the sum of a is at most 10"),
    (e.QuantileInRange("a", 0.99, maximum=200), "quantile 0.99 of a is at most 200"),
    (e.DistinctInRange("a", 2, 4), "a has from 2 to 4 different values"),
    (e.Freshness("at", "2h"), "the newest at is no older than 2h"),
    (e.LikeHistory("rows"), "rows is no outlier among earlier versions"),
    (e.LikeHistory("mean", "a"), "mean of a is no outlier among earlier versions"),
    (e.LikeReference("a", "flights@1"), "a is distributed as in flights@1 (psi at most 0.2)"),
]


@pytest.mark.parametrize(("expectation", "told"), SENTENCES, ids=[told for _, told in SENTENCES])
def test_an_expectation_is_a_sentence(expectation: e.Expectation, told: str) -> None:
    assert sentence_of(expectation) == told


def test_every_kind_has_a_sentence_of_its_own() -> None:
    assert {type(expectation) for expectation, _ in SENTENCES} == set(kinds().values())


@pytest.mark.parametrize(
    ("mostly", "told"), [(0.5, "50 %"), (0.999, "99.9 %"), (0.99999, "99.999 %"), (1 / 3, "33.3333 %")]
)
def test_a_share_is_told_as_percent(mostly: float, told: str) -> None:
    assert sentence_of(e.OneOf("a", ("x",), mostly)) == f"a is one of x in at least {told} of the rows"


def test_of_a_long_list_the_first_six_are_told() -> None:
    assert sentence_of(e.OneOf("a", tuple(range(2006)))) == "a is one of 0, 1, 2, 3, 4, 5 and 2,000 more"
    assert sentence_of(e.OneOf("a", tuple(range(6)))).endswith("4, 5")


def test_severity_is_no_part_of_the_sentence() -> None:
    strict = e.NotNull("a")
    assert sentence_of(msgspec.structs.replace(strict, severity="warning")) == sentence_of(strict)


class TestFindings:
    def result(self, failures: int, rows: int, *sample: str, passed: bool = False) -> CheckResult:
        return CheckResult(e.NotNull("origin"), passed, failures, rows, sample)

    def test_what_passes_without_a_failure_is_told_as_what_was_expected(self) -> None:
        assert finding_of(self.result(0, 100, passed=True)) == "origin is never missing"

    def test_rows_that_fail_are_counted_and_shown(self) -> None:
        told = finding_of(self.result(3000, 100_000, "a", "b", "c", "d"))
        assert told == "origin is never missing: 3,000 of 100,000 rows fail, such as a, b, c"

    def test_failures_that_are_allowed_are_told_all_the_same(self) -> None:
        assert finding_of(self.result(3, 100, passed=True)) == "origin is never missing: 3 of 100 rows fail"

    @pytest.mark.parametrize("rows", [0, 1])
    def test_where_it_is_not_rows_that_fail_it_fails(self, rows: int) -> None:
        assert finding_of(self.result(1, rows)) == "origin is never missing: it fails"
