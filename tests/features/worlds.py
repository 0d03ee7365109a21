"""Small made-up worlds for property tests: a source with every nuisance, a view of it, and rows that ask."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import pyarrow as pa
from hypothesis import strategies as st

from everloop.features.entities import Entity, Feature, FeatureView
from tests.conftest import START
from tests.features.reference import Row

AGGREGATIONS = ("mean", "sum", "count", "min", "max", "last", "std", "share")
TIME = pa.timestamp("us", "UTC")
SOURCE = pa.schema([("place", pa.string()), ("line", pa.int64()), ("happened", TIME), ("value", pa.float64())])
ROWS = pa.schema([("row", pa.int64()), ("at", TIME), ("place", pa.string()), ("line", pa.int64())])


class World(NamedTuple):
    """A view, the rows of its source, and rows to be joined."""

    view: FeatureView
    source: list[Row]
    rows: list[Row]


def moment(minute: float) -> datetime:
    """So many minutes after the start of the tests' time."""
    return START + timedelta(minutes=minute)


def source_table(rows: Sequence[Row]) -> pa.Table:
    """Source rows as a table."""
    return pa.Table.from_pylist(list(rows), schema=SOURCE)


def rows_table(rows: Sequence[Row]) -> pa.Table:
    """Asking rows as a table."""
    return pa.Table.from_pylist(list(rows), schema=ROWS)


places = st.sampled_from(["a", "b", "ä\0", None])
lines = st.sampled_from([1, 2, None])
times = st.integers(0, 12).map(moment)
values = st.one_of(
    st.none(), st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, allow_subnormal=False), st.just(float("nan"))
)
spans = st.sampled_from([1, 2, 3, 5, 8, 30]).map(lambda count: timedelta(minutes=count))


@st.composite
def views(draw: st.DrawFn) -> FeatureView:
    """A view with a plain feature and windows of every kind, or one without time."""
    keys = draw(st.sampled_from([("place",), ("line",), ("place", "line"), ("line", "place")]))
    plain = Feature("value", "value")
    if draw(st.integers(0, 5)) == 0:
        return FeatureView("v", Entity("thing", keys), "source", "", (plain,))
    overs = draw(st.lists(spans, min_size=1, max_size=3))
    windows = [Feature(f"w{at}", "value", draw(st.sampled_from(AGGREGATIONS)), over) for at, over in enumerate(overs)]
    ttl = draw(st.none() | st.sampled_from([0, 2, 5]).map(lambda count: timedelta(minutes=count)))
    delay = timedelta(minutes=draw(st.sampled_from([0, 0, 1, 4])))
    return FeatureView("v", Entity("thing", keys), "source", "happened", (plain, *windows), ttl, delay)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A view, a source with missing keys, times and values and with ties, and rows that ask at all moments."""
    row = st.fixed_dictionaries({"place": places, "line": lines, "happened": st.none() | times, "value": values})
    asking = st.fixed_dictionaries({"at": st.none() | times, "place": places | st.just("unseen"), "line": lines})
    source: list[Row] = list(draw(st.lists(row, max_size=24)))
    rows: list[Row] = [{"row": at, **ask} for at, ask in enumerate(draw(st.lists(asking, max_size=16)))]
    return World(draw(views()), source, rows)
