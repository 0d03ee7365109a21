"""What MLflow's description of a model says, also where we have no types for it."""

from __future__ import annotations

import json

import pytest

from everloop.kernel.errors import InvalidInput
from everloop.registry import forms, mlmodel

ODD = [
    {"type": "datetime", "name": "at", "required": True},
    {"type": "array", "name": "path", "items": {"type": "array", "items": {"type": "double"}}},
    {
        "type": "object",
        "name": "who",
        "properties": {"id": {"type": "long"}, "nick": {"type": "string", "required": False}},
    },
]


def described(inputs: list[dict[str, object]]) -> mlmodel.MlModel:
    """An MLmodel with these inputs."""
    text = json.dumps({"flavors": {}, "signature": {"inputs": json.dumps(inputs), "outputs": None}})
    return mlmodel.read(text.encode())


def test_types_that_no_model_takes_are_told_in_mlflows_words() -> None:
    assert described(ODD).told.splitlines() == [
        "- input `at`: `datetime`",
        "- input `path`: `[[double]]`",
        "- input `who`: `{id: long, nick: string (optional)}`",
    ]


def test_such_columns_are_texts_of_a_form() -> None:
    at, path, who = described(ODD).signature.inputs
    assert [it.type for it in (at, path, who)] == ["string"] * 3
    assert [forms.is_time(it) for it in (at, path, who)] == [True, False, False]
    assert forms.problem(path, ["[[1.5], []]"]) == ""
    assert "lacks id" in forms.problem(who, ['{"nick": "bo"}'])


@pytest.mark.parametrize("dtype", ["complex128", "datetime64[ns]", "void"])
def test_tensors_of_types_that_no_model_takes_are_refused(dtype: str) -> None:
    tensor = {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, 2]}}
    with pytest.raises(InvalidInput, match="which no model takes here"):
        _ = described([tensor]).signature


@pytest.mark.parametrize("spec", ["float64", {"dtype": "float64", "shape": [None]}, {"dtype": "float64", "shape": 3}])
def test_a_tensor_that_says_nothing_is_refused(spec: object) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        _ = described([{"type": "tensor", "tensor-spec": spec}]).signature


def test_tensors_are_told_with_their_shape() -> None:
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 28]}}
    assert described([tensor]).told == "- input `inputs`: `tensor of float32 [-1, 28]`"


def test_a_signature_that_is_no_json_is_refused() -> None:
    found = mlmodel.read(b'{"flavors": {}, "signature": {"inputs": "[{", "outputs": null}}')
    with pytest.raises(InvalidInput, match="cannot be read"):
        _ = found.told
