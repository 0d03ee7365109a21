"""Tables of other systems: read in place, and written for them; what they read is what we have."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.table import StaticTable

from everloop.app.platform import Platform
from everloop.datasets.content import read_table, write_table
from everloop.datasets.entities import Foreign, Snapshot
from everloop.datasets.foreign.exporting import export_table
from everloop.datasets.foreign.places import ForeignFile, ForeignTable, check_files, read
from everloop.datasets.remotes.reach import Reach
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from tests.datasets.changes.conftest import parquet

TABLE = pa.table(
    {
        "id": pa.array([1, 2, 3, None], pa.int64()),
        "name": ["Ada", None, "Zoë", ""],
        "score": [0.1, None, float("inf"), -2.5],
        "born": pa.array([date(1815, 12, 10), None, date(2000, 1, 1), date(1970, 1, 1)]),
        "seen": pa.array([datetime(2026, 1, 1, 12, tzinfo=UTC), None, None, None], pa.timestamp("us", "UTC")),
        "paid": pa.array([Decimal("1.50"), None, Decimal("-0.01"), Decimal("0.00")], pa.decimal128(10, 2)),
        "tags": [["a", "b"], [], None, ["c"]],
    }
)
FORMATS = ("parquet", "delta", "iceberg")


def rows(table: pa.Table) -> list[tuple[Any, ...]]:
    """The rows in an order of their own, so that engines which have none can be compared."""
    return sorted((tuple(map(repr, row.values())) for row in table.to_pylist()), key=repr)


def read_elsewhere(path: Path, format: str) -> pa.Table:
    if format == "delta":
        return DeltaTable(str(path)).to_pyarrow_table()
    if format == "iceberg":
        (metadata,) = sorted((path / "metadata").glob("*.metadata.json"))[-1:]
        return StaticTable.from_metadata(str(metadata)).scan().to_arrow()
    return pq.read_table(path)


def by_duckdb(sql: str) -> pa.Table:
    with duckdb.connect() as connection:
        found = connection.sql(sql)
        assert found is not None
        return found.to_arrow_table()


def register(platform: Platform, url: Path | str, format: str, **more: str) -> Snapshot:
    made: Snapshot = platform.call("datasets.register", {"name": "there", "url": str(url), "format": format} | more)
    return made


class TestExport:
    @pytest.mark.parametrize("format", FORMATS)
    def test_other_readers_find_the_rows_that_we_have(self, tmp_path: Path, format: str) -> None:
        path = export_table(TABLE, tmp_path, "people", format)  # type: ignore[arg-type]  # One of the formats.
        assert rows(read_elsewhere(path, format)) == rows(TABLE)

    def test_duckdb_reads_the_parquet_of_a_snapshot_as_we_do(self, platform: Platform, tmp_path: Path) -> None:
        with platform.session().begin() as unit:
            made = write_table(unit, "people", TABLE)
        platform.resources.store.write_to(made.digest, tmp_path / "people.parquet")
        read = by_duckdb(f"SET TimeZone = 'UTC'; SELECT * FROM '{tmp_path}/people.parquet'")
        assert rows(read.cast(TABLE.schema)) == rows(TABLE)

    def test_a_layered_table_is_written_whole(self, platform: Platform, tmp_path: Path) -> None:
        made = layered(platform)
        path = platform.call("datasets.export", {"name": "people", "folder": str(tmp_path), "format": "csv"})
        assert Path(path).read_text().splitlines() == ['"id","name"', '3,"Cem"', '2,"Bert"', '4,"Eva"']
        assert made.rows == 3

    def test_a_delta_table_gets_a_version_more(self, tmp_path: Path) -> None:
        for _ in range(2):
            path = export_table(TABLE, tmp_path, "people", "delta")
        assert (DeltaTable(str(path)).version(), DeltaTable(str(path)).count()) == (1, 4)

    def test_an_iceberg_table_that_is_there_is_left_alone(self, tmp_path: Path) -> None:
        export_table(TABLE, tmp_path, "people", "iceberg")
        with pytest.raises(Conflict, match="There is something at"):
            export_table(TABLE, tmp_path, "people", "iceberg")


def layered(platform: Platform) -> Snapshot:
    """Four people in three layers: one was changed, one deleted, one came."""

    def call(verb: str, table: pa.Table, **more: object) -> Snapshot:
        digest = platform.resources.store.put(parquet(table))
        made: Snapshot = platform.call(
            f"datasets.{verb}", {"name": "people", "digest": digest, "format": "parquet"} | more
        )
        return made

    call("commit", pa.table({"id": [1, 2, 3], "name": ["Ada", "Bob", "Cem"]}))
    call("upsert", pa.table({"id": [2, 4], "name": ["Bert", "Eva"]}), keys=["id"])
    return call("delete_rows", pa.table({"id": [1]}), keys=["id"])


class TestLayers:
    def test_stock_duckdb_reads_the_files_of_the_layers(self, platform: Platform, tmp_path: Path) -> None:
        made = layered(platform)
        platform.resources.store.checkout(made.digest, tmp_path)
        read = by_duckdb(
            f"""
            SELECT id, name
            FROM read_parquet('{tmp_path}/rows/*.parquet', filename = true, file_row_number = true) AS r
            ANTI JOIN read_parquet('{tmp_path}/deletes/*.parquet') AS d
            ON r.filename = '{tmp_path}/' || d.file_path AND r.file_row_number = d.pos
            ORDER BY filename, file_row_number
            """
        )
        assert read.to_pylist() == read_table(platform.session(), made).to_pylist()


class TestRegister:
    @pytest.mark.parametrize("format", FORMATS)
    def test_a_table_is_read_where_it_is(self, platform: Platform, tmp_path: Path, format: str) -> None:
        path = export_table(TABLE, tmp_path, "people", format)  # type: ignore[arg-type]  # One of the formats.
        before = platform.resources.store.stats().bytes
        made = register(platform, path, format)
        assert rows(read_table(platform.session(), made)) == rows(TABLE)
        assert (made.rows, [column.name for column in made.columns]) == (4, TABLE.column_names)
        assert platform.resources.store.stats().bytes - before < 4_000

    def test_a_delta_table_is_read_at_the_version_that_was_registered(self, platform: Platform, tmp_path: Path) -> None:
        write_deltalake(str(tmp_path), pa.table({"n": [1]}))
        first = register(platform, tmp_path, "delta")
        write_deltalake(str(tmp_path), pa.table({"n": [2]}), mode="append")
        second = register(platform, tmp_path, "delta")
        assert [read_table(platform.session(), each)["n"].to_pylist() for each in (first, second)] == [[1], [2, 1]]
        assert register(platform, tmp_path, "delta", version="0").foreign == first.foreign

    def test_columns_are_read_one_by_one(self, platform: Platform, tmp_path: Path) -> None:
        made = register(platform, export_table(TABLE, tmp_path, "people", "delta"), "delta")
        assert read_table(platform.session(), made, ["score", "id"]).column_names == ["score", "id"]

    def test_files_that_were_changed_since_are_not_read(self, platform: Platform, tmp_path: Path) -> None:
        made = register(platform, export_table(TABLE, tmp_path, "people", "parquet"), "parquet")
        pq.write_table(TABLE.slice(1), tmp_path / "people.parquet")
        with pytest.raises(Conflict, match="no longer those that were registered"):
            read_table(platform.session(), made)

    @pytest.mark.parametrize("format", FORMATS)
    def test_a_table_that_is_not_there_is_not_found(self, platform: Platform, tmp_path: Path, format: str) -> None:
        with pytest.raises(NotFound):
            register(platform, tmp_path / "nowhere", format)

    def test_rows_can_be_changed_here_on_top_of_it(self, platform: Platform, tmp_path: Path) -> None:
        register(platform, export_table(pa.table({"id": [1, 2]}), tmp_path, "there", "delta"), "delta")
        digest = platform.resources.store.put(parquet(pa.table({"id": [3]})))
        made: Snapshot = platform.call("datasets.append", {"name": "there", "digest": digest, "format": "parquet"})
        assert read_table(platform.session(), made)["id"].to_pylist() == [1, 2, 3]
        assert (made.foreign, len(made.layers)) == (None, 2)

    def test_what_is_no_format_is_refused(self, platform: Platform, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput):
            register(platform, tmp_path, "hudi")


class TestReach:
    @pytest.mark.parametrize("url", ["", "file://"])
    def test_a_server_does_not_reach_its_own_disk(self, platform: Platform, tmp_path: Path, url: str) -> None:
        path = export_table(TABLE, tmp_path, "people", "parquet")
        made = register(platform, path, "parquet")
        platform.resources.ports.provide(Reach, lambda: Reach(private=False))
        with pytest.raises(PermissionDenied):
            register(platform, f"{url}{path}", "parquet")
        with pytest.raises(PermissionDenied):
            read_table(platform.session(), made)
        with pytest.raises(PermissionDenied):
            platform.call("datasets.export", {"name": "there", "folder": str(tmp_path), "format": "csv"})

    @pytest.mark.parametrize("path", ["/etc/secret.parquet", "file:///etc/secret.parquet"])
    def test_a_table_elsewhere_does_not_lead_a_server_to_its_own_disk(self, platform: Platform, path: str) -> None:
        platform.resources.ports.provide(Reach, lambda: Reach(private=False))
        found = ForeignTable(Foreign("s3://anybody/table", "iceberg", "1"), (ForeignFile(path, 10),))
        with pytest.raises(PermissionDenied):
            check_files(platform.session(), found)
        digest = platform.resources.store.put(msgspec.json.encode(found))
        with pytest.raises(PermissionDenied):
            read(platform.session(), digest, ["id"])

    def test_keys_in_a_url_are_not_kept(self, platform: Platform) -> None:
        with pytest.raises(InvalidInput, match="name or password") as caught:
            register(platform, "s3://key:hush@bucket/table", "parquet")
        assert "hush" not in f"{caught.value.message} {caught.value.hint}"

    @pytest.mark.parametrize("url", ["http://host/x", "s3://bucket/x?endpoint_override=127.0.0.1", "hdfs://a/b"])
    def test_what_is_no_place_of_tables_is_refused(self, platform: Platform, url: str) -> None:
        with pytest.raises(InvalidInput, match="no place of tables"):
            register(platform, url, "parquet")


@pytest.mark.parametrize("folder", ["x" * 300, "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_is_named(platform: Platform, folder: str) -> None:
    write_table(platform.session(), "people", TABLE)
    with pytest.raises(InvalidInput, match=folder[:20]):
        platform.call("datasets.export", {"name": "people", "folder": folder, "format": "csv"})
