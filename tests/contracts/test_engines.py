"""What every table engine promises."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.app import backends
from everloop.backends.engines import duckdb as duckdb_engine
from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import QUANTILES
from everloop.datasets.sketches import profile_from
from everloop.kernel.errors import InvalidInput, Refused
from tests.examples import examples

NUMBERS = st.lists(st.none() | st.floats(-1e6, 1e6) | st.integers(-1000, 1000).map(float), min_size=1, max_size=200)


def opened(name: str) -> TableEngine:
    found: TableEngine = backends.load("engines", name)()
    return found


@pytest.fixture(params=["duckdb"])
def engine(request: pytest.FixtureRequest) -> TableEngine:
    return opened(request.param)


class TestQueries:
    def test_sql_reaches_the_tables_it_is_given(self, engine: TableEngine) -> None:
        tables = {"a": pa.table({"k": [1, 2], "x": [10, 20]}), "b": pa.table({"k": [2, 3], "y": ["two", "three"]})}
        joined = engine.query("SELECT x, y FROM a JOIN b USING (k)", tables)
        assert joined.to_pydict() == {"x": [20], "y": ["two"]}

    def test_the_same_query_gives_the_same_rows_in_the_same_order(self, engine: TableEngine) -> None:
        generator = np.random.default_rng(1)
        table = pa.table({"k": generator.integers(0, 5000, 200_000), "x": generator.normal(size=200_000)})
        sql = "SELECT k, sum(x) AS total FROM t GROUP BY k"
        assert engine.query(sql, {"t": table}).equals(engine.query(sql, {"t": table}))

    def test_types_and_missing_values_survive(self, engine: TableEngine) -> None:
        table = pa.table(
            {
                "n": pa.array([1, None], pa.int64()),
                "s": ["a", None],
                "t": pa.array([datetime(2013, 1, 1, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
            }
        )
        assert engine.query("SELECT * FROM t", {"t": table}).equals(table)

    def test_days_begin_at_midnight_in_utc_wherever_the_machine_stands(
        self, engine: TableEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TZ", "America/New_York")
        at = pa.array([datetime(2013, 1, 1, 2, tzinfo=UTC)], pa.timestamp("us", "UTC"))
        days = engine.query("SELECT date_trunc('day', moment) AS day FROM t", {"t": pa.table({"moment": at})})
        assert days["day"].cast(pa.string()).to_pylist() == ["2013-01-01 00:00:00.000000Z"]

    @pytest.mark.parametrize("sql", ["SELEC 1", "SELECT nothing FROM t", "SELECT * FROM elsewhere", ""])
    def test_wrong_sql_is_refused_with_the_tables_there_are(self, engine: TableEngine, sql: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.query(sql, {"t": pa.table({"x": [1]})})
        assert "t" in caught.value.hint or "SELECT" in caught.value.hint

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT * FROM read_csv('{path}')",
            "SELECT * FROM '{path}'",
            "SELECT * FROM read_text('{path}')",
            "SELECT * FROM glob('/*')",
            "COPY (SELECT 1) TO '{path}.copy'",
            "ATTACH '{path}.db'",
            "INSTALL httpfs",
            "SET enable_external_access = true; SELECT * FROM read_text('{path}')",
            "SET lock_configuration = false",
            "SELECT * FROM secret_of_this_process",
        ],
    )
    def test_sql_reaches_nothing_else(self, engine: TableEngine, sql: str, tmp_path: Path) -> None:
        path = tmp_path / "secret.csv"
        path.write_text("a,b\n1,2\n")
        secret_of_this_process = pa.table({"x": [1]})
        with pytest.raises(InvalidInput):
            engine.query(sql.format(path=path), {})
        assert secret_of_this_process.num_rows == 1
        assert [found.name for found in tmp_path.iterdir()] == ["secret.csv"]

    def test_nothing_is_kept_from_one_query_to_the_next(self, engine: TableEngine) -> None:
        engine.query("CREATE TABLE left_over AS SELECT 1 AS x", {})
        with pytest.raises(InvalidInput):
            engine.query("SELECT * FROM left_over", {})


def test_sql_without_an_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_engine, "LONGEST", 0.3)
    endless = "SELECT sum(a.range * b.range) FROM range(1000000000) a, range(10000) b"
    with pytest.raises(Refused, match=r"0\.3 seconds"):
        duckdb_engine.open_engine().query(endless, {})


class TestCsv:
    def test_types_are_found(self, engine: TableEngine) -> None:
        table = engine.read_csv(b"n,x,s,t,b\n1,1.5,a,2013-01-01T10:00:00Z,true\n")
        kinds = [str(field.type) for field in table.schema]
        assert kinds == ["int64", "double", "string", "timestamp[s, tz=UTC]", "bool"]

    def test_empty_and_na_are_missing_in_text_and_numbers(self, engine: TableEngine) -> None:
        table = engine.read_csv(b"n,s\n1,NA\nNA,b\n,\n")
        assert table.to_pydict() == {"n": [1, None, None], "s": [None, "b", None]}

    def test_na_in_quotes_is_namibia(self, engine: TableEngine) -> None:
        assert engine.read_csv(b'country\n"NA"\nNA\n').to_pydict() == {"country": ["NA", None]}

    def test_a_type_that_shows_only_megabytes_later_is_found(self, engine: TableEngine) -> None:
        table = engine.read_csv(b"n,s\n" + b"1,NA\n" * 500_000 + b"1.5,x\n")
        assert (str(table.schema.field("n").type), table["s"].null_count) == ("double", 500_000)
        assert table["s"][500_000].as_py() == "x"

    def test_leading_zeros_and_spaces_do_not_break_the_rest(self, engine: TableEngine) -> None:
        table = engine.read_csv(b'code,note\n007,"a, b"\n012,"line\nbreak"\n')
        assert table.num_rows == 2
        assert table["note"].to_pylist()[0] == "a, b"

    def test_a_header_alone_is_a_table_without_rows(self, engine: TableEngine) -> None:
        table = engine.read_csv(b"a,b\n")
        assert (table.num_rows, table.column_names) == (0, ["a", "b"])

    @pytest.mark.parametrize("data", [b"", b"a,b\n1\n", b"a,b\n1,2,3\n", b"s\nb\xe9b\xe9\n"])
    def test_what_is_no_csv_in_utf8_is_refused(self, engine: TableEngine, data: bytes) -> None:
        with pytest.raises(InvalidInput):
            engine.read_csv(data)


class TestProfiles:
    @settings(max_examples=examples(60), deadline=None)
    @given(NUMBERS)
    def test_statistics_of_numbers_are_those_of_numpy(self, values: list[float | None]) -> None:
        (column,) = opened("duckdb").profile(pa.table({"x": pa.array(values, pa.float64())})).columns
        present = np.array([value for value in values if value is not None])
        assert (column.count, column.nulls) == (len(values), len(values) - len(present))
        assert column.distinct == len(np.unique(present))
        if len(present) == 0:
            assert (column.minimum, column.mean, column.quantiles) == (None, None, ())
            return
        assert (column.minimum, column.maximum) == (present.min(), present.max())
        assert column.mean == pytest.approx(present.mean(), rel=1e-9, abs=1e-6)
        assert list(column.quantiles) == list(np.quantile(present, QUANTILES, method="inverted_cdf"))
        if len(present) > 1:
            assert column.std == pytest.approx(present.std(ddof=1), rel=1e-6, abs=1e-6)

    def test_nan_is_missing_and_infinity_is_said_but_not_averaged(self, engine: TableEngine) -> None:
        table = pa.table({"x": [1.0, 3.0, math.nan, math.inf, None]})
        (column,) = engine.profile(table).columns
        assert (column.nulls, column.distinct, column.mean) == (2, 3, 2.0)
        assert (column.minimum, column.maximum) == (1.0, "inf")

    def test_zero_is_one_value_whatever_its_sign(self, engine: TableEngine) -> None:
        (column,) = engine.profile(pa.table({"x": [0.0, -0.0, 1.0]})).columns
        assert (column.distinct, column.top) == (2, (("0.0", 2), ("1.0", 1)))

    def test_text_has_its_range_and_its_most_frequent_values(self, engine: TableEngine) -> None:
        (column,) = engine.profile(pa.table({"s": ["b", "a", "b", None, "c"]})).columns
        assert (column.type, column.nulls, column.distinct) == ("string", 1, 3)
        assert (column.minimum, column.maximum, column.top[0]) == ("a", "c", ("b", 2))

    def test_times_and_days_are_written_as_iso(self, engine: TableEngine) -> None:
        times = pa.array(
            [datetime(2013, 1, 2, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")
        )
        at, day = engine.profile(pa.table({"at": times, "day": [date(2013, 1, 1)] * 2})).columns
        assert str(at.minimum).startswith("2013-01-01T00:00:00")
        assert (day.minimum, day.distinct) == ("2013-01-01", 1)

    def test_truth_values_are_counted_as_numbers(self, engine: TableEngine) -> None:
        (column,) = engine.profile(pa.table({"b": [True, True, False, None]})).columns
        assert (column.mean, column.top[0]) == (pytest.approx(2 / 3), ("True", 2))

    def test_nested_columns_have_at_least_their_missing_values_counted(self, engine: TableEngine) -> None:
        (column,) = engine.profile(pa.table({"l": [[1], None, [2, 3]]})).columns
        assert (column.count, column.nulls) == (3, 1)

    @pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string(), pa.timestamp("us"), pa.null(), pa.bool_()])
    def test_a_table_without_rows_has_a_profile(self, engine: TableEngine, kind: pa.DataType) -> None:
        (column,) = engine.profile(pa.table({"x": pa.array([], kind)})).columns
        assert (column.count, column.nulls, column.minimum) == (0, 0, None)

    @pytest.mark.parametrize(
        "kind",
        [
            *(pa.date32(), pa.time64("us"), pa.time64("ns"), pa.duration("us"), pa.duration("ns"), pa.timestamp("ns")),
            *(pa.timestamp("ns", "America/New_York"), pa.decimal128(9, 2), pa.binary()),
        ],
    )
    def test_unusual_types_have_a_profile(self, engine: TableEngine, kind: pa.DataType) -> None:
        values = pa.array([b"x"], kind) if kind == pa.binary() else pa.array([1, 1, None], pa.int32()).cast(_via(kind))
        (column,) = engine.profile(pa.table({"x": values.cast(kind)})).columns
        assert column.nulls == values.null_count


class TestSketches:
    def test_a_sketch_comes_with_the_profile_and_gives_it_again(self, engine: TableEngine) -> None:
        exact, sketch = engine.profiled(pa.table({"x": [3, 1, 1, None], "s": ["b", "a", "b", None]}))
        assert exact == engine.profile(pa.table({"x": [3, 1, 1, None], "s": ["b", "a", "b", None]}))
        again = profile_from(sketch)
        assert [(one.nulls, one.distinct, one.minimum, one.quantiles) for one in again.columns] == [
            (one.nulls, one.distinct, one.minimum, one.quantiles) for one in exact.columns
        ]

    @pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.uint64()])
    def test_columns_that_hardly_repeat_are_counted_as_exactly(self, engine: TableEngine, kind: pa.DataType) -> None:
        numbers = np.random.default_rng(2).integers(0, 50_000, 30_000)
        (column,) = engine.profile(pa.table({"x": pa.array(numbers, mask=numbers < 900).cast(kind)})).columns
        there = numbers[numbers >= 900]
        values, counts = np.unique(there, return_counts=True)
        assert (column.nulls, column.distinct) == (30_000 - len(there), len(values))
        assert list(column.quantiles) == list(np.quantile(there, QUANTILES, method="inverted_cdf"))
        assert column.top[0] == (str(pa.scalar(values[counts.argmax()]).cast(kind).as_py()), counts.max())

    def test_nan_is_missing_in_long_columns_too(self, engine: TableEngine) -> None:
        numbers = np.random.default_rng(2).normal(size=20_000)
        numbers[:50] = np.nan
        (column,) = engine.profile(pa.table({"x": numbers})).columns
        assert (column.nulls, column.distinct) == (50, 19_950)
        assert column.mean == pytest.approx(np.nanmean(numbers))


def _via(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if kind == pa.date32() else pa.decimal128(12, 2) if pa.types.is_decimal(kind) else pa.int64()


class TestLongColumns:
    """Columns of many rows are counted in other ways than short ones; what they hold is said as exactly."""

    ROWS = 140_000

    @pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "int32", "int64", "uint64"])
    def test_whole_numbers_over_their_whole_range(self, engine: TableEngine, kind: str) -> None:
        ends = np.iinfo(kind)
        values = np.random.default_rng(1).integers(ends.min, ends.max, self.ROWS, kind, endpoint=True)
        values[:2] = ends.min, ends.max
        self._agrees(engine, values)

    @pytest.mark.parametrize("kind", ["int32", "int64", "uint64"])
    def test_whole_numbers_that_lie_close_together_at_an_end(self, engine: TableEngine, kind: str) -> None:
        near = np.random.default_rng(2).integers(0, 2 * self.ROWS, self.ROWS, kind)
        self._agrees(engine, np.iinfo(kind).min + near)
        self._agrees(engine, np.iinfo(kind).max - near)

    @pytest.mark.parametrize("kind", ["float32", "float64"])
    def test_floats_on_both_sides_of_zero(self, engine: TableEngine, kind: str) -> None:
        values = np.random.default_rng(3).normal(size=self.ROWS).astype(kind)
        values[:4] = 0.0, -0.0, np.finfo(kind).tiny, -np.finfo(kind).tiny
        self._agrees(engine, values)

    def test_nan_and_infinities_among_many_floats(self, engine: TableEngine) -> None:
        values = np.random.default_rng(4).normal(size=self.ROWS)
        values[:5] = math.nan, -math.nan, math.inf, -math.inf, -math.inf
        (column,) = engine.profile(pa.table({"x": values})).columns
        assert (column.nulls, column.distinct) == (2, self.ROWS - 3)
        assert (column.minimum, column.maximum, column.top[0]) == ("-inf", "inf", ("", 2))
        assert column.mean == pytest.approx(values[5:].mean())

    def test_times_that_hardly_repeat(self, engine: TableEngine) -> None:
        places = np.random.default_rng(5).permutation(self.ROWS)
        times = pa.array(np.datetime64("2024-01-01", "us") + places.astype("timedelta64[s]"))
        (column,) = engine.profile(pa.table({"at": times})).columns
        assert (column.minimum, column.distinct) == ("2024-01-01T00:00:00.000000", self.ROWS)
        assert column.top[0] == ("2024-01-01T00:00:00.000000", 1)

    @pytest.mark.parametrize("twice", [0, 1, 2])
    def test_texts_that_hardly_repeat(self, engine: TableEngine, twice: int) -> None:
        places = np.random.default_rng(7).permutation(self.ROWS).tolist()
        texts: list[str | None] = [f"n{place:06}" for place in places[: self.ROWS - twice]]
        (column,) = engine.profile(pa.table({"s": [*texts, *texts[:twice], None]})).columns
        assert (column.distinct, column.nulls) == (self.ROWS - twice, 1)
        assert column.top[0] == (texts[0], 2 if twice else 1)

    @pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
    def test_times_of_a_zone_are_written_alike_in_sketches_and_profiles(
        self, engine: TableEngine, zone: str | None
    ) -> None:
        times = pa.array(np.datetime64("2024-01-01", "us") + np.arange(100).astype("timedelta64[h]"))
        exact, sketch = engine.profiled(pa.table({"at": times.cast(pa.timestamp("us", zone))}))
        (known,), (found,) = exact.columns, profile_from(sketch).columns
        assert (found.minimum, found.maximum, found.top) == (known.minimum, known.maximum, known.top)
        assert set(sketch.columns[0].texts) >= {known.minimum, known.maximum}

    def test_columns_side_by_side_are_those_alone(self, engine: TableEngine) -> None:
        generator = np.random.default_rng(6)
        table = pa.table({"x": generator.normal(size=self.ROWS), "k": generator.integers(0, 9, self.ROWS)})
        alone = [engine.profile(table.select([name])).columns[0] for name in table.column_names]
        assert list(engine.profile(table).columns) == alone

    def _agrees(self, engine: TableEngine, values: np.ndarray) -> None:
        (column,) = engine.profile(pa.table({"x": values})).columns
        numbers = values.astype(np.float64)
        assert column.distinct == len(np.unique(values))
        assert (column.minimum, column.maximum) == (numbers.min(), numbers.max())
        assert list(column.quantiles) == list(np.quantile(numbers, QUANTILES, method="inverted_cdf"))
        assert column.mean == pytest.approx(numbers.mean(), rel=1e-9)
        assert column.std == pytest.approx(numbers.std(ddof=1), rel=1e-6)
