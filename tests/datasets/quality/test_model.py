"""Each expectation finds what a plain loop over the rows finds."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from everloop.datasets.quality.checks import Check, source_of
from everloop.datasets.quality.expectations import (
    AllNull,
    Compare,
    DistinctInRange,
    Expectation,
    Increasing,
    InRange,
    Length,
    Matches,
    MeanInRange,
    NotMatches,
    NotNull,
    NotOneOf,
    OneOf,
    Operator,
    QuantileInRange,
    References,
    RowCount,
    StdInRange,
    SumInRange,
    Unique,
)
from everloop.kernel.clock import EPOCH
from tests.datasets.quality.around import ENGINE, Around, as_parquet, checked, in_parts, outcome, plain
from tests.examples import examples

MOMENTS = st.integers(-(10**15), 4 * 10**15).map(lambda us: EPOCH + timedelta(microseconds=us))
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5)),
    "uint8": (pa.uint8(), st.integers(0, 255)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1) | st.integers(0, 5)),
    "float64": (pa.float64(), st.floats() | st.integers(-5, 5).map(float)),
    "float32": (pa.float32(), st.floats(width=32) | st.integers(-5, 5).map(float)),
    "bool": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.text(max_size=4) | st.sampled_from(["a", "b", "é", "ab", ""])),
    "decimal": (pa.decimal128(9, 2), st.integers(-500, 500).map(lambda cents: Decimal(cents) / 100)),
    "date": (pa.date32(), st.dates(date(1960, 1, 1), date(2100, 1, 1))),
    "timestamp": (pa.timestamp("us", "UTC"), MOMENTS),
    "naive": (pa.timestamp("ms"), MOMENTS.map(lambda at: at.replace(tzinfo=None, microsecond=0))),
}


def columns(kind: str, **sizes: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | KINDS[kind][1], max_size=sizes.get("most", 30))


def table(kind: str, values: list[Any]) -> pa.Table:
    return pa.table({"x": pa.array(values, KINDS[kind][0])})


def missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def written(value: Any) -> Any:
    """A value as an expectation names it."""
    return value.isoformat() if isinstance(value, date) else float(value) if isinstance(value, Decimal) else value


def counted(values: list[Any], fails: Callable[[Any], bool]) -> tuple[int, int]:
    there = [value for value in values if not missing(value)]
    return sum(map(fails, there)), len(there)


every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
@settings(max_examples=examples(25), deadline=None)
@given(st.data())
def test_missing_values_are_counted(kind: str, data: st.DataObject) -> None:
    values = data.draw(columns(kind))
    gone = sum(map(missing, values))
    assert outcome(table(kind, values), NotNull("x"))[1:] == (gone, len(values))
    assert outcome(table(kind, values), AllNull("x"))[1:] == (len(values) - gone, len(values))


@every_kind
@settings(max_examples=examples(40), deadline=None)
@given(st.data())
def test_ranges_are_those_of_python(kind: str, data: st.DataObject) -> None:
    values, strict = data.draw(columns(kind)), (data.draw(st.booleans()), data.draw(st.booleans()))
    ends = sorted(data.draw(st.lists(KINDS[kind][1].filter(lambda v: not missing(v)), min_size=2, max_size=2)))
    low, high = (None if data.draw(st.integers(0, 4)) == 0 else end for end in ends)

    def outside(value: Any) -> bool:
        below = low is not None and (value <= low if strict[0] else value < low)
        return below or (high is not None and (value >= high if strict[1] else value > high))

    bounds = [None if end is None else written(end) for end in (low, high)]
    asked = InRange("x", *bounds, strict_minimum=strict[0], strict_maximum=strict[1])
    assert outcome(table(kind, values), asked)[1:] == counted(values, outside)


@every_kind
@settings(max_examples=examples(30), deadline=None)
@given(st.data())
def test_sets_are_those_of_python(kind: str, data: st.DataObject) -> None:
    values = data.draw(columns(kind))
    pool = [value for value in values if not missing(value)] + [
        data.draw(KINDS[kind][1].filter(lambda v: not missing(v)))
    ]
    known = data.draw(st.lists(st.sampled_from(pool), max_size=4))
    asked = tuple(map(written, known))
    assert outcome(table(kind, values), OneOf("x", asked))[1:] == counted(values, lambda value: value not in known)
    assert outcome(table(kind, values), NotOneOf("x", asked))[1:] == counted(values, lambda value: value in known)


@settings(max_examples=examples(60), deadline=None)
@given(columns("text"), st.sampled_from(["a", "a|b", "[a-c]*", "", "é", "a.", "(ab)+"]))
def test_patterns_are_those_of_python(values: list[str | None], pattern: str) -> None:
    assert outcome(table("text", values), Matches("x", pattern))[1:] == counted(
        values, lambda value: re.fullmatch(pattern, value) is None
    )
    assert outcome(table("text", values), NotMatches("x", pattern))[1:] == counted(
        values, lambda value: re.search(pattern, value) is not None
    )


@settings(max_examples=examples(40), deadline=None)
@given(columns("text"), st.integers(-1, 3), st.none() | st.integers(3, 5))
def test_lengths_count_characters(values: list[str | None], low: int, high: int | None) -> None:
    outside = lambda value: len(value) < low or (high is not None and len(value) > high)  # noqa: E731
    assert outcome(table("text", values), Length("x", low, high))[1:] == counted(values, outside)


OPERATIONS: dict[Operator, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
}


@pytest.mark.parametrize(
    ("left", "right"),
    [("float64", "float64"), ("text", "text"), ("date", "timestamp"), ("naive", "timestamp"), ("uint8", "float64")],
)
@settings(max_examples=examples(40), deadline=None)
@given(st.data())
def test_columns_are_compared_row_by_row(left: str, right: str, data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.tuples(st.none() | KINDS[left][1], st.none() | KINDS[right][1]), max_size=20))
    sign = data.draw(st.sampled_from(list(OPERATIONS)))
    rows = pa.table(
        {
            "a": pa.array([one for one, _ in pairs], KINDS[left][0]),
            "b": pa.array([other for _, other in pairs], KINDS[right][0]),
        }
    )
    judged = [(moment(one), moment(other)) for one, other in pairs if not missing(one) and not missing(other)]
    wrong = sum(not OPERATIONS[sign](*pair) for pair in judged)
    assert outcome(rows, Compare("a", sign, "b"))[1:] == (wrong, len(judged))


def moment(value: Any) -> Any:
    """Days and times without a zone are in UTC."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else value


def alike(value: Any) -> Any:
    return None if missing(value) else value


@every_kind
@settings(max_examples=examples(25), deadline=None)
@given(st.data())
def test_rows_beyond_the_first_are_not_unique(kind: str, data: st.DataObject) -> None:
    values = data.draw(columns(kind))
    seen: set[Any] = set()
    again = [n for n, value in enumerate(map(alike, values)) if value in seen or seen.add(value)]  # type: ignore[func-returns-value]
    result = checked(table(kind, values), Unique(("x",)))
    assert (result.failures, result.rows) == (len(again), len(values))
    assert set(result.at) <= set(again)


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([0, 1, None])), max_size=12))
def test_compound_keys_are_unique_together(rows: list[tuple[str | None, int | None]]) -> None:
    both = pa.table({"a": pa.array([a for a, _ in rows], pa.string()), "b": pa.array([b for _, b in rows], pa.int8())})
    assert outcome(both, Unique(("a", "b")))[1] == sum(Counter(rows).values()) - len(set(rows))


@every_kind
@settings(max_examples=examples(20), deadline=None)
@given(st.data())
def test_different_values_are_counted(kind: str, data: st.DataObject) -> None:
    values = data.draw(columns(kind))
    distinct = len({value for value in values if not missing(value)})
    assert outcome(table(kind, values), DistinctInRange("x", distinct, distinct))[0]
    assert not outcome(table(kind, values), DistinctInRange("x", distinct + 1))[0]


@every_kind
@settings(max_examples=examples(20), deadline=None)
@given(st.data())
def test_a_fall_is_found_across_missing_values(kind: str, data: st.DataObject) -> None:
    values, strict = data.draw(columns(kind)), data.draw(st.booleans())
    there = [value for value in values if not missing(value)]
    falls = sum(b <= a if strict else b < a for a, b in itertools.pairwise(there))
    assert outcome(table(kind, values), Increasing("x", strict=strict))[1:] == (falls, len(there))


@settings(max_examples=examples(40), deadline=None)
@given(columns("uint8"), st.lists(st.none() | st.integers(0, 255), max_size=20))
def test_references_are_looked_up(values: list[int | None], keys: list[int | None]) -> None:
    around = Around({"planes": pa.table({"k": pa.array(keys, pa.int64())})})
    expected = counted(values, lambda value: value not in keys)
    assert outcome(table("uint8", values), References(("x",), "planes", ("k",)), around)[1:] == expected


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.none() | st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf]), max_size=40))
def test_statistics_are_of_the_finite_numbers(values: list[float | None]) -> None:
    finite = np.array([value for value in values if value is not None and math.isfinite(value)])
    rows = table("float64", values)
    found = {kind: checked(rows, kind("x")).observed for kind in (MeanInRange, StdInRange, SumInRange)}
    assert float(found[SumInRange]) == pytest.approx(finite.sum() if len(finite) else 0.0, rel=1e-5, abs=1e-6)
    if len(finite) == 0:
        assert found[MeanInRange] == found[StdInRange] == "no value"
        return
    assert float(found[MeanInRange]) == pytest.approx(finite.mean(), rel=1e-5, abs=1e-6)
    if len(finite) > 1:
        assert float(found[StdInRange]) == pytest.approx(finite.std(ddof=1), rel=1e-4, abs=1e-5)


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.none() | st.integers(-100, 100), max_size=40), st.floats(0, 1))
def test_quantiles_are_those_of_numpy(values: list[int | None], share: float) -> None:
    there = [value for value in values if value is not None]
    result = checked(table("int64", values), QuantileInRange("x", share))
    expected = float(np.quantile(there, share, method="inverted_cdf")) if there else None
    assert result.observed == ("no value" if expected is None else f"{expected:.6g}")


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.floats(0, 1))
def test_mostly_is_the_share_that_must_pass(good: int, bad: int, mostly: float) -> None:
    rows = pa.table({"x": pa.array([1] * good + [None] * bad, pa.int64())})
    passed = checked(rows, NotNull("x", mostly)).passed
    assert passed is (bad <= (1 - mostly) * (good + bad) + 1e-9)


SUITE: list[Expectation] = [
    NotNull("a", mostly=0.5),
    AllNull("a"),
    InRange("a", -1, 1, strict_maximum=True),
    OneOf("a", (0, 1, 2)),
    MeanInRange("a", -1, 1),
    StdInRange("a", 0, 1),
    NotNull("s"),
    OneOf("s", ("a", "b")),
    NotOneOf("s", ("é",)),
    Matches("s", "[a-z]*"),
    Length("s", 1, 2),
    InRange("s", "a", "b"),
    Compare("a", "<=", "b"),
    InRange("b", 0),
    Unique(("s", "b")),
    RowCount(1),
]
ROWS = st.lists(
    st.tuples(
        st.none() | st.floats(-3, 3) | st.just(math.nan),
        st.none() | st.sampled_from(["a", "b", "é", "abc", ""]),
        st.none() | st.integers(-3, 3),
    ),
    max_size=40,
)


def three_columns(rows: list[tuple[float | None, str | None, int | None]]) -> pa.Table:
    a, s, b = ([row[n] for row in rows] for n in range(3))
    return pa.table({"a": pa.array(a, pa.float64()), "s": pa.array(s, pa.string()), "b": pa.array(b, pa.int64())})


@settings(max_examples=examples(50), deadline=None)
@given(ROWS)
def test_one_pass_finds_what_one_by_one_does(rows: list[tuple[float | None, str | None, int | None]]) -> None:
    together = Check(ENGINE, source_of(three_columns(rows)), Around()).run(SUITE)
    assert [plain(result) for result in together] == [plain(checked(three_columns(rows), one)) for one in SUITE]


@settings(max_examples=examples(50), deadline=None)
@given(ROWS, st.lists(st.integers(0, 40), max_size=3))
def test_parts_add_up_to_the_whole(rows: list[tuple[float | None, str | None, int | None]], cuts: list[int]) -> None:
    source = in_parts(three_columns(rows), [min(cut, len(rows)) for cut in cuts])
    results = Check(ENGINE, source, Around()).run(SUITE)
    for result, one in zip(results, SUITE, strict=True):
        whole = checked(three_columns(rows), one)
        assert plain(result)[:5] == plain(whole)[:5]


CANCELS: list[tuple[float | None, str | None, int | None]] = [
    (tenths / 10, "a", None) for tenths in (-1, -1, 2, 1, 1, -1, -2, 1, 1, 2, -2, -1, -1, -1, 2, -2, -2, 1, -2, 1)
] + [(tenths / 10, "b", 1) for tenths in (-1, -1, 1, 2, -1, 2, 2)]
"""Row groups of seven add up to a mean of -3e-18, one batch to nothing."""


@pytest.mark.parametrize("ours", [True, False])
@settings(max_examples=examples(25), deadline=None)
@given(rows=ROWS)
@example(rows=CANCELS)
def test_parquet_fares_as_the_table_in_it(
    rows: list[tuple[float | None, str | None, int | None]], ours: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "model.parquet"
    results = Check(ENGINE, as_parquet(three_columns(rows), path, rows=7, ours=ours), Around()).run(SUITE)
    assert [plain(one) for one in results] == [plain(checked(three_columns(rows), one)) for one in SUITE]


def test_long_columns_are_counted_batch_by_batch() -> None:
    n = 300_000
    many = pa.table({"x": pa.array(np.arange(n) % 1000), "s": pa.array([f"v{i % 77_777}" for i in range(n)])})
    assert outcome(many, InRange("x", 1))[1:] == (300, n)
    assert outcome(many, Matches("s", "v[0-9]{1,4}"))[1] == sum(i % 77_777 > 9_999 for i in range(n))
    assert checked(many, InRange("x", maximum=998)).at[0] == 999


def test_spans_of_time_have_ranges_too() -> None:
    spans = pa.table({"x": pa.array([timedelta(hours=1), timedelta(hours=3), None], pa.duration("s"))})
    assert outcome(spans, InRange("x", maximum="2h"))[1:] == (1, 2)
    clock = pa.table({"x": pa.array([0, 8 * 3600, 20 * 3600], pa.time32("s"))})
    assert outcome(clock, InRange("x", "07:30", "21:00"))[1:] == (1, 3)
