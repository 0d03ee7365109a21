"""Expectations that make no sense are refused by name, and say what would."""

from __future__ import annotations

import pytest

from everloop.datasets.entities import Column
from everloop.datasets.quality.expectations import (
    ColumnOrder,
    Compare,
    DistinctInRange,
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
    NoRows,
    NotNull,
    OneOf,
    QuantileInRange,
    References,
    RowCount,
    SchemaMatches,
    Unique,
)
from everloop.datasets.quality.refusals import require_columns
from everloop.kernel.errors import InvalidInput

COLUMNS = (
    Column("n", "int64"),
    Column("s", "string"),
    Column("f", "float64"),
    Column("at", "timestamp[us, tz=UTC]"),
    Column("day", "date32[day]"),
    Column("l", "list<item: int64>"),
    Column("time", "time64[us]"),
)


@pytest.mark.parametrize(
    ("expectation", "complaint"),
    [
        (NotNull("y"), "NotNull speaks of y, which flights does not have"),
        (Unique(()), "Unique speaks of no column"),
        (Unique(("n", "y")), "speaks of y"),
        (Unique(("n", "l")), "cannot be compared"),
        (Compare("n", "<", "y"), "speaks of y"),
        (Compare("n", "<", "s"), "int64 and string cannot be compared"),
        (NotNull("n", mostly=1.5), "NotNull of n: mostly is a share of rows, from 0 to 1"),
        (NotNull("n", mostly=-0.1), "from 0 to 1"),
        (InRange("n", 2, 1), "nothing lies between 2 and 1"),
        (InRange("at", "2014-01-01", "2013-01-01"), "nothing lies between 2014-01-01 and 2013-01-01"),
        (InRange("l", 0, 1), "no range"),
        (InRange("n", "soon"), "'soon' cannot be read as int64"),
        (InRange("at", "yesterday"), "'yesterday' cannot be read as timestamp"),
        (InRange("at", 5), "5 cannot be read as timestamp"),
        (InRange("time", "25:00"), "'25:00' cannot be read as time64"),
        (InRange("n", float("nan")), "nan cannot be read|nothing lies"),
        (OneOf("n", ("1", "one")), "'one' cannot be read as int64"),
        (OneOf("day", ("2013-02-30",)), "cannot be read as date32"),
        (RowCount(5, 4), "RowCount of flights: nothing lies between 5 and 4"),
        (Matches("s", "(unclosed"), r"the pattern '\(unclosed' is not a regular expression \(unclosed group\)"),
        (Matches("s", "(?=a)"), "look-around"),
        (Matches("f", "1"), "float64, which is no text"),
        (Length("n", 1), "no text"),
        (MeanInRange("s"), "MeanInRange of s: its type is string, which has no numbers"),
        (QuantileInRange("n", 1.5), "quantile 1.5 is not from 0 to 1"),
        (DistinctInRange("l", 1), "no values that can be compared"),
        (Increasing("l"), "no values that can be compared"),
        (Freshness("n", "1d"), "which is no time"),
        (Freshness("at", "soon"), "'soon' is not a duration"),
        (LikeHistory("mean", "s"), "no numbers"),
        (LikeHistory("nulls"), "LikeHistory speaks of "),
        (LikeHistory("rows", least=9, window=3), "least from 1 to window"),
        (LikeReference("s", "flights@1", "ks"), "use psi"),
        (References(("n", "s"), "other", ("k",)), "2 columns cannot refer to 1 keys"),
        (NoRows("  "), "there is no query"),
        (HasColumns(()), "names no column"),
        (ColumnOrder(()), "names no column"),
        (HasTypes({}), "names no column"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(expectation: Expectation, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        require_columns([expectation], COLUMNS, "flights")


def test_what_makes_sense_passes() -> None:
    fine: list[Expectation] = [
        NotNull("l"),
        InRange("n", 0),
        InRange("s", "a", "b"),
        InRange("at", "2013-01-01", "2014-01-01T12:30:00Z"),
        InRange("time", "08:00"),
        OneOf("n", ("1", 2, 3.0)),
        Matches("s", "a+"),
        Compare("at", ">=", "day"),
        Compare("n", "<", "f"),
        LikeHistory("rows"),
        RowCount(1),
        HasColumns(("gone",)),
        SchemaMatches("flights@1"),
    ]
    require_columns(fine, COLUMNS, "flights")


def test_the_hint_lists_the_columns() -> None:
    with pytest.raises(InvalidInput) as caught:
        require_columns([NotNull("y")], COLUMNS, "flights")
    assert caught.value.hint == "The columns of flights are n, s, f, at, day, l, time."
