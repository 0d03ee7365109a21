"""Requests and responses of the inference protocol: what is written is read as it was, by every door."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from everloop.kernel.errors import InvalidInput
from everloop.registry.entities import Field
from everloop.server.inference import oip
from everloop.server.inference.grpc import inference_pb2 as pb
from everloop.server.inference.grpc.messages import response_of, tensors_of
from everloop.server.inference.served import Answered
from everloop.server.inference.tensors import columns_of, typed
from tests.server.inference.conformance.models import TYPES

RESPONSE = oip.InferResponse("m", "1", [], "mine")
SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, max_side=4)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)


def numbers(datatype: str) -> st.SearchStrategy[np.ndarray]:
    """Arrays of a datatype, of any shape; without infinities, which JSON has not."""
    dtype = np.dtype(TYPES[datatype])
    more: dict[str, Any] = {"allow_infinity": False} if dtype.kind == "f" else {}
    return arrays.arrays(dtype, SHAPES, elements=arrays.from_dtype(dtype, **more))


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, np.ndarray]:
    """A datatype, and values of it."""
    datatype = draw(st.sampled_from(sorted(TYPES)))
    if datatype != "BYTES":
        return datatype, draw(numbers(datatype))
    shape = draw(SHAPES)
    found = np.empty(shape, dtype=object)
    found.ravel()[:] = draw(st.lists(TEXT, min_size=found.size, max_size=found.size))
    return datatype, found


def read_back(body: bytes, end: int) -> dict[str, np.ndarray]:
    """The outputs of a response, read as if they were inputs."""
    head = json.loads(body[:end] if end else body)
    text = json.dumps({"inputs": head["outputs"]}).encode()
    return oip.decode(text + (body[end:] if end else b""), str(len(text)) if end else "")[1]


def by_grpc(values: dict[str, np.ndarray], raw: bool) -> dict[str, np.ndarray]:
    """The outputs of a message, read as if they were inputs."""
    response = response_of("m", Answered("1", "", values), tuple(values), raw)
    request = pb.ModelInferRequest(model_name="m", raw_input_contents=response.raw_output_contents)
    for output in response.outputs:
        one = request.inputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        one.contents.MergeFrom(output.contents)
    return tensors_of(pb.ModelInferRequest.FromString(request.SerializeToString()))


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two tensors are one, whether their texts are texts or bytes."""
    if expected.dtype == object:
        texts = [item.decode() if isinstance(item, bytes) else item for item in found.ravel().tolist()]
        return found.shape == expected.shape and texts == expected.ravel().tolist()
    return np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f") and found.dtype == expected.dtype


@settings(deadline=None)
@given(tensors(), tensors(), st.booleans(), st.booleans())
def test_what_a_response_holds_is_read_as_it_was(
    one: tuple[str, np.ndarray], other: tuple[str, np.ndarray], first_binary: bool, second_binary: bool
) -> None:
    values = {"one": one[1], "other": other[1]}
    wishes = [
        oip.Wish("one", {"binary_data": first_binary}),
        oip.Wish("other", {"binary_data": second_binary}),
    ]
    found = read_back(*oip.encode(RESPONSE, values, wishes))
    assert all(same(found[name], values[name]) for name in values)


@settings(deadline=None)
@given(tensors(), st.booleans())
def test_grpc_reads_what_it_writes(one: tuple[str, np.ndarray], raw: bool) -> None:
    assert same(by_grpc({"one": one[1]}, raw)["one"], one[1])


@settings(deadline=None)
@given(tensors())
def test_all_doors_give_the_same_columns(one: tuple[str, np.ndarray]) -> None:
    datatype, values = one
    field = Field("one", TYPES[datatype], shape=values.shape[1:])
    doors = [
        read_back(*oip.encode(RESPONSE, {"one": values})),
        read_back(*oip.encode(RESPONSE, {"one": values}, binary=True)),
        by_grpc({"one": values}, raw=False),
        by_grpc({"one": values}, raw=True),
    ]
    columns = [columns_of([field], door)["one"] for door in doors]
    assert all(column.dtype == columns[0].dtype and column.shape == values.shape for column in columns)
    assert all(column.tolist() == columns[0].tolist() or values.dtype.kind == "f" for column in columns)


@settings(deadline=None)
@given(tensors(), st.integers(0, 200), st.integers(-30, 30))
def test_a_request_that_is_cut_or_lengthened_is_read_or_refused_and_nothing_else(
    one: tuple[str, np.ndarray], cut: int, shift: int
) -> None:
    body, end = oip.encode(RESPONSE, {"one": one[1]}, binary=True)
    head = json.dumps({"inputs": json.loads(body[:end])["outputs"]}).encode()
    with suppress(InvalidInput):
        oip.decode((head + body[end:])[: len(head) + cut], str(len(head) + shift))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | TEXT, lambda inner: st.lists(inner)))
def test_strange_data_is_a_tensor_or_refused_and_nothing_else(data: object) -> None:
    for datatype in TYPES:
        body = json.dumps({"inputs": [{"name": "x", "datatype": datatype, "shape": [2], "data": data}]})
        with suppress(InvalidInput):
            assert oip.decode(body.encode())[1]["x"].shape == (2,)


def test_a_number_that_is_none_goes_out_as_null_and_comes_in_as_missing() -> None:
    body, _ = oip.encode(RESPONSE, {"y": np.array([np.nan, 1.0, np.inf])})
    assert b'"data":[null,1.0,null]' in body
    assert np.isnan(read_back(body, 0)["y"]).tolist() == [True, False, True]


def test_nan_and_infinity_come_in_as_some_clients_write_them() -> None:
    body = b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [3], "data": [NaN, -Infinity, 1]}]}'
    found = oip.decode(body)[1]["x"]
    assert np.array_equal(found, [np.nan, -np.inf, 1.0], equal_nan=True)


@pytest.mark.parametrize("number", ["1e999", '"\\ud800"', "1" * 5000, "[" * 5000 + "]" * 5000])
def test_what_no_client_means_is_refused_beside_what_some_write(number: str) -> None:
    body = f'{{"id": null, "inputs": [{{"name": "x", "datatype": "FP64", "shape": [2], "data": [NaN, {number}]}}]}}'
    with pytest.raises(InvalidInput):
        oip.decode(body.encode())


def test_half_a_surrogate_is_no_id() -> None:
    with pytest.raises(InvalidInput):
        oip.decode(b'{"id": "\\uD800", "outputs": null, "inputs": []}')


def test_bytes_that_are_no_text_are_refused_in_json_and_go_out_as_binary_data() -> None:
    values = {"y": np.array([b"\xff"], dtype=object)}
    with pytest.raises(InvalidInput, match="binary_data"):
        oip.encode(RESPONSE, values)
    assert read_back(*oip.encode(RESPONSE, values, binary=True))["y"].tolist() == [b"\xff"]


def test_bytes_come_in_as_base64_where_the_tensor_says_so() -> None:
    tensor = {
        "name": "x",
        "datatype": "BYTES",
        "shape": [1],
        "data": ["/w=="],
        "parameters": {"content_type": "base64"},
    }
    assert oip.decode(json.dumps({"inputs": [tensor]}).encode())[1]["x"].tolist() == [b"\xff"]
    with pytest.raises(InvalidInput, match="base64"):
        oip.decode(json.dumps({"inputs": [tensor | {"data": ["?"]}]}).encode())


def test_whole_numbers_beside_gaps_are_refused_where_a_double_cannot_hold_them() -> None:
    def asked(value: int) -> bytes:
        tensor = {"name": "x", "datatype": "INT64", "shape": [2], "data": [value, None]}
        return json.dumps({"inputs": [tensor]}).encode()

    assert oip.decode(asked(2**53))[1]["x"][0] == 2**53
    with pytest.raises(InvalidInput, match="missing"):
        oip.decode(asked(2**53 + 1))


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (np.array([1.0, 2.0]), "int64", "int64"),
        (np.array([1.5]), "int64", "float64"),
        (np.array([0.1]), "float32", "float32"),
        (np.array([1, 2], dtype=np.int32), "int64", "int64"),
        (np.array([300]), "int8", "int64"),
        (np.array([np.nan]), "int64", "float64"),
    ],
)
def test_an_output_is_of_its_fields_type_where_no_value_changes(values: np.ndarray, kind: Any, expected: str) -> None:
    found = typed(Field("y", kind), values)
    assert isinstance(found, np.ndarray)
    assert found.dtype.name == expected


@pytest.mark.parametrize("name", ["shared_memory_region", "classification"])
def test_what_is_not_supported_is_refused_in_so_many_words(name: str) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}
    body = {"inputs": [tensor], "outputs": [{"name": "y", "parameters": {name: 1}}]}
    with pytest.raises(InvalidInput, match="not supported"):
        oip.decode(json.dumps(body).encode())
