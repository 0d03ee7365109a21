"""Tensors and tables: what comes in is what the models get, whatever way it was written."""

from __future__ import annotations

import json
import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.registry.entities import Field
from everloop.server.inference import scoring
from everloop.server.inference.tensors import columns_of, from_bytes, from_json

FIELDS = (Field("x", "float64"), Field("n", "int64"), Field("s", "string"))
TEXT = st.text(st.characters(exclude_categories=("Cs",)))


def test_whole_numbers_with_gaps_become_floats() -> None:
    column = from_json("n", "INT64", [3], b"[1, null, 3]")
    assert column.dtype == float
    assert [column[0], math.isnan(column[1]), column[2]] == [1.0, True, 3.0]


def test_texts_with_gaps_have_none() -> None:
    assert from_json("s", "BYTES", [2], b'["a", null]').tolist() == ["a", None]


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_a_double_is_the_same_in_json_and_in_bytes(values: list[float]) -> None:
    flat = from_json("x", "FP64", [len(values)], json.dumps(values).encode())
    raw = from_bytes("x", "FP64", [len(values)], memoryview(np.array(values, dtype="<f8").tobytes()))
    assert flat.tobytes() == raw.tobytes()


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_a_whole_number_is_the_same_in_json_and_in_bytes(values: list[int]) -> None:
    flat = from_json("n", "INT64", [len(values)], json.dumps(values).encode())
    raw = from_bytes("n", "INT64", [len(values)], memoryview(np.array(values, dtype="<i8").tobytes()))
    assert flat.tolist() == raw.tolist() == values


@settings(deadline=None)
@given(st.lists(TEXT))
def test_a_text_is_the_same_in_json_and_in_bytes(values: list[str]) -> None:
    packed = b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in values)
    flat = from_json("s", "BYTES", [len(values)], json.dumps(values).encode())
    raw = from_bytes("s", "BYTES", [len(values)], memoryview(packed))
    for tensor in (flat, raw):
        assert columns_of((Field("s", "string"),), {"s": tensor})["s"].tolist() == values
        assert columns_of((Field("s", "bytes"),), {"s": tensor})["s"].tolist() == [text.encode() for text in values]


@settings(deadline=None)
@given(
    st.binary(), st.sampled_from(["BYTES", "FP64", "INT8", "BOOL", "FP16"]), st.lists(st.integers(-1, 9), max_size=3)
)
def test_strange_bytes_are_read_or_refused_and_nothing_else(data: bytes, datatype: str, shape: list[int]) -> None:
    for read in (from_json, lambda *given: from_bytes(*given[:3], memoryview(given[3]))):
        with suppress(InvalidInput):
            assert list(read("x", datatype, shape, data).shape) == shape


def test_a_matrix_stands_for_all_inputs_in_their_order() -> None:
    fields = (Field("a", "float64"), Field("b", "float64"))
    found = columns_of(fields, {"input-0": np.array([[1.0, 2.0], [3.0, 4.0]])})
    assert {name: column.tolist() for name, column in found.items()} == {"a": [1.0, 3.0], "b": [2.0, 4.0]}


def test_a_matrix_of_another_width_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"\[1, 3\]"):
        columns_of((Field("a", "float64"), Field("b", "float64")), {"input-0": np.ones((1, 3))})


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53), TEXT), min_size=1
    )
)
def test_the_scoring_formats_say_the_same(rows: list[tuple[float, int, str]]) -> None:
    names = [field.name for field in FIELDS]
    records = [dict(zip(names, row, strict=True)) for row in rows]
    bodies = [
        {"dataframe_split": {"columns": names, "data": rows}},
        {"dataframe_records": records},
        {"instances": records},
        {"instances": rows},
        {"inputs": {name: [record[name] for record in records] for name in names}},
    ]
    found = [scoring.decode(json.dumps(body).encode(), FIELDS).columns for body in bodies]
    listed = [{name: column.tolist() for name, column in columns.items()} for columns in found]
    assert listed == [listed[0]] * 5
    assert list(zip(*(listed[0][name] for name in names), strict=True)) == rows


def test_a_record_without_a_column_has_a_gap() -> None:
    columns = scoring.decode(b'{"dataframe_records": [{"x": 1, "s": "a"}, {"s": "b"}]}', FIELDS).columns
    assert math.isnan(columns["x"][1])


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)
    )
)
def test_strange_json_is_a_table_or_refused_and_nothing_else(value: object) -> None:
    for name in scoring.FORMATS:
        with suppress(InvalidInput):
            assert all(isinstance(c, np.ndarray) for c in scoring.decode(_json({name: value}), FIELDS).columns.values())


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
