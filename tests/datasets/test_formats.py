"""Files that hold tables, good ones and bad ones."""

from __future__ import annotations

import gzip

import pyarrow as pa
import pytest
import zstandard

from everloop.app import backends
from everloop.datasets import formats
from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import Format
from everloop.datasets.formats import format_of, from_bytes
from everloop.kernel.errors import InvalidInput

CSV = b"id,name\n1,Ada\n2,NA\n"
LINES = b'{"id": 1, "name": "Ada"}\n{"id": 2}\n'
ROWS = [{"id": 1, "name": "Ada"}, {"id": 2, "name": None}]


@pytest.fixture(scope="module")
def engine() -> TableEngine:
    found: TableEngine = backends.load("engines", "duckdb")()
    return found


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize(("data", "format"), [(CSV, "csv"), (LINES, "jsonl")])
def test_text_is_read_packed_or_not(engine: TableEngine, pack: type[bytes], data: bytes, format: Format) -> None:
    assert from_bytes(engine, pack(data), format).to_pylist() == ROWS


def test_zstd_of_several_frames_is_one_text(engine: TableEngine) -> None:
    packed = zstandard.compress(CSV[:10]) + zstandard.compress(CSV[10:])
    assert from_bytes(engine, packed, "csv").to_pylist() == ROWS


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_few_bytes_that_would_fill_the_memory_are_refused(
    engine: TableEngine, pack: type[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "UNPACKED", 1_000)
    bomb = pack(b"a\n" + b"0\n" * 1_000_000)
    with pytest.raises(InvalidInput, match="unpack to more than"):
        from_bytes(engine, bomb, "csv")


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@pytest.mark.parametrize(
    "packed", [gzip.compress(CSV)[:-9], zstandard.compress(CSV * 9)[:-3] + b"xyz"], ids=["gzip", "zstd"]
)
def test_damaged_packing_is_refused(engine: TableEngine, packed: bytes, format: Format) -> None:
    with pytest.raises(InvalidInput, match="packed, and damaged"):
        from_bytes(engine, packed, format)


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (b"a,b\n1,2\n3\n", "csv"),
        (b"a,b\n1,2\n3,4,5\n", "csv"),
        (b"", "csv"),
        (b'{"a": 1}\n{"a": "x"}\n', "jsonl"),
        (b'{"a": 1}\n[1]\n', "jsonl"),
        (b'{"a": \n', "jsonl"),
        (b"", "jsonl"),
        (b"PAR1" + b"\0" * 40 + b"PAR1", "parquet"),
        (b"PAR1", "parquet"),
        (b"ARROW1\0\0rubbish", "arrow"),
    ],
)
def test_what_is_no_table_is_refused(engine: TableEngine, data: bytes, format: Format) -> None:
    with pytest.raises(InvalidInput):
        from_bytes(engine, data, format)


class TestTypes:
    def test_columns_are_read_in_the_types_that_are_wanted(self, engine: TableEngine) -> None:
        types = {"zip": pa.string(), "price": pa.float64(), "gone": pa.int64()}
        for data, format in ((b"zip,price\n00501,3\n", "csv"), (b'{"zip": "00501", "price": 3}\n', "jsonl")):
            table = from_bytes(engine, data, format, types)  # type: ignore[arg-type]  # One of the formats.
            assert table.to_pylist() == [{"zip": "00501", "price": 3.0}]
            assert table.schema.field("price").type == pa.float64()

    def test_a_column_that_cannot_be_read_so_keeps_its_own_type(self, engine: TableEngine) -> None:
        table = from_bytes(engine, b"a,b\nx,007\n", "csv", {"a": pa.int64(), "b": pa.string()})
        assert table.to_pylist() == [{"a": "x", "b": "007"}]

    def test_a_column_without_values_takes_the_wanted_type(self, engine: TableEngine) -> None:
        table = from_bytes(engine, b"a,b\nNA,1\n", "csv", {"a": pa.timestamp("us", "UTC")})
        assert table.schema.field("a").type == pa.timestamp("us", "UTC")

    def test_whole_numbers_beyond_64_bits_stay_text_in_csv(self, engine: TableEngine) -> None:
        table = from_bytes(engine, b"id,x\n123456789012345678901,1e300\n2,\n", "csv")
        assert table.to_pylist() == [{"id": "123456789012345678901", "x": 1e300}, {"id": "2", "x": None}]

    def test_whole_numbers_beyond_64_bits_are_refused_in_json(self, engine: TableEngine) -> None:
        with pytest.raises(InvalidInput, match="Column 'id' has numbers beyond 53 bits"):
            from_bytes(engine, b'{"id": 123456789012345678901}\n', "jsonl")


@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("a.csv", "csv"),
        ("a.CSV.gz", "csv"),
        ("x/a.ndjson.zst", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.arrow", "arrow"),
    ],
)
def test_a_name_says_the_format(path: str, format: Format) -> None:
    assert format_of(path) == format


@pytest.mark.parametrize("path", ["photo.jpg", "packed.parquet.gz"])
def test_a_name_that_says_no_format_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="no table by its name"):
        format_of(path)
