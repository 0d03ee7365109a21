"""What texts stand for: times, lists, objects and maps, as MLflow's schema has them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.registry import forms
from everloop.registry.columns import arrays_of, check_inputs
from everloop.registry.entities import Field, Signature

LONGS = {"type": "array", "items": {"type": "long"}}
PERSON = {
    "type": "object",
    "properties": {"id": {"type": "long", "required": True}, "nick": {"type": "string", "required": False}},
}
SCORES = {"type": "map", "values": {"type": "double"}}


def field(part: dict[str, Any], nullable: bool = False) -> Field:
    """A column of a form."""
    return Field("x", "string", nullable, form=forms.form_of(part))


def told(part: dict[str, Any], *values: object) -> str:
    """What is wrong with a column of values that came as JSON, "" for nothing."""
    signature = Signature((field(part),), ())
    try:
        check_inputs(signature, arrays_of(signature, {"x": list(values)}))
    except InvalidInput as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ({"type": "datetime"}, "2026-11-23T02:50:00"),
        ({"type": "datetime"}, "2026-11-23"),
        ({"type": "datetime"}, "2026-11-23T02:50:00.123456+01:00"),
        (LONGS, []),
        (LONGS, [1, -(2**63)]),
        ({"type": "array", "items": LONGS}, [[1], []]),
        (PERSON, {"id": 1}),
        (PERSON, {"id": 1, "nick": None}),
        (PERSON, {"id": 1, "nick": "bo"}),
        (SCORES, {}),
        (SCORES, {"a": 1, "b": 0.5}),
        ({"type": "any"}, {"what": ["ever", 1, None]}),
        ({"type": "any"}, "text"),
        ({"type": "array", "items": {"type": "any"}}, [1, "a", None]),
        ({"type": "array", "items": {"type": "datetime"}}, ["2026-01-01"]),
    ],
)
def test_what_fits_goes_through_and_comes_out_as_it_was(part: dict[str, Any], value: object) -> None:
    assert told(part, value) == ""
    one = field(part)
    (back,) = forms.shown(one, forms.texts_of(one, [value]))
    assert back == value


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ({"type": "datetime"}, "yesterday", "no time as ISO 8601 writes it"),
        ({"type": "datetime"}, 5, "no time as ISO 8601 writes it"),
        (LONGS, [1.5], "1.5 is no whole number of 64 bits"),
        (LONGS, [2**63], "no whole number of 64 bits"),
        (LONGS, [True], "no whole number"),
        (LONGS, {"a": 1}, "is no list"),
        (LONGS, ["1"], '"1" is no whole number'),
        ({"type": "array", "items": {"type": "integer"}}, [2**31], "32 bits"),
        (PERSON, {}, "the object lacks id"),
        (PERSON, {"id": None}, "in 'id'"),
        (PERSON, {"id": 1, "age": 3}, "has age, which the signature does not know"),
        (PERSON, {"id": 1, "nick": 3}, "in 'nick', 3 is no text"),
        (PERSON, [1], "is no object"),
        (SCORES, {"a": "b"}, "at 'a'"),
        (SCORES, [], "is no map"),
        (SCORES, None, "must not be missing"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_place(part: dict[str, Any], value: object, said: str) -> None:
    assert said in told(part, value)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "array"},
        {"type": "array", "items": {"type": "nonsense"}},
        {"type": "map", "values": 3},
        {"type": "object"},
        {"type": "object", "properties": {"a": "string"}},
        {"type": "object", "properties": {"a": None}},
        {"type": "array", "items": json.loads('{"type": "array", "items": ' * 40 + "{}" + "}" * 40)},
    ],
)
def test_a_schema_that_says_nothing_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        forms.form_of(part)


@pytest.mark.parametrize("part", [{"type": "datetime"}, LONGS, PERSON, SCORES, {"type": "any"}])
def test_a_sample_is_of_its_form(part: dict[str, Any]) -> None:
    assert forms.problem(field(part), [forms.sample(field(part))]) == ""


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=8))
def test_any_json_comes_back_as_it_was(value: object) -> None:
    one = field({"type": "any"}, nullable=True)
    assert forms.shown(one, forms.texts_of(one, [value])) == [value]


def test_values_of_numpy_are_told_as_json() -> None:
    one = field({"type": "object", "properties": {"a": LONGS}})
    assert forms.texts_of(one, [{"a": np.arange(2)}, {"a": np.int64(3)}]) == ['{"a":[0,1]}', '{"a":3}']


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00Z"),
        (pd.Timestamp("2024-01-02 03:04"), "2024-01-02T03:04:00"),
        (np.datetime64("2024-01-02", "s"), "2024-01-02T00:00:00"),
        (np.datetime64("2024-01-02", "ns"), "2024-01-02T00:00:00.000000000"),
        (pd.NaT, None),
        (np.datetime64("NaT"), None),
        (float("nan"), None),
    ],
)
def test_times_that_a_model_gives_are_told_as_iso_8601_has_them(given: object, text: str | None) -> None:
    at = field({"type": "datetime"})
    assert forms.texts_of(at, [given]) == [text]
    assert forms.problem(at, [text]) == ""
    several = field({"type": "array", "items": {"type": "datetime"}})
    if text is not None:
        assert forms.texts_of(several, [[given]]) == [json.dumps([text])]


def test_a_column_of_times_is_told_as_iso_8601_has_them() -> None:
    at = field({"type": "array", "items": {"type": "datetime"}})
    column = np.array(["2024-01-02", "2024-01-03"], "datetime64[D]")
    assert forms.texts_of(at, [column]) == ['["2024-01-02","2024-01-03"]']


def test_what_json_does_not_have_is_no_value() -> None:
    with pytest.raises(TypeError, match="no JSON for object"):
        forms.texts_of(field({"type": "any"}), [object()])


def test_a_schema_without_an_end_is_told_as_far_as_one_reads() -> None:
    deep = json.loads('{"type": "object", "properties": {"a": ' * 400 + "{}" + "}}" * 400)
    assert forms.worded(deep).count("a: ") < 20


def test_plain_columns_have_no_form() -> None:
    assert forms.form_of({"type": "double", "name": "x"}) == ""


def test_a_form_is_told_in_mlflows_words() -> None:
    parts = (LONGS, PERSON, SCORES, {"type": "datetime"}, {"type": "any"})
    words = ["[long]", "{id: long, nick: string (optional)}", "map of double", "datetime", "any"]
    assert [forms.spelled(field(part)) for part in parts] == words
    assert forms.spelled(Field("x", "float64")) == "float64"
