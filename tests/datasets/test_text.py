"""Values as text and JSON, without pandas."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal

import msgspec
import pyarrow as pa
import pytest

from everloop.datasets.text import json_rows, json_values, texts, type_name

AT = datetime(2013, 1, 1, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (pa.array([1, None]), [1, None]),
        (pa.array([1.5, math.nan, math.inf]), [1.5, None, None]),
        (pa.array([True, None]), [True, None]),
        (pa.array(["a", None]), ["a", None]),
        (pa.array([b"\x01\xff"]), ["01ff"]),
        (pa.array([AT, None], pa.timestamp("us", "UTC")), ["2013-01-01T10:30:00.000000Z", None]),
        (pa.array([AT.replace(tzinfo=None)], pa.timestamp("s")), ["2013-01-01T10:30:00"]),
        (pa.array([date(2013, 1, 1)]), ["2013-01-01"]),
        (pa.array([time(10, 30)], pa.time64("us")), ["10:30:00.000000"]),
        (pa.array([90_000_000], pa.duration("us")), ["0:01:30"]),
        (pa.array([90_000_000_000, 1, None], pa.duration("ns")), ["0:01:30", "0:00:00.000000001", None]),
        (pa.array([Decimal("1.50")]), ["1.50"]),
        (pa.array([[1, 2], None]), [[1, 2], None]),
        (pa.array([{"a": 1.5}]), [{"a": 1.5}]),
    ],
    ids=str,
)
def test_values_become_json(values: pa.Array, written: list[object]) -> None:
    assert json_values(values) == written
    assert json_values(pa.chunked_array([values])) == written
    msgspec.json.encode(json_values(values))


def test_missing_text_is_empty() -> None:
    assert texts(pa.array([None, 1])) == ["", "1"]


def test_rows_are_objects_by_column() -> None:
    assert json_rows(pa.table({"a": [1, 2], "b": ["x", None]})) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert json_rows(pa.table({"a": [1]}).slice(0, 0)) == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [(pa.float64(), "float64"), (pa.float32(), "float32"), (pa.int64(), "int64"), (pa.string(), "string")],
)
def test_types_have_names_that_arrow_understands(kind: pa.DataType, name: str) -> None:
    assert type_name(kind) == name
    assert pa.type_for_alias(name) == kind


@pytest.mark.slow
def test_arrow_does_not_bring_pandas_and_pandas_still_works() -> None:
    script = (
        "import sys; from everloop.datasets.arrow import keep_pandas_out; keep_pandas_out()\n"
        "import pyarrow as pa, numpy as np; t = pa.table({'x': pa.array(np.arange(3))}); t['x'].to_numpy()\n"
        "assert 'pandas' not in sys.modules\n"
        "try: import pandas\n"
        "except ModuleNotFoundError: sys.exit()\n"
        "assert t.to_pandas()['x'].sum() == 3"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
