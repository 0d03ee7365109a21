"""Columns: read out of tables and JSON, described, checked, turned into a matrix."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.registry.columns import (
    InputMatrix,
    MatrixColumns,
    arrays_of,
    check_inputs,
    columns_of,
    signature_of,
    typed,
)
from everloop.registry.entities import Field, Signature
from tests.examples import examples

SIGNATURE = Signature(
    (
        Field("distance", "float64"),
        Field("hour", "int64"),
        Field("carrier", "string", categories=("AA", "UA")),
        Field("night", "bool"),
        Field("key", "float64", nullable=False),
    ),
    (Field("probability", "float64"),),
)


def columns(**others: object) -> dict[str, np.ndarray]:
    given = {
        "distance": np.array([1.0, np.nan]),
        "hour": np.array([1, 2]),
        "carrier": np.array(["AA", None], dtype=object),
        "night": np.array([True, False]),
        "key": np.array([1.0, 2.0]),
    }
    return given | others  # type: ignore[return-value]  # tests hand in arrays


def test_columns_that_fit_give_the_number_of_rows() -> None:
    assert check_inputs(SIGNATURE, columns()) == 2


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"hour": np.array(["x", "y"], dtype=object)}, "hour must be int64, not object"),
        ({"hour": np.array([1.0, 2.5])}, "hour must be int64, not fractions"),
        ({"carrier": np.array([1, 2])}, "carrier must be string, not int64"),
        ({"carrier": np.array([1, "AA"], dtype=object)}, "carrier must be string, not int"),
        ({"carrier": np.array([["AA"], ["UA"]], dtype=object)}, "Not one value a row: carrier"),
        ({"night": np.array([1, 0])}, "night must be bool"),
        ({"key": np.array([1.0, np.nan])}, "key must not be missing"),
        ({"key": np.array([1.0])}, "differ in length: .*key has 1"),
        ({"distance": np.array(["2013-01-01"], dtype="M8[s]").repeat(2)}, "distance must be float64"),
        ({"distance": np.array([1j, 2])}, "distance must be float64, not complex"),
        ({"extra": np.array([1, 2])}, "Unknown: extra"),
    ],
)
def test_a_column_that_does_not_fit_is_named(others: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        check_inputs(SIGNATURE, columns(**others))


def test_all_that_is_missing_or_unknown_is_named_at_once() -> None:
    with pytest.raises(InvalidInput, match=r"Missing: hour, night\. Unknown: x, y"):
        check_inputs(SIGNATURE, {k: v for k, v in columns(x=1, y=2).items() if k not in ("hour", "night")})


def test_the_hint_lists_what_the_model_takes() -> None:
    with pytest.raises(InvalidInput) as raised:
        check_inputs(SIGNATURE, {})
    assert "distance: float64, hour: int64, carrier: string" in raised.value.hint


@pytest.mark.parametrize("kind", ["f4", "i2", "u1", "?"])
def test_any_number_does_for_a_float(kind: str) -> None:
    assert check_inputs(SIGNATURE, columns(distance=np.array([0, 1], dtype=kind))) == 2


def test_whole_floats_with_gaps_do_for_an_integer() -> None:
    assert check_inputs(SIGNATURE, columns(hour=np.array([3.0, np.nan]))) == 2


def test_a_string_that_must_be_there_may_not_be_none() -> None:
    signature = Signature((Field("carrier", "string", nullable=False),), SIGNATURE.outputs)
    with pytest.raises(InvalidInput, match="carrier must not be missing"):
        check_inputs(signature, {"carrier": np.array(["AA", None], dtype=object)})


def test_columns_of_a_table_turn_nulls_into_missing_values() -> None:
    table = pa.table({"x": [1.5, None], "s": ["a", None], "n": [1, 2]})
    found = columns_of(table, ["x", "s"])
    assert list(found) == ["x", "s"]
    assert np.isnan(found["x"][1])
    assert found["s"].tolist() == ["a", None]


def test_all_columns_of_a_table_are_read_when_none_is_named() -> None:
    assert list(columns_of(pa.table({"x": [1], "y": [2]}))) == ["x", "y"]


def test_a_column_that_the_table_lacks_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"no column z.*It has x"):
        columns_of(pa.table({"x": [1]}), ["x", "z"])


def test_a_signature_tells_types_and_categories() -> None:
    inputs = signature_of(columns()).inputs
    assert [field.type for field in inputs] == ["float64", "int64", "string", "bool", "float64"]
    assert inputs[2].categories == ("AA",)
    assert signature_of(columns(), ["a", "b"]).outputs == (Field("a", "float64"), Field("b", "float64"))


@pytest.mark.parametrize("values", [np.array(["2013-01-01"], dtype="M8[s]"), np.array([{}], dtype=object)])
def test_a_type_that_no_model_takes_is_named(values: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="Column when"):
        signature_of({"when": values})


def test_lists_out_of_json_become_the_arrays_that_the_signature_asks_for() -> None:
    given = {"distance": [1, None], "hour": [1, 2], "carrier": ["AA", None], "night": [True, False], "key": [1.0, 2]}
    arrays = arrays_of(SIGNATURE, given)
    assert check_inputs(SIGNATURE, arrays) == 2
    assert [arrays[name].dtype.kind for name in given] == ["f", "i", "O", "b", "f"]
    assert np.isnan(arrays["distance"][1])


@pytest.mark.parametrize("values", [["1", 2], [True, 2.0], [[1], [2]], [{}, 1], [None, "x"]])
def test_lists_of_the_wrong_type_are_left_for_the_check_to_name(values: list[object]) -> None:
    arrays = arrays_of(SIGNATURE, {"distance": values})
    with pytest.raises(InvalidInput, match="distance"):
        check_inputs(Signature(SIGNATURE.inputs[:1], SIGNATURE.outputs), arrays)


def test_the_matrix_has_categories_as_their_positions_and_missing_ones_as_nan() -> None:
    matrix = InputMatrix(SIGNATURE.inputs)(columns(carrier=np.array(["UA", "??"], dtype=object)))
    assert matrix.flags.c_contiguous
    assert matrix.dtype == np.float64
    assert np.array_equal(matrix, [[1, 1, 1, 1, 1], [np.nan, 2, np.nan, 0, 2]], equal_nan=True)


def test_the_matrix_names_what_is_missing() -> None:
    with pytest.raises(InvalidInput, match="hour, carrier"):
        InputMatrix(SIGNATURE.inputs)({"distance": np.array([1.0]), "night": np.array([True]), "key": np.array([1.0])})


def test_the_categorical_inputs_are_told_by_position() -> None:
    assert InputMatrix(SIGNATURE.inputs).categorical == [2]


@given(st.lists(st.one_of(st.none(), st.text(max_size=4)), min_size=1, max_size=40))
@settings(deadline=None, max_examples=examples(60))
def test_every_value_that_was_seen_has_a_code_of_its_own(values: list[str | None]) -> None:
    column = {"s": np.array([*values, "x"], dtype=object)[:-1]}
    inputs = signature_of(column).inputs
    codes = InputMatrix(inputs)(column)[:, 0]
    assert [None if np.isnan(code) else inputs[0].categories[int(code)] for code in codes] == values


@given(rows=st.integers(1, 30), cut=st.integers(0, 30))
@settings(deadline=None, max_examples=examples(30))
def test_a_part_of_the_rows_gives_that_part_of_the_matrix(rows: int, cut: int) -> None:
    whole = {"x": np.arange(float(rows)), "s": np.array(["a", "b", None] * rows, dtype=object)[:rows]}
    matrix = InputMatrix(signature_of(whole).inputs)
    part = {name: values[:cut] for name, values in whole.items()}
    assert np.array_equal(matrix(part), matrix(whole)[:cut], equal_nan=True)


RANGES = {"int8": (-128, 127), "int16": (-(2**15), 2**15 - 1), "int32": (-(2**31), 2**31 - 1), "uint8": (0, 255)}


def one(kind: str) -> Signature:
    return Signature((Field("hour", kind),), (Field("p", "float64"),))  # type: ignore[arg-type]  # a type, by name


@pytest.mark.parametrize("kind", RANGES)
@pytest.mark.parametrize("dtype", ["int64", "float64"])
@given(value=st.integers(-(2**40), 2**40))
def test_an_integer_passes_exactly_when_its_type_holds_it(kind: str, dtype: str, value: int) -> None:
    low, high = RANGES[kind]
    columns = {"hour": np.array([0, value], dtype)}
    matrix = MatrixColumns(("hour",), np.array([[0.0], [float(value)]]))
    if low <= value <= high:
        assert check_inputs(one(kind), columns) == check_inputs(one(kind), matrix) == 2
        assert typed(one(kind).inputs, columns)["hour"].tolist() == [0, value]
    else:
        for given_ in (columns, matrix):
            with pytest.raises(InvalidInput, match=rf"hour must be {kind} .*not {value}"):
                check_inputs(one(kind), given_)


@pytest.mark.parametrize(("kind", "value"), [("uint64", -1), ("int64", 2**63), ("uint64", 2**64), ("int64", -(2**70))])
def test_integers_beyond_64_bits_are_refused_and_not_wrapped(kind: str, value: int) -> None:
    signature = one(kind)
    with pytest.raises(InvalidInput, match=f"hour must be {kind}"):
        check_inputs(signature, arrays_of(signature, {"hour": [1, value]}))


def test_the_greatest_integers_of_64_bits_come_through_exactly() -> None:
    found = typed(one("uint64").inputs, arrays_of(one("uint64"), {"hour": [2**64 - 1]}))
    assert found["hour"].tolist() == [2**64 - 1]


@pytest.mark.parametrize(("kind", "least"), [("float32", 3.5e38), ("float16", 65520.0)])
def test_a_number_beyond_a_narrow_float_is_refused_and_infinity_is_not(kind: str, least: float) -> None:
    with pytest.raises(InvalidInput, match=f"hour must be {kind} .up to"):
        check_inputs(one(kind), {"hour": np.array([1.0, least])})
    assert check_inputs(one(kind), {"hour": np.array([np.inf, np.nan])}) == 2
    assert typed(one(kind).inputs, {"hour": np.array([0.1])})["hour"][0] == np.dtype(kind).type(0.1)


def test_tensors_of_integers_know_no_gaps() -> None:
    with pytest.raises(InvalidInput, match="hour has missing values, which int8 cannot hold"):
        typed(one("int8").inputs, {"hour": np.array([1.0, np.nan])})


def test_bytes_are_bytes_and_no_texts() -> None:
    assert check_inputs(one("bytes"), {"hour": np.array([b"\xff", None], dtype=object)}) == 2
    with pytest.raises(InvalidInput, match="hour must be bytes, not str"):
        check_inputs(one("bytes"), {"hour": np.array(["x"], dtype=object)})


def test_nested_lists_out_of_json_have_the_shape_of_their_field() -> None:
    signature = Signature((Field("image", "float32", shape=(2, 2)),), ())
    found = arrays_of(signature, {"image": [[[1, 2], [3, None]], [[5, 6], [7, 8]]]})
    assert check_inputs(signature, found) == 2
    assert typed(signature.inputs, found)["image"].shape == (2, 2, 2)


@pytest.mark.parametrize("values", [[[1, 2]], [[["1", "2"], ["3", "4"]]], [[[1, 2], [3]]], [[[1, True], [3, 4]]]])
def test_nested_lists_that_do_not_fit_are_named(values: list[object]) -> None:
    signature = Signature((Field("image", "float32", shape=(2, 2)),), ())
    with pytest.raises(InvalidInput, match="image"):
        check_inputs(signature, arrays_of(signature, {"image": values}))


def test_arrays_tell_their_types_and_shapes() -> None:
    columns = {"image": np.zeros((3, 2, 2), np.float32), "hour": np.zeros(3, np.int16)}
    told = signature_of(columns, {"p": np.zeros(3, np.float32), "word": np.array(["a", "b", "a"])})
    assert [(it.type, it.shape) for it in told.inputs] == [("float32", (2, 2)), ("int64", ())]
    assert [(it.type, it.categories) for it in told.outputs] == [("float32", ()), ("string", ())]
    assert signature_of(columns, narrow=True).inputs[1].type == "int16"


def test_one_output_may_be_named_without_a_list() -> None:
    columns = {"a": np.zeros(2)}
    assert signature_of(columns, "late") == signature_of(columns, ["late"])
