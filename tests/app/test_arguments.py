"""Arguments as text, there and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.app.arguments import Shape, read, shape_of, texts_of
from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json, UseCase


class Point(msgspec.Struct, frozen=True):
    x: int
    y: float = 0.0


def plot(
    session: Session,
    name: Name,
    count: int = 1,
    share: float = 0.5,
    deep: bool = False,
    at: datetime | None = None,
    over: timedelta = timedelta(0),
    kind: Literal["dots", "lines"] = "dots",
    level: Literal[1, 2] = 1,
    tags: tuple[str, ...] = (),
    sizes: tuple[int, ...] = (),
    points: tuple[Point, ...] = (),
    labels: dict[str, Json] = {},  # noqa: B006
    middle: Point | None = None,
    raw: bytes = b"",
) -> list[str]:
    """Plot something."""
    return []


PLOT = UseCase("plots.plot", plot, "plots:write", "GET /plots/{name}", long=False, secret=False)


@pytest.mark.parametrize(
    ("annotation", "shape"),
    [
        (str, "text"),
        (Annotated[str, msgspec.Meta(pattern="x")], "text"),
        (int | None, "text"),
        (Literal["a", "b"], "text"),
        (datetime, "text"),
        (bool, "boolean"),
        (bool | None, "boolean"),
        (list[int], "list"),
        (tuple[str, ...], "list"),
        (tuple[Point, ...], "json"),
        (Point, "json"),
        (dict[str, str], "json"),
        (Json, "json"),
        (list[dict[str, Any]], "json"),
    ],
)
def test_the_shape_follows_from_the_type(annotation: Any, shape: Shape) -> None:
    assert shape_of(annotation) == shape


@pytest.mark.parametrize(
    ("name", "texts", "value"),
    [
        ("name", ["7"], "7"),
        ("count", ["7"], 7),
        ("share", ["1"], 1.0),
        ("deep", ["true"], True),
        ("deep", ["0"], False),
        ("kind", ["lines"], "lines"),
        ("level", ["2"], 2),
        ("tags", ["1", "b"], ["1", "b"]),
        ("sizes", ["1", "2"], [1, 2]),
        ("points", ['[{"x": 1}]'], [{"x": 1}]),
        ("labels", ['{"a": null}'], {"a": None}),
        ("over", ["2h"], timedelta(hours=2)),
        ("over", ["PT2H"], "PT2H"),
    ],
)
def test_texts_are_read_by_the_type_of_their_parameter(name: str, texts: list[str], value: object) -> None:
    assert read(PLOT, {name: texts})[name] == value


@pytest.mark.parametrize("text", ["2013-03-01", "2013-03-01 00:00", "2013-03-01T00:00:00", "2013-03-01T00:00:00Z"])
def test_a_time_may_be_a_date_and_is_utc_unless_it_says_otherwise(text: str) -> None:
    bound = PLOT.bind(read(PLOT, {"name": ["x"], "at": [text]}))
    assert bound["at"] == datetime(2013, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("count", "x"),
        ("count", "1.5"),
        ("share", "x"),
        ("deep", "maybe"),
        ("points", "[{"),
        ("at", "soon"),
        ("over", "x"),
    ],
)
def test_a_text_that_makes_no_sense_is_wrong_input_that_names_it(name: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        PLOT.bind(read(PLOT, {"name": ["x"], name: [text]}))


def test_an_unknown_name_is_left_to_the_signature() -> None:
    with pytest.raises(InvalidInput, match="colour"):
        PLOT.bind(read(PLOT, {"name": ["x"], "colour": ["red"]}))


def test_defaults_are_not_spelled_out() -> None:
    assert texts_of(PLOT, PLOT.bind({"name": "x"})) == {"name": ["x"]}


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
"""What every database keeps; the rest is refused."""
values = st.fixed_dictionaries(
    {"name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True)},
    optional={
        "count": st.integers(-(2**63), 2**63 - 1),
        "share": st.floats(allow_nan=False, allow_infinity=False),
        "deep": st.booleans(),
        "at": st.datetimes(timezones=st.just(UTC)),
        "over": st.timedeltas(timedelta(0), timedelta(days=9999)),
        "kind": st.sampled_from(["dots", "lines"]),
        "level": st.sampled_from([1, 2]),
        "tags": st.lists(texts, min_size=1).map(tuple),
        "sizes": st.lists(st.integers(0, 9), min_size=1).map(tuple),
        "points": st.lists(st.builds(Point, st.integers(0, 9)), min_size=1).map(tuple),
        "labels": st.dictionaries(texts, st.none() | st.booleans() | texts | st.integers(0, 9)),
        "middle": st.builds(Point, st.integers(0, 9)),
        "raw": st.binary(),
    },
)


@given(values)
def test_what_is_spelled_is_read_back(arguments: dict[str, Any]) -> None:
    bound = PLOT.bind(arguments)
    assert PLOT.bind(read(PLOT, texts_of(PLOT, bound))) == bound
