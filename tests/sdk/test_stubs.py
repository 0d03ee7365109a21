"""What editors see is what there is."""

from __future__ import annotations

import ast
from typing import Any, Literal

import pytest

from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json, published
from everloop.sdk.stubs import STUB, Spelling, stub
from everloop.store.entities import Digest


def test_the_stub_is_in_sync() -> None:
    assert STUB.read_text() == stub(), "write it anew: python -m everloop.sdk.stubs"


def test_every_use_case_is_a_documented_method_of_its_group() -> None:
    classes = {node.name: node for node in ast.parse(stub()).body if isinstance(node, ast.ClassDef)}
    for usecase in published().values():
        methods = {
            part.name: part
            for part in classes[f"{usecase.group.title()}Group"].body
            if isinstance(part, ast.FunctionDef)
        }
        names = [argument.arg for argument in methods[usecase.verb].args.args]
        assert names == ["self", *usecase.signature.parameters]
        assert ast.get_docstring(methods[usecase.verb])


def test_every_group_is_an_attribute() -> None:
    everloop = next(n for n in ast.parse(stub()).body if isinstance(n, ast.ClassDef) and n.name == "Everloop")
    attributes = {
        part.target.id
        for part in everloop.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }
    assert attributes == {usecase.group for usecase in published().values()}


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (None, "None"),
        (Name, "str"),
        (Digest, "everloop.store.entities.Digest"),
        (int | None, "int | None"),
        (list[str], "builtins.list[str]"),
        (tuple[str, ...], "tuple[str, ...]"),
        (Literal["a", 1], "typing.Literal['a', 1]"),
        (Json, "everloop.kernel.usecase.Json"),
        (dict[str, Json], "dict[str, everloop.kernel.usecase.Json]"),
        (Any, "typing.Any"),
    ],
)
def test_a_type_is_spelled_so_that_it_means_the_same(annotation: Any, text: str) -> None:
    assert Spelling({"list"}).of(annotation) == text
