"""Columns from buffers: Arrow reads them as if it had made them, and pandas stays where it is."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.serving.arrow import array_of, numbers, repeated, texts

TEXTS = st.lists(st.none() | st.text(st.characters(exclude_categories=("Cs",))))


@settings(deadline=None)
@given(TEXTS)
def test_texts_are_what_arrow_makes_of_them(values: list[str | None]) -> None:
    made = texts(values)
    made.validate(full=True)
    assert made.equals(pa.array(values, pa.string()))


@settings(deadline=None)
@given(st.lists(st.floats()))
def test_numbers_come_back_bit_by_bit(values: list[float]) -> None:
    given_ = np.array(values, dtype=np.float64)
    made = numbers(given_, pa.float64())
    made.validate(full=True)
    assert array_of(made).tobytes() == given_.tobytes()


@pytest.mark.parametrize("type_", [pa.int64(), pa.int32(), pa.float64()])
def test_numbers_take_the_type_that_is_asked_for(type_: pa.DataType) -> None:
    made = numbers(np.arange(5)[::2], type_)
    assert (made.type, made.to_pylist()) == (type_, [0, 2, 4])


def test_a_slice_is_read_from_where_it_begins() -> None:
    assert array_of(numbers(np.arange(10), pa.int64()).slice(3, 4)).tolist() == [3, 4, 5, 6]


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",))), st.integers(0, 50))
def test_a_repeated_text_stands_in_each_row(value: str, count: int) -> None:
    made = repeated(value, count)
    made.validate(full=True)
    assert made.to_pylist() == [value] * count


@pytest.mark.slow
def test_neither_way_imports_pandas() -> None:
    code = (
        "import sys, numpy as np, pyarrow as pa\n"
        "from everloop.serving.arrow import array_of, numbers, repeated, texts\n"
        "texts(['a', None]); repeated('a', 3); array_of(numbers(np.arange(3), pa.int64()))\n"
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
