"""Any sequence of changes of rows against a plain list that is changed alike."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.datasets.content import read_table, snapshot_of
from everloop.datasets.entities import Snapshot
from tests.datasets.changes.conftest import parquet
from tests.examples import examples

KEYS = st.integers(0, 12)
CELLS = st.none() | st.sampled_from(["", "a", "NaN", "Zoë"]) | st.integers(0, 3).map(str)
ROWS = st.lists(st.tuples(KEYS, CELLS, st.none() | st.floats(width=16)), max_size=6)
UNIQUE = st.lists(st.tuples(KEYS, CELLS, st.none() | st.floats(width=16)), max_size=6, unique_by=lambda row: row[0])
STEPS = st.lists(
    st.tuples(st.just("append"), ROWS)
    | st.tuples(st.just("upsert"), UNIQUE)
    | st.tuples(st.just("delete_rows"), ROWS)
    | st.tuples(st.just("compact"), st.just([])),
    max_size=8,
)

Row = tuple[int, str | None, float | None]


def table_of(rows: list[Row]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    kinds = (pa.int64(), pa.string(), pa.float64())
    return pa.table(dict(zip(("id", "name", "x"), map(pa.array, columns, kinds), strict=True)))


def same(one: Row, other: Row) -> bool:
    return repr(one) == repr(other) or (one[:2] == other[:2] and one[2] == other[2])


def changed(rows: list[Row], verb: str, sent: list[Row]) -> list[Row]:
    """What a verb makes of rows, said as plainly as can be."""
    if verb == "append":
        return rows + sent
    if verb == "delete_rows":
        return [row for row in rows if row[0] not in {key for key, _, _ in sent}]
    for new in sent:
        known = [row for row in rows if row[0] == new[0]]
        if not (len(known) == 1 and same(known[0], new)):
            rows = [row for row in rows if row[0] != new[0]]
    here = {row[0] for row in rows}
    return rows + [new for new in sent if new[0] not in here]


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=ROWS, steps=STEPS)
def test_rows_are_those_of_the_model_in_its_order(platform: Platform, start: list[Row], steps: Any) -> None:
    name = f"t{len(platform.call('datasets.list', {}))}"

    def call(verb: str, rows: list[Row]) -> Snapshot:
        arguments: dict[str, Any] = {"name": name}
        if verb != "compact":
            sent = table_of(rows)
            digest = platform.resources.store.put(parquet(sent))
            arguments |= {"digest": digest, "format": "parquet"}
        if verb in ("upsert", "delete_rows"):
            arguments["keys"] = ["id"]
        made: Snapshot = platform.call(f"datasets.{verb}", arguments)
        return made

    call("commit", start)
    model = start
    for verb, rows in steps:
        made = call(verb, rows)
        model = changed(model, verb, rows)
        assert repr(read_table(platform.session(), made).to_pylist()) == repr(table_of(model).to_pylist())
        assert made.rows == len(model)
    assert snapshot_of(platform.session(), name).rows == len(model)
