"""Arguments on their way into a pipeline: read by its annotations, or refused with their name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from everloop.kernel.errors import InvalidInput
from everloop.pipelines.arguments import bind
from everloop.pipelines.declare import Pipeline, pipeline


class Cut(msgspec.Struct, frozen=True):
    """Where to cut."""

    at: datetime
    share: float = 0.2


@pipeline
def fit(
    rows: int = 10,
    rate: float = 0.1,
    until: datetime | None = None,
    where: Path | None = None,
    kind: Literal["fast", "exact"] = "fast",
    cut: Cut | None = None,
    deep: bool = False,
) -> None:
    """A pipeline with a parameter of each kind."""


def bound(function: Callable[..., object], **arguments: object) -> dict[str, object]:
    return bind(Pipeline(function), arguments)


def test_what_is_not_given_has_its_default() -> None:
    assert bind(fit, {}) == {
        "rows": 10, "rate": 0.1, "until": None, "where": None, "kind": "fast", "cut": None, "deep": False
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rows", "12", 12),
        ("rate", "0.5", 0.5),
        ("until", "2026-03-01T00:00:00Z", datetime(2026, 3, 1, tzinfo=UTC)),
        ("where", "data/x.csv", Path("data/x.csv")),
        ("kind", "exact", "exact"),
        ("deep", "true", True),
    ],
)
def test_a_text_is_read_as_what_is_wanted(name: str, text: str, value: object) -> None:
    found = bind(fit, {name: text})[name]
    assert (found, type(found)) == (value, type(value))


def test_an_object_is_read_as_a_struct() -> None:
    given = {"at": "2026-01-01T00:00:00Z", "share": 0.5}
    assert bind(fit, {"cut": given})["cut"] == Cut(datetime(2026, 1, 1, tzinfo=UTC), 0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("rows", "many"), ("rows", 1.5), ("rows", True), ("until", "soon"), ("kind", "slow"), ("cut", {"share": 1})],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=f"Pipeline fit: {name}"):
        bind(fit, {name: value})


def test_an_argument_that_nobody_wants_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match="colour") as caught:
        bind(fit, {"colour": 1})
    assert "rows, rate, until" in caught.value.problem.hint


def test_an_argument_that_is_missing_is_named() -> None:
    def train(rows: int) -> None: ...

    with pytest.raises(InvalidInput, match="missing a required argument: 'rows'"):
        bound(train)


def test_a_value_that_json_has_no_form_for_is_handed_in_as_it_is() -> None:
    def train(table: pa.Table, array: np.ndarray) -> None: ...

    table, array = pa.table({"a": [1]}), np.arange(3)
    found = bound(train, table=table, array=array)
    assert found["table"] is table
    assert found["array"] is array


def test_a_parameter_without_an_annotation_takes_anything() -> None:
    def train(anything) -> None:  # type: ignore[no-untyped-def]  # That is what is tested.
        ...

    value = object()
    assert bound(train, anything=value) == {"anything": value}


def test_further_keywords_are_handed_in_beside_the_named_ones() -> None:
    def train(rows: int, **more: object) -> None: ...

    assert bound(train, rows="3", colour="red") == {"rows": 3, "colour": "red"}


def test_a_parameter_that_has_no_name_from_outside_is_refused() -> None:
    def train(*rows: int) -> None: ...

    with pytest.raises(InvalidInput, match="can only be given by position"):
        bound(train)
