"""What every check engine promises (`tests/datasets/quality/test_model.py` holds it to a plain loop, too)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everloop.app import backends
from everloop.datasets.quality.engine import (
    CheckEngine,
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
from everloop.datasets.quality.expectations import Compare, InRange, Matches, NotNull, Unique

TABLE = pa.table({"x": [1, 5, None, -2], "s": ["a", None, "b", "b"], "f": [0.5, float("nan"), 2.0, 1.0]})
MEASURES: list[Measure] = [
    NotNull("x"),
    InRange("x", 0, 4),
    Matches("s", "a"),
    Compare("x", ">", "f"),
    MomentsOf("f"),
]


@pytest.fixture(params=["polars"])
def engine(request: pytest.FixtureRequest) -> CheckEngine:
    opened: CheckEngine = backends.load("engines", request.param)()
    return opened


def part(table: pa.Table) -> Part:
    return Part("", table.num_rows, lambda columns: table.select(list(columns)))


class TestMeasures:
    def test_figures_come_in_the_order_of_the_measures(self, engine: CheckEngine) -> None:
        found = engine.measure(part(TABLE), MEASURES)
        assert found[:4] == [Tally(4, 1), Tally(3, 2), Tally(3, 2), Tally(2, 1)]
        assert found[4] == Moments(3, 3.5, pytest.approx(3.5 / 3), pytest.approx(7 / 6))

    def test_only_the_columns_that_are_needed_are_asked_for(self, engine: CheckEngine) -> None:
        asked: list[list[str]] = []

        def read(columns: object) -> pa.Table:
            asked.append(sorted(columns))  # type: ignore[call-overload]
            return TABLE

        engine.measure(Part("", 4, read), [NotNull("x"), InRange("x", 0)])
        assert asked == [["x"]]

    @pytest.mark.parametrize("as_bytes", [True, False])
    def test_parquet_may_be_bytes_or_a_path(self, engine: CheckEngine, as_bytes: bool, tmp_path: Path) -> None:
        path = tmp_path / "t.parquet"
        pq.write_table(TABLE, path, row_group_size=2)
        held = path.read_bytes() if as_bytes else path
        found = engine.measure(Part("", 4, lambda _: held), MEASURES)
        assert found[:4] == engine.measure(part(TABLE), MEASURES)[:4]

    def test_figures_of_parts_merge_into_those_of_the_whole(self, engine: CheckEngine) -> None:
        parts = [engine.measure(part(TABLE.slice(n, 1)), MEASURES) for n in range(4)]
        together = [merged(figures) for figures in zip(*parts, strict=True)]
        whole = engine.measure(part(TABLE), MEASURES)
        assert together[:4] == whole[:4]
        assert together[4] == Moments(3, 3.5, pytest.approx(3.5 / 3), pytest.approx(7 / 6))

    def test_no_rows_have_figures_of_nothing(self, engine: CheckEngine) -> None:
        found = engine.measure(part(TABLE.slice(0, 0)), [*MEASURES])
        assert found == [Tally(0, 0)] * 4 + [Moments()]

    def test_the_newest_is_told_in_nanoseconds(self, engine: CheckEngine) -> None:
        days = pa.table({"d": pa.array([1, None, 3], pa.date32())})
        assert engine.measure(part(days), [NewestOf("d")]) == [Newest(3 * 86_400 * 10**9)]

    def test_a_footer_that_is_not_ours_is_not_believed(self, engine: CheckEngine, tmp_path: Path) -> None:
        path = tmp_path / "t.parquet"
        pq.write_table(pa.table({"x": [1, 2, 30]}), path)
        honest = path.read_bytes()
        lying = honest.replace((30).to_bytes(8, "little"), (3).to_bytes(8, "little"))
        at = honest.index((30).to_bytes(8, "little"))
        mixed = honest[: at + 8] + lying[at + 8 :]  # The rows say 30; statistics may say 3.
        (found,) = engine.measure(Part("", 3, lambda _: mixed), [InRange("x", 0, 10)])
        assert found == Tally(3, 1)


class TestRows:
    def test_failing_rows_are_the_first_with_their_places(self, engine: CheckEngine) -> None:
        rows, table = engine.failing(part(TABLE), Matches("s", "a"), 1)
        assert (rows, table.to_pydict()) == ([2], {"s": ["b"]})

    def test_there_may_be_none(self, engine: CheckEngine) -> None:
        rows, table = engine.failing(part(TABLE), InRange("x", -10), 5)
        assert (rows, table.num_rows) == ([], 0)


class TestWholes:
    def test_twins_are_found_wherever_they_stand(self, engine: CheckEngine) -> None:
        rows = pa.table({"x": np.concatenate([np.arange(100_000), [7, 99_999]])})
        assert engine.whole(rows, Unique(("x",)), None, 5) == Finding(100_002, 2, (100_000, 100_001))

    def test_a_column_that_grows_has_none(self, engine: CheckEngine) -> None:
        assert engine.whole(pa.table({"x": np.arange(1000)}), Unique(("x",)), None, 5) == Finding(1000)
