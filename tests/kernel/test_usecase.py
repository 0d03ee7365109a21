"""A use case: what the doors know of a function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
import pytest

from everloop.kernel import usecase as kernel
from everloop.kernel.errors import InvalidInput
from everloop.kernel.ids import Name
from everloop.kernel.usecase import UseCase, named, published, usecase


class Colour(msgspec.Struct, frozen=True):
    """A colour."""

    name: str
    share: float = 1.0


@pytest.fixture
def paint() -> Iterator[UseCase]:
    @usecase("tests.paint", permission="tests:write", route="PUT /rooms/{room}/walls/{wall}")
    def paint(
        session: object,
        room: Name,
        wall: int,
        colours: tuple[Colour, ...] = (),
        finish: Literal["matt", "gloss"] = "matt",
        twice: bool = False,
    ) -> list[str]:
        """Paint a wall.

        It takes a while to dry.
        """
        return [colour.name for colour in colours]

    yield published()["tests.paint"]
    del kernel._published["tests.paint"]


def test_a_use_case_knows_its_name_and_route(paint: UseCase) -> None:
    assert (paint.group, paint.verb) == ("tests", "paint")
    assert (paint.method, paint.path, paint.path_parameters) == ("PUT", "/rooms/{room}/walls/{wall}", ["room", "wall"])
    assert paint.summary == "Paint a wall."
    assert paint.result == list[str]


def test_a_use_case_is_found_by_its_name_alone(paint: UseCase) -> None:
    assert named("tests.paint") is paint is published()["tests.paint"]
    assert named("tests.varnish") is None


def test_the_session_is_no_argument(paint: UseCase) -> None:
    assert list(paint.signature.parameters) == ["room", "wall", "colours", "finish", "twice"]
    assert paint.signature_text == "room, wall, colours=(), finish='matt', twice=False"


def test_arguments_are_checked_and_converted(paint: UseCase) -> None:
    bound = paint.bind({"room": "kitchen", "wall": 1, "colours": [{"name": "red"}], "finish": "gloss"})
    assert bound == {"room": "kitchen", "wall": 1, "colours": (Colour("red"),), "finish": "gloss", "twice": False}


def test_structs_are_taken_as_they_are(paint: UseCase) -> None:
    bound = paint.bind({"room": "kitchen", "wall": 1, "colours": (Colour("red", 0.5),)})
    assert bound["colours"] == (Colour("red", 0.5),)


@pytest.mark.parametrize("made", [Colour(7), Colour("red", "half"), object()])  # type: ignore[arg-type]  # wrong on purpose
def test_structs_that_were_made_wrong_in_python_are_refused_like_those_of_every_door(
    paint: UseCase, made: object
) -> None:
    with pytest.raises(InvalidInput, match=r"^tests\.paint: "):
        paint.bind({"room": "kitchen", "wall": 1, "colours": (made,)})


def test_the_function_stays_a_function(paint: UseCase) -> None:
    assert paint.function(None, "kitchen", 1, (Colour("red"),)) == ["red"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"room": "kitchen"}, "wall"),
        ({"room": "kitchen", "wall": "1"}, "int"),
        ({"room": "kitchen", "wall": 1, "floor": 2}, "floor"),
        ({"room": "no good", "wall": 1}, "room"),
        ({"room": "kitchen", "wall": 1, "finish": "shiny"}, "finish"),
        ({"room": "kitchen", "wall": 1, "colours": [{"share": 1.0}]}, "name"),
        ({"room": "kitchen", "wall": 1, "colours": "red"}, "colours"),
        ({"room": None, "wall": 1}, "room"),
        ({"room": "kitchen", "wall": True}, "wall"),
    ],
)
def test_wrong_arguments_are_refused_by_name_with_what_it_takes(
    paint: UseCase, arguments: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=complaint) as caught:
        paint.bind(arguments)
    assert caught.value.message.startswith("tests.paint: ")
    assert "finish='matt'" in caught.value.hint


def test_text_from_a_command_line_is_read_when_it_may_be(paint: UseCase) -> None:
    bound = paint.bind({"room": "kitchen", "wall": "12", "twice": "true"}, strict=False)
    assert (bound["wall"], bound["twice"]) == (12, True)
    with pytest.raises(InvalidInput):
        paint.bind({"room": "kitchen", "wall": "many"}, strict=False)


def test_a_name_is_published_once(paint: UseCase) -> None:
    with pytest.raises(ValueError, match=r"two use cases are called tests\.paint"):
        usecase("tests.paint", permission="tests:write", route="POST /x")(lambda session: None)


def test_arguments_have_a_json_schema(paint: UseCase) -> None:
    schema = msgspec.json.schema(paint.arguments)
    properties = schema["$defs"]["TestsPaintArguments"]["properties"]
    assert properties["wall"]["type"] == "integer"
    assert schema["$defs"]["TestsPaintArguments"]["required"] == ["room", "wall"]


@pytest.mark.parametrize(
    ("route", "options", "reads_only", "repeatable"),
    [
        ("GET /x", {}, True, False),
        ("POST /x", {}, False, True),
        ("POST /x", {"long": True}, False, False),
        ("POST /x", {"secret": True}, False, False),
    ],
)
def test_what_may_be_repeated_follows_from_what_it_does(
    route: str, options: dict[str, bool], reads_only: bool, repeatable: bool
) -> None:
    found = UseCase("tests.x", lambda session: None, "tests:write", route, **{"long": False, "secret": False} | options)
    assert (found.reads_only, found.repeatable) == (reads_only, repeatable)
