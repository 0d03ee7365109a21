"""Messages of the inference protocol: what goes in is what the models get, raw or typed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripts import protocol

from everloop.kernel.errors import InvalidInput
from everloop.server.inference.grpc import inference_pb2 as pb
from everloop.server.inference.grpc.messages import parsed, response_of, tensors_of
from everloop.server.inference.served import Answered
from everloop.server.inference.tensors import datatype_of, from_bytes, to_bytes
from tests.server.inference.grpcclient import DTYPES, answers, request

WHOLE = [name for name in DTYPES if "INT" in name]
TEXTS = st.lists(st.text(st.characters(exclude_categories=("Cs",))))


def read(datatype: str, values: list[object], raw: bool) -> np.ndarray:
    """A tensor that went through the wire."""
    tensor = {"name": "t", "datatype": datatype, "shape": [len(values)], "data": values}
    message = request("m", [tensor], raw=raw)
    return tensors_of(pb.ModelInferRequest.FromString(message.SerializeToString()))["t"]


def test_the_generated_code_is_that_of_the_protocol() -> None:
    for name, text in protocol.written().items():
        assert (protocol.FOLDER / name).read_text() == text, "run python -m scripts.protocol"


def test_the_messages_are_in_a_pool_of_their_own() -> None:
    """In a process of its own: another test may have imported a client that fills the default pool."""
    asking = (
        "import everloop.server.inference.grpc.inference_pb2; from google.protobuf import descriptor_pool;"
        "descriptor_pool.Default().FindMessageTypeByName('inference.ModelInferRequest')"
    )
    asked = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True, check=False)
    assert "KeyError" in asked.stderr


@pytest.mark.parametrize("datatype", WHOLE)
def test_the_largest_and_the_smallest_whole_numbers_arrive(datatype: str) -> None:
    limits = np.iinfo(DTYPES[datatype])
    values: list[object] = [int(limits.min), 0, int(limits.max)]
    for raw in (False, True):
        found = read(datatype, values, raw)
        assert (found.dtype, found.tolist()) == (np.dtype(DTYPES[datatype]), values)


@given(st.lists(st.floats(width=32)), st.booleans())
def test_single_precision_arrives_bit_by_bit(values: list[object], raw: bool) -> None:
    expected = np.array(values, dtype=np.float32)
    assert np.array_equal(read("FP32", values, raw).astype(np.float32), expected, equal_nan=True)


@given(st.lists(st.floats()), st.booleans())
def test_doubles_arrive_bit_by_bit(values: list[object], raw: bool) -> None:
    assert np.array_equal(read("FP64", values, raw), np.array(values, dtype=float), equal_nan=True)


@given(TEXTS, st.booleans())
def test_texts_arrive(values: list[object], raw: bool) -> None:
    assert [text.decode() for text in read("BYTES", values, raw).tolist()] == values


@given(st.lists(st.booleans()), st.booleans())
def test_truths_arrive(values: list[object], raw: bool) -> None:
    found = read("BOOL", values, raw)
    assert (found.dtype, found.tolist()) == (np.dtype(bool), values)


@pytest.mark.parametrize(("datatype", "value"), [("INT8", 128), ("INT16", -40_000), ("UINT8", 256), ("UINT16", 70_000)])
def test_numbers_out_of_their_range_are_refused(datatype: str, value: int) -> None:
    with pytest.raises(InvalidInput, match=datatype):
        read(datatype, [value], raw=False)


@given(st.binary())
def test_whatever_the_bytes_they_are_a_request_or_an_error_of_ours(data: bytes) -> None:
    with suppress(InvalidInput):
        tensors_of(parsed(pb.ModelInferRequest, data))


@pytest.mark.parametrize("raw", [False, True])
def test_outputs_of_each_kind_go_out(raw: bool) -> None:
    values = {
        "score": np.array([[0.5, float("inf")], [1.5, -2.0]]),
        "class": np.array(["ü", ""], dtype=object),
        "votes": np.array([3, -(2**40)]),
        "sure": np.array([True, False]),
        "ids": ["a", "b"],
        "small": np.array([0.5, 1.5], dtype=np.float32),
    }
    message = response_of("m", Answered("7", "id", values), tuple(values), raw)
    assert [(one.name, one.datatype, list(one.shape)) for one in message.outputs] == [
        ("score", "FP64", [2, 2]),
        ("class", "BYTES", [2]),
        ("votes", "INT64", [2]),
        ("sure", "BOOL", [2]),
        ("ids", "BYTES", [2]),
        ("small", "FP32", [2]),
    ]
    assert answers(message) == {
        "score": [0.5, float("inf"), 1.5, -2.0],
        "class": ["ü", ""],
        "votes": [3, -(2**40)],
        "sure": [True, False],
        "ids": ["a", "b"],
        "small": [0.5, 1.5],
    }


@given(TEXTS)
def test_raw_texts_are_read_as_they_were_written(texts: list[str]) -> None:
    read = from_bytes("t", datatype_of(texts), [len(texts)], to_bytes(texts))
    assert [text.decode() for text in read.tolist()] == texts
