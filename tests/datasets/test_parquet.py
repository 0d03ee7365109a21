"""Parquet that nearly stays the same when a table nearly stays the same."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.catalog.session import Session
from everloop.datasets.formats import normalised
from everloop.datasets.parquet import put_table, read, to_parquet, write
from everloop.datasets.rowgroups import LEAST, boundaries
from tests.datasets.foreign.test_service import TABLE

CELLS = st.lists(st.none() | st.integers(-(2**40), 2**40), max_size=40)


def numbers(rows: int, seed: int = 1) -> pa.Table:
    generator = np.random.default_rng(seed)
    return pa.table({"n": generator.integers(0, 2**40, rows), "s": [f"user-{n}" for n in range(rows)]})


def spliced(table: pa.Table, at: int, rows: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, at), rows, table.slice(at)]).combine_chunks()


@given(CELLS, CELLS)
def test_what_is_written_is_read(left: list[int | None], right: list[int | None]) -> None:
    rows = min(len(left), len(right))
    table = pa.table({"a": pa.array(left[:rows], pa.int64()), "b": pa.array(map(str, right[:rows]), pa.string())})
    assert pq.read_table(io.BytesIO(to_parquet(table))).equals(table)


def test_every_type_is_written(tmp_path: Path) -> None:
    odd = pa.table(
        {
            "flag": [True, None, False, True],
            "raw": pa.array([b"a", None, b"", b"ccc"], pa.binary()),
            "fixed": pa.array([b"abc", None, b"def", b"ghi"], pa.binary(3)),
            "half": pa.array([1.0, None, 2.0, 3.0], pa.float16()),
            "nothing": pa.nulls(4),
            "point": [{"x": 1}, None, {"x": 2}, {"x": 3}],
            "map": pa.array([[("a", 1)], None, [], [("b", 2)]], pa.map_(pa.string(), pa.int64())),
        }
    )
    table = normalised(
        pa.table(dict(zip(odd.column_names + TABLE.column_names, odd.columns + TABLE.columns, strict=True)))
    )
    with (tmp_path / "t.parquet").open("w+b") as file:
        size = write(table, file)
    assert size == (tmp_path / "t.parquet").stat().st_size
    assert pq.read_table(tmp_path / "t.parquet").equals(table)


def test_equal_tables_are_equal_bytes_however_they_lie_in_memory() -> None:
    table = numbers(60_000)
    pieces = pa.concat_tables([table.slice(0, 7), table.slice(7, 30_000), table.slice(30_007)])
    assert to_parquet(normalised(pieces)) == to_parquet(table)


def test_the_file_does_not_say_which_arrow_wrote_it() -> None:
    data = to_parquet(numbers(10))
    assert b"parquet-cpp-arrow" not in data
    assert pq.ParquetFile(io.BytesIO(data)).metadata.created_by == "everloop version 1"


def test_a_value_that_looks_like_the_writer_is_left_alone() -> None:
    table = pa.table({"s": ["parquet-cpp-arrow version 1.0.0"]})
    assert pq.read_table(io.BytesIO(to_parquet(table))).equals(table)


class TestRowGroups:
    def test_groups_follow_each_other_to_the_end(self) -> None:
        cuts = boundaries(numbers(200_000))
        assert cuts[0] == 0
        assert cuts[-1] == 200_000
        assert cuts == sorted(set(cuts))
        assert len(cuts) > 5

    def test_no_rows_have_no_groups(self) -> None:
        assert boundaries(numbers(0)) == [0]

    def test_rows_that_are_all_alike_are_cut_too(self) -> None:
        cuts = boundaries(pa.table({"n": np.zeros(1_000_000, np.int64)}))
        assert max(np.diff(cuts)) * 8 <= 4 * LEAST + 8

    @given(st.integers(0, 100_000), st.integers(1, 2_000))
    def test_behind_an_edit_groups_begin_where_they_did(self, at: int, size: int) -> None:
        table = numbers(100_000)
        before = set(boundaries(table))
        after = boundaries(spliced(table, at, numbers(size, seed=2)))
        moved = {row - size for row in after if row >= at + size} | {row for row in after if row < at}
        assert len(before - moved) <= 4

    def test_values_under_missing_ones_do_not_count(self) -> None:
        valid = np.arange(50_000) % 3 > 0
        one, other = (
            pa.Array.from_buffers(pa.int64(), 50_000, [pa.array(valid).buffers()[1], pa.py_buffer(values)])
            for values in (np.arange(50_000), np.where(valid, np.arange(50_000), -7))
        )
        assert boundaries(pa.table({"n": one})) == boundaries(pa.table({"n": other}))


def test_a_large_table_goes_through_a_file_to_the_same_address(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = numbers(20_000)
    part = put_table(session.store, table)
    monkeypatch.setattr("everloop.datasets.parquet._IN_MEMORY", 0)
    assert put_table(session.store, table) == part
    assert read(session.store, part.digest, ["s"]).equals(table.select(["s"]))


@pytest.mark.slow
def test_an_edit_in_the_middle_of_a_large_table_costs_little(session: Session) -> None:
    table = numbers(1_500_000)
    whole = put_table(session.store, table).bytes
    before = session.store.stats().bytes
    put_table(session.store, spliced(table, 700_000, numbers(11_250, seed=2)))
    assert session.store.stats().bytes - before < 0.08 * whole


class TestLargeTables:
    """Of a table that is kept in chunks only those are read that hold what is asked for."""

    @pytest.fixture
    def wide(self) -> pa.Table:
        generator = np.random.default_rng(5)
        columns = {f"x{number}": generator.normal(size=60_000) for number in range(12)}
        return normalised(pa.table(columns | {"where": [{"x": float(n), "y": None} for n in range(60_000)]}))

    def test_a_few_columns_are_those_of_the_table(self, session: Session, wide: pa.Table) -> None:
        part = put_table(session.store, wide)
        assert read(session.store, part.digest).equals(wide)
        for columns in (["x3"], ["x11", "where", "x0"], ["x1", "unknown"], []):
            wanted = [name for name in columns if name in wide.column_names]
            assert read(session.store, part.digest, columns).equals(wide.select(wanted))

    def test_what_is_asked_for_in_steps_is_the_same(
        self, session: Session, wide: pa.Table, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("everloop.datasets.parquet._AT_ONCE", 1 << 20)
        assert read(session.store, put_table(session.store, wide).digest).equals(wide)

    def test_a_column_does_not_cost_reading_the_others(
        self, session: Session, wide: pa.Table, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        part = put_table(session.store, wide)
        read_many, sizes = session.store.objects.read_many, []

        def counted(raws: set[bytes]) -> object:
            for raw, data, is_recipe in read_many(raws):
                sizes.append(len(data))
                yield raw, data, is_recipe

        monkeypatch.setattr(session.store.objects, "read_many", counted)
        read(session.store, part.digest, ["x3"])
        assert sum(sizes) < part.bytes / 3
