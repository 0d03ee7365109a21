"""Frames of other libraries are tables here."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from everloop.datasets.content import read_table
from everloop.datasets.frames import Frame, as_arrow
from everloop.kernel.errors import InvalidInput
from everloop.sdk.platform import open as open_here

ROWS = [{"id": 1, "name": "Ada"}, {"id": 2, "name": None}]
FRAMES = {
    "arrow": pa.Table.from_pylist(ROWS),
    "batch": pa.RecordBatch.from_pylist(ROWS),
    "pandas": pd.DataFrame({"id": [1, 2], "name": ["Ada", None]}),
    "polars": pl.DataFrame(ROWS),
    "duckdb": duckdb.sql("SELECT * FROM (VALUES (1::BIGINT, 'Ada'), (2, NULL)) AS t(id, name)"),
    "rows": ROWS,
}


@pytest.mark.parametrize("kind", list(FRAMES))
def test_every_kind_of_frame_is_the_same_table(kind: str) -> None:
    assert as_arrow(FRAMES[kind]).to_pylist() == ROWS


def test_all_of_them_are_one_content(tmp_path: Path) -> None:
    with open_here(tmp_path / "home") as ever:
        digests = {kind: ever.put_frame(frame) for kind, frame in FRAMES.items()}
        assert len(set(digests.values())) == 1
        made = ever.datasets.commit("people", digests["polars"], "parquet")
        assert read_table(ever.session(), made).to_pylist() == ROWS


def test_an_index_of_pandas_is_a_column_if_it_has_a_name() -> None:
    frame = pd.DataFrame({"x": [1, 2]}, index=["a", "b"])
    assert as_arrow(frame).column_names == ["x"]
    assert as_arrow(frame.rename_axis("key")).column_names == ["x", "key"]


@pytest.mark.parametrize("what", [7, "text", [1, 2], pd.DataFrame({"x": [1, "a"]})])
def test_what_is_no_frame_is_refused(what: Frame) -> None:
    with pytest.raises(InvalidInput, match="cannot be kept as a table"):
        as_arrow(what)
