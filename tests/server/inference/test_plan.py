"""The plan of the hot path: it reads what the protocol's own decoder reads, or leaves it to that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.kernel.errors import EverloopError
from everloop.registry.columns import MatrixColumns, check_inputs
from everloop.registry.entities import Field, Signature
from everloop.server.inference import oip
from everloop.server.inference.plan import Asking, Plan
from everloop.server.inference.served import Answered
from everloop.server.inference.tensors import columns_of
from everloop.serving.computed import Computed

DOUBLES = tuple(Field(name, "float64") for name in ("a", "b", "c"))
MIXED = (Field("a", "float64"), Field("n", "int64"), Field("t", "string"))


class Named:
    """Something served that is only ever described."""

    name = "m"
    versions = ("1",)
    outputs = (Field("y", "float64"), Field("id", "string"))

    def __init__(self, inputs: tuple[Field, ...] = DOUBLES) -> None:
        self.inputs = inputs

    def compute(self, requests: object) -> Computed[Answered]:
        raise NotImplementedError  # Plans are made and read here, never run.


def both(
    body: bytes, inputs: tuple[Field, ...], header: str = ""
) -> tuple[Asking | None, Mapping[str, np.ndarray] | None]:
    """What the plan reads, and the columns that the decoder reads; None where they read nothing."""
    found = Plan(Named(inputs)).read(body, int(header or len(body)))
    try:
        columns = columns_of(inputs, oip.decode(body, header)[1])
        check_inputs(Signature(inputs, ()), columns)
    except EverloopError:
        return found, None
    return found, columns


def same(found: Asking | None, columns: Mapping[str, np.ndarray] | None, inputs: tuple[Field, ...]) -> None:
    """Both are the same, or the plan leaves it to the door, or the check of the inputs refuses it."""
    if found is None:
        return
    if columns is None:
        with pytest.raises(EverloopError):
            check_inputs(Signature(inputs, ()), found.columns)
        return
    assert list(found.columns) == list(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(found.columns[name], values)
        assert found.rows == len(values)


numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**70), 2**70), st.none())
strange = st.one_of(numbers, st.booleans(), st.text(max_size=3), st.lists(numbers, max_size=3))
datatypes = st.sampled_from(["FP64", "FP64", "FP64", "FP32", "INT64", "BOOL", "BYTES", "FP65"])


def tensor(name: st.SearchStrategy[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    shapes = st.lists(st.sampled_from([1, 2, 3, 3, 0, -1]), min_size=0, max_size=3)
    data = st.one_of(st.lists(values, max_size=7), st.lists(st.lists(values, min_size=3, max_size=3), max_size=3))
    return st.fixed_dictionaries({"name": name, "shape": shapes, "datatype": datatypes, "data": data})


@settings(max_examples=300, deadline=None)
@given(st.lists(tensor(st.sampled_from(["a", "b", "c", "x"]), strange), min_size=1, max_size=3), st.booleans())
def test_whatever_is_sent_the_plan_reads_it_as_the_decoder_does(tensors: list[dict[str, Any]], mixed: bool) -> None:
    inputs = MIXED if mixed else DOUBLES
    same(*both(json.dumps({"inputs": tensors}).encode(), inputs), inputs)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=5), st.booleans(), st.booleans())
def test_matrices_are_read_as_the_decoder_reads_them(rows: list[list[float | None]], nested: bool, named: bool) -> None:
    if named:
        tensors = [
            {"name": name, "shape": [len(rows)], "datatype": "FP64", "data": [row[at] for row in rows]}
            for at, name in enumerate("abc")
        ]
    else:
        data: list[Any] = list(rows) if nested else [value for row in rows for value in row]
        tensors = [{"name": "x", "shape": [len(rows), 3], "datatype": "FP64", "data": data}]
    found, columns = both(json.dumps({"inputs": tensors}).encode(), DOUBLES)
    assert found is not None
    assert isinstance(found.columns, MatrixColumns)
    same(found, columns, DOUBLES)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(numbers, st.integers(-(2**63), 2**63 - 1), texts), min_size=1, max_size=4),
    st.permutations("ant"),
)
def test_texts_and_numbers_are_read_as_the_decoder_reads_them(rows: list[tuple[Any, ...]], order: list[str]) -> None:
    kinds = {"a": "FP64", "n": "INT64", "t": "BYTES"}
    tensors = [
        {"name": name, "shape": [len(rows)], "datatype": kinds[name], "data": [row["ant".index(name)] for row in rows]}
        for name in order
    ]
    with patch.object(oip, "decode", side_effect=AssertionError("the plan needs no help")):
        found = Plan(Named(MIXED)).read(json.dumps({"inputs": tensors}).encode(), len(json.dumps({"inputs": tensors})))
    assert found is not None
    same(found, both(json.dumps({"inputs": tensors}).encode(), MIXED)[1], MIXED)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=32), min_size=3, max_size=12), st.sampled_from(["FP32", "FP64"]), st.integers(-9, 9))
def test_binary_tensors_are_read_as_the_decoder_reads_them(values: list[float], datatype: str, more: int) -> None:
    raw = np.array(values, np.float32 if datatype == "FP32" else np.float64).tobytes()
    shape = [len(values) // 3, 3]
    size = {"binary_data_size": len(raw) + more}
    head = json.dumps({"inputs": [{"name": "x", "shape": shape, "datatype": datatype, "parameters": size}]}).encode()
    found, columns = both(head + raw, DOUBLES, str(len(head)))
    assert (found is None) == (columns is None)
    same(found, columns, DOUBLES)


@pytest.mark.parametrize(
    "values",
    [
        {"y": np.array([0.1, np.nan, np.inf])},
        {"y": np.array([[0.1, 0.2]])},
        {"y": np.array([1, 2], np.int32)},
        {"y": np.array([0.5]), "id": ['"quoted" ü']},
        {"id": ["a", None]},
        {"id": np.array([b"a"], object)},
    ],
)
def test_answers_are_written_as_the_encoder_writes_them(values: dict[str, Any]) -> None:
    plan, asking = Plan(Named()), Asking({}, 1, "")
    body, end = plan.write(Answered("1", "mine", values), asking)
    expected, _ = oip.encode(oip.InferResponse("m", "1", [], "mine"), values)
    assert (json.loads(body), end) == (json.loads(expected), 0)


@pytest.mark.parametrize("values", [{"y": np.array([0.1, np.nan])}, {"y": np.arange(9.0)[::2], "id": ["a"] * 5}])
def test_binary_answers_are_written_as_the_encoder_writes_them(values: dict[str, Any]) -> None:
    body, end = Plan(Named()).write(Answered("1", "", values), Asking({}, 1, "", binary=True))
    expected, until = oip.encode(oip.InferResponse("m", "1", []), values, binary=True)
    assert (json.loads(body[:end]), body[end:]) == (json.loads(expected[:until]), expected[until:])


@pytest.mark.parametrize(
    ("more", "read"),
    [
        ({"outputs": [{"name": "y"}]}, True),
        ({"outputs": [{"name": "y", "parameters": {"binary_data": True}}]}, True),
        ({"outputs": [{"name": "z"}]}, False),
        ({"outputs": [{"name": "y"}, {"name": "y"}]}, False),
        ({"outputs": [{"name": "y", "parameters": {"classification": 2}}]}, False),
        ({"parameters": {"timeout": 5000}}, True),
        ({"parameters": {"timeout": "soon"}}, False),
        ({"parameters": {"explain": True}}, False),
    ],
)
def test_what_is_unusual_is_left_to_the_door(more: dict[str, Any], read: bool) -> None:
    body = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [1, 2, 3]}]}
    encoded = json.dumps(body | more).encode()
    assert (Plan(Named()).read(encoded, len(encoded)) is not None) == read
