"""Tables in and out of the store."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.catalog import lineage
from everloop.catalog.session import Session
from everloop.datasets.content import read_table, resolve, snapshot_of, urn_of, write_table
from everloop.datasets.entities import Column
from everloop.datasets.formats import normalised
from everloop.datasets.parquet import to_parquet
from everloop.datasets.tablecache import TableCache, cache_of
from everloop.kernel.errors import Corrupted, InvalidInput, NotFound
from tests.examples import examples

TABLE = pa.table({"n": [1, 2, None], "s": ["a", None, "c"], "x": [0.5, 1.5, 2.5]})
COLUMNS = st.lists(st.none() | st.integers(-(2**60), 2**60), min_size=0, max_size=30)


class TestWriting:
    def test_a_table_comes_back(self, session: Session) -> None:
        assert read_table(session, write_table(session, "t", TABLE)).equals(TABLE)

    def test_a_snapshot_says_what_it_holds(self, session: Session) -> None:
        snapshot = write_table(session, "t", TABLE, note="first")
        assert (snapshot.dataset, snapshot.version, snapshot.rows, snapshot.note) == ("t", 1, 3, "first")
        assert snapshot.columns == (
            Column("n", "int64", True),
            Column("s", "string", True),
            Column("x", "float64", False),
        )
        assert snapshot.bytes == len(session.store.get(snapshot.digest))
        assert snapshot.created == session.clock.now()

    def test_equal_content_is_the_same_version(self, session: Session) -> None:
        first = write_table(session, "t", TABLE)
        other = write_table(session, "t", TABLE.slice(1))
        assert (first.version, other.version) == (1, 2)
        assert write_table(session, "t", TABLE, note="again") == first
        assert snapshot_of(session, "t") == other

    def test_how_a_table_is_laid_out_does_not_matter(self, session: Session) -> None:
        chunked = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)])
        encoded = TABLE.set_column(1, "s", TABLE["s"].dictionary_encode())
        described = TABLE.replace_schema_metadata({"pandas": "{}"})
        wide = TABLE.set_column(1, "s", TABLE["s"].cast(pa.large_string()))
        written = [write_table(session, "t", table) for table in (TABLE, chunked, encoded, described, wide)]
        assert {snapshot.version for snapshot in written} == {1}

    def test_coarser_times_are_kept_in_microseconds(self, session: Session) -> None:
        at = datetime(2013, 1, 1, tzinfo=UTC)
        seconds = write_table(session, "t", pa.table({"at": pa.array([at], pa.timestamp("s", "UTC"))}))
        micros = write_table(session, "t", pa.table({"at": pa.array([at], pa.timestamp("us", "UTC"))}))
        assert seconds == micros
        assert str(read_table(session, micros).schema.field("at").type) == "timestamp[us, tz=UTC]"

    def test_lineage_goes_from_a_table_to_what_it_came_from(self, session: Session) -> None:
        parent = write_table(session, "raw", TABLE)
        child = write_table(session, "clean", TABLE.slice(1), [urn_of(session, parent)])
        edges = lineage.graph(session, urn_of(session, child), "upstream", 1).edges
        assert [(edge.upstream, edge.relation) for edge in edges] == [("dataset:default/raw@1", "derived_from")]
        assert child.parents == ("dataset:default/raw@1",)

    def test_a_second_way_to_the_same_content_is_added_to_its_lineage(self, session: Session) -> None:
        child = write_table(session, "t", TABLE, ["dataset:default/a@1"])
        assert write_table(session, "t", TABLE, ["dataset:default/b@1"]) == child
        assert len(lineage.graph(session, urn_of(session, child), "upstream", 1).edges) == 2

    @pytest.mark.parametrize(
        ("table", "complaint"),
        [
            (pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), "two columns 'a'"),
            (pa.Table.from_arrays([pa.array([1])], names=[""]), "without a name"),
            (pa.table({}), "no columns"),
        ],
    )
    def test_a_table_that_cannot_be_named_is_refused(self, session: Session, table: pa.Table, complaint: str) -> None:
        with pytest.raises(InvalidInput, match=complaint):
            write_table(session, "t", table)
        with pytest.raises(NotFound):
            snapshot_of(session, "t")

    def test_a_table_without_rows_is_a_table(self, session: Session) -> None:
        snapshot = write_table(session, "t", TABLE.slice(0, 0))
        assert read_table(session, snapshot).equals(TABLE.slice(0, 0))

    def test_projects_do_not_see_each_others_datasets(self, platform: Platform) -> None:
        write_table(platform.session(project="one"), "t", TABLE)
        with pytest.raises(NotFound):
            snapshot_of(platform.session(project="two"), "t")

    def test_versions_have_no_hole_and_no_twin_when_many_write(self, platform: Platform) -> None:
        def write(worker: int) -> None:
            for number in range(4):
                write_table(platform.session(), "t", pa.table({"n": [worker % 2 * 10 + number]}))

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        versions = [snapshot.version for snapshot in platform.call("datasets.log", {"name": "t"})]
        assert versions == [8, 7, 6, 5, 4, 3, 2, 1]

    @settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(COLUMNS, st.integers(1, 5))
    def test_any_table_comes_back_and_cut_anywhere_is_the_same(
        self, session: Session, values: list[int | None], cut: int
    ) -> None:
        table = pa.table({"n": pa.array(values, pa.int64()), "s": pa.array([str(v) if v else None for v in values])})
        table = table.set_column(1, "s", table["s"].cast(pa.string()))
        pieces = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
        snapshot = write_table(session, "t", table)
        assert write_table(session, "t", pieces) == snapshot
        assert read_table(session, snapshot).equals(table)

    @pytest.mark.slow
    def test_an_edit_of_a_large_table_changes_few_chunks(self, session: Session) -> None:
        numbers = pa.array([(n * 2_654_435_761) % 2**32 for n in range(400_000)], pa.int64())
        write_table(session, "t", pa.table({"n": numbers}))
        before = session.store.stats().bytes
        edited = pa.concat_arrays([numbers.slice(0, 200_000), pa.array([7], pa.int64()), numbers.slice(200_000)])
        snapshot = write_table(session, "t", pa.table({"n": edited}))
        assert session.store.stats().bytes - before < snapshot.bytes / 3


class TestReading:
    def test_columns_come_in_the_order_that_was_asked_for(self, session: Session) -> None:
        snapshot = write_table(session, "t", TABLE)
        assert read_table(session, snapshot, ["x", "n"]).column_names == ["x", "n"]
        assert read_table(session, snapshot, ["s", "x"]).equals(TABLE.select(["s", "x"]))
        assert read_table(session, snapshot).equals(TABLE)

    def test_an_unknown_column_is_named_with_those_there_are(self, session: Session) -> None:
        snapshot = write_table(session, "t", TABLE)
        with pytest.raises(InvalidInput, match="no column y") as caught:
            read_table(session, snapshot, ["n", "y"])
        assert "n, s, x" in caught.value.hint

    def test_damaged_bytes_are_not_read(self, platform: Platform, home: Path) -> None:
        snapshot = write_table(platform.session(), "t", TABLE)
        path = home / "store" / "objects" / snapshot.digest[:2] / snapshot.digest[2:]
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
        with pytest.raises(Corrupted):
            read_table(platform.session(), snapshot)

    def test_what_was_read_lately_is_not_read_again(self, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        snapshot = write_table(session, "t", TABLE)
        first = read_table(session, snapshot)
        monkeypatch.setattr(type(session.store), "get", lambda *_: pytest.fail("read again"))
        assert read_table(session, snapshot, ["s"]).equals(first.select(["s"]))

    def test_memory_is_bounded_and_the_newest_stays(self, session: Session) -> None:
        tables = [pa.table({"n": pa.array(range(seed, seed + 1000))}) for seed in range(5)]
        snapshots = [write_table(session, "t", table) for table in tables]
        cache = TableCache(limit=tables[0].nbytes * 5 // 2)
        for snapshot, table in zip(snapshots, tables, strict=True):
            assert cache.read(session.store, snapshot.digest, ["n"]).equals(table)
        assert list(cache._tables) == [snapshot.digest for snapshot in snapshots[-2:]]

    def test_stores_do_not_share_what_was_read(self, session: Session) -> None:
        from everloop.store.service import Store

        assert cache_of(session.store) is not cache_of(Store(session.store.blobs))


class TestReferences:
    def test_a_name_alone_is_the_newest(self, session: Session) -> None:
        write_table(session, "t", TABLE)
        newest = write_table(session, "t", TABLE.slice(1))
        assert resolve(session, "t") == newest == snapshot_of(session, "t", 2)

    @pytest.mark.parametrize("reference", ["t@1", "dataset:default/t@1"])
    def test_a_version_is_named(self, session: Session, reference: str) -> None:
        first = write_table(session, "t", TABLE)
        write_table(session, "t", TABLE.slice(1))
        assert resolve(session, reference) == first

    @pytest.mark.parametrize("reference", ["t@-1", "t@", "dataset:other/t@1", "model:default/t@1"])
    def test_what_names_no_snapshot_is_refused(self, session: Session, reference: str) -> None:
        write_table(session, "t", TABLE)
        if reference == "t@":
            assert resolve(session, reference).version == 1
            return
        with pytest.raises(InvalidInput):
            resolve(session, reference)

    def test_what_is_not_there_is_not_found_with_what_is(self, session: Session) -> None:
        write_table(session, "t", TABLE)
        with pytest.raises(NotFound, match="has no version 9") as caught:
            resolve(session, "t@9")
        assert "newest is 1" in caught.value.hint
        with pytest.raises(NotFound, match="no dataset 'u'"):
            resolve(session, "u")


def test_parquet_is_the_same_bytes_each_time() -> None:
    assert to_parquet(normalised(TABLE)) == to_parquet(normalised(TABLE))
