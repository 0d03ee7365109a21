"""What is known already is what reading the rows again would find."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.backends.engines.columnprofile import profiled as counted
from everloop.datasets.entities import ColumnProfile
from everloop.datasets.quality.engine import (
    Finding,
    Measure,
    Moments,
    MomentsOf,
    Newest,
    NewestOf,
    Part,
    Tally,
    merged,
)
from everloop.datasets.quality.expectations import (
    AllNull,
    DistinctInRange,
    InRange,
    Length,
    NotNull,
    NotOneOf,
    OneOf,
    QuantileInRange,
)
from everloop.datasets.quality.figures import of_profile, whole_of_profile
from everloop.datasets.quality.plan import measure_key
from tests.datasets.quality.around import ENGINE
from tests.datasets.quality.test_model import KINDS, columns, every_kind, missing, table, written
from tests.examples import examples


def profiled(rows: pa.Table) -> ColumnProfile:
    (found,) = counted(rows)[0].columns
    return found


def measured(rows: pa.Table, asked: Measure) -> object:
    (found,) = ENGINE.measure(Part("", rows.num_rows, lambda _: rows), [asked])
    return found


def same(one: object, other: object) -> bool:
    if isinstance(one, Moments) and isinstance(other, Moments):
        figures = ((getattr(one, name), getattr(other, name)) for name in one.__struct_fields__)
        return all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-3) for a, b in figures)
    return one == other


@every_kind
@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_a_profile_answers_as_the_rows_would(kind: str, data: st.DataObject) -> None:
    values = data.draw(columns(kind))
    ends = sorted(data.draw(st.lists(KINDS[kind][1].filter(lambda v: not missing(v)), min_size=2, max_size=2)))
    low, high = map(written, ends)
    rows = table(kind, values)
    asked: list[Measure] = [
        NotNull("x"),
        AllNull("x"),
        InRange("x", low, high),
        InRange("x", low, strict_minimum=True),
        InRange("x", maximum=high, strict_maximum=True),
        OneOf("x", (low, high)),
        NotOneOf("x", (low,)),
    ]
    asked += [Length("x", 1, 2)] if kind == "text" else []
    asked += [NewestOf("x")] if kind in ("date", "timestamp", "naive") else []
    small = kind in ("uint8", "bool", "decimal")
    asked += [MomentsOf("x")] if small else []
    for one in asked:
        known = of_profile(one, profiled(rows))
        assert known is None or same(known, measured(rows, one)), one


@pytest.mark.parametrize(
    ("rows", "asked", "figure"),
    [
        (pa.table({"x": [1, 5, None]}), InRange("x", 0, 10), Tally(2, 0)),
        (pa.table({"x": [1, 5, None]}), InRange("x", 2, 10), None),
        (pa.table({"x": ["a", "b", "b"]}), OneOf("x", ("a",)), Tally(3, 2)),
        (pa.table({"x": list("abcdef")}), OneOf("x", ("a",)), None),
        (pa.table({"x": [1.0, math.inf]}), MomentsOf("x"), None),
        (pa.table({"x": [2**60, 0]}), InRange("x", 0, 2**60), None),
        (pa.table({"x": pa.array([None], pa.date32())}), NewestOf("x"), Newest(None)),
    ],
)
def test_only_what_is_exact_is_answered(rows: pa.Table, asked: Measure, figure: object) -> None:
    assert of_profile(asked, profiled(rows)) == figure


def test_distinct_values_and_usual_quantiles_stand_in_a_profile() -> None:
    column = profiled(pa.table({"x": [1, 2, 2, None]}))
    assert whole_of_profile(DistinctInRange("x"), column) == Finding(3, observed=2)
    assert whole_of_profile(QuantileInRange("x", 0.5), column) == Finding(3, observed=2.0)
    assert whole_of_profile(QuantileInRange("x", 0.51), column) is None


def test_share_and_severity_do_not_change_what_is_counted() -> None:
    assert measure_key(NotNull("x", 0.9, "warning")) == measure_key(NotNull("x"))
    assert measure_key(OneOf("x", (1,))) != measure_key(OneOf("x", (True,)))


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.lists(st.floats(-1e9, 1e9), max_size=10), min_size=1, max_size=5))
def test_moments_merge_in_any_order(parts: list[list[float]]) -> None:
    def of(values: list[float]) -> Any:
        return measured(pa.table({"x": pa.array(values, pa.float64())}), MomentsOf("x"))

    figures = [of(values) for values in parts]
    whole = of([value for values in parts for value in values])
    for found in (merged(figures), merged(figures[::-1])):
        assert isinstance(found, Moments)
        assert found.count == whole.count
        assert math.isclose(found.mean, whole.mean, rel_tol=1e-9, abs_tol=1e-3)
        assert math.isclose(found.squares, whole.squares, rel_tol=1e-6, abs_tol=1e3)
