"""Batches made without Arrow are what Arrow reads."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.serving.ipc import BatchEncoder, same_text, text
from tests.serving.batches import read

TEXTS = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=50)
SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("small", pa.int32()),
        ("same", pa.string()),
        ("first", pa.float64()),
        ("second", pa.float64()),
    ]
)


@settings(deadline=None)
@given(TEXTS, st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_is_encoded_is_read_back(names: list[str | None], same: str) -> None:
    count = len(names)
    small, block = np.arange(count, dtype=np.int32), np.arange(2.0 * count)
    columns = [text(names), small.tobytes(), same_text(same, count), block.tobytes()]
    found = read(BatchEncoder(SCHEMA).encode(count, 5, columns))
    assert found.column("name").to_pylist() == names
    assert found.column("small").to_pylist() == small.tolist()
    assert found.column("same").to_pylist() == [same] * count
    assert found.column("first").to_pylist() + found.column("second").to_pylist() == block.tolist()


def test_an_encoder_makes_batches_of_any_size_one_after_another() -> None:
    encoder = BatchEncoder(pa.schema([("n", pa.int32()), ("t", pa.string())]))
    for count in (1, 70_000, 3):
        made = encoder.encode(count, 0, [np.arange(count, dtype=np.int32).tobytes(), text(["é"] * count)])
        assert read(made).column("n").to_pylist() == list(range(count))


def test_a_missing_string_is_null_and_an_empty_one_is_not() -> None:
    made = BatchEncoder(pa.schema([("t", pa.string())])).encode(3, 0, [text(["", None, "a"])])
    assert read(made).column("t").to_pylist() == ["", None, "a"]


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        text(["\ud800"])


def test_a_process_that_logs_does_not_import_pandas() -> None:
    made = "from everloop.serving import inferencelog, ipc; ipc.BatchEncoder(inferencelog.schema_of([], ['key']))"
    asked = f"import sys; {made}; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
