"""MLflow's scoring contract: what a body of each kind means, and what is refused."""

from __future__ import annotations

import base64
import csv
import io
import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.registry.entities import Field
from everloop.server.inference.invocations import predictions_of
from everloop.server.inference.refusals import UnknownContent
from everloop.server.inference.scoring import content_type, decode
from tests.server.inference.linear import SIGNATURE, TENSORS

FIELDS = SIGNATURE.inputs
NAMES = [field.name for field in FIELDS]
ROWS: list[list[Any]] = [[1.5, 2, "AA", True], [900, 23, 'B6, "late"\nline', False]]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
CSV = "text/csv"


def columns(body: object, fields: tuple[Field, ...] = FIELDS, header: str = "") -> dict[str, list[object]]:
    """What a body asks, as lists."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return {name: values.tolist() for name, values in decode(raw, fields, header).columns.items()}


def written(rows: list[list[Any]], header: bool = True) -> bytes:
    """Rows as CSV; a missing value is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([NAMES, *rows] if header else rows)
    return out.getvalue().encode()


EXPECTED = {name: [row[at] for row in ROWS] for at, name in enumerate(NAMES)}
SAME: dict[str, tuple[object, str]] = {
    "split": ({"dataframe_split": {"columns": NAMES, "data": ROWS}}, ""),
    "split with an index": ({"dataframe_split": {"columns": NAMES, "index": [0, 1], "data": ROWS}}, ""),
    "records": ({"dataframe_records": RECORDS}, "application/json"),
    "instances of records": ({"instances": RECORDS}, "application/json; charset=utf-8"),
    "instances of rows": ({"instances": ROWS}, "application/json;charset=UTF-8"),
    "inputs by name": ({"inputs": EXPECTED}, ""),
    "inputs of records": ({"inputs": RECORDS}, ""),
    "CSV": (written(ROWS), CSV),
    "CSV with a mark of its encoding": (b"\xef\xbb\xbf" + written(ROWS), f"{CSV}; charset=utf-8"),
    "CSV without a header": (written(ROWS, header=False), CSV),
    "CSV without a header, as SageMaker says it": (written(ROWS, header=False), f"{CSV}; label_size=0"),
    "CSV with a header that is told of": (written(ROWS), f"{CSV}; header=present"),
    "lines of records": ("\n".join(map(json.dumps, RECORDS)).encode(), "application/jsonlines"),
    "lines of rows": ("\n".join(map(json.dumps, ROWS)).encode() + b"\n\n", "application/jsonlines"),
    "lines of features": (
        "\n".join(json.dumps({"features": row}) for row in ROWS).encode(),
        "application/x-ndjson",
    ),
}


@pytest.mark.parametrize("form", SAME)
def test_every_form_of_a_table_gives_the_same_columns(form: str) -> None:
    body, header = SAME[form]
    assert columns(body, header=header) == EXPECTED


def test_whole_numbers_widen_to_floats_and_never_the_other_way() -> None:
    found = decode(b'{"dataframe_records": [{"distance": 3, "hour": 4}]}', FIELDS)
    assert [found.columns[name].dtype for name in ("distance", "hour")] == [np.float64, np.int64]
    with pytest.raises(InvalidInput, match="hour"):
        columns({"dataframe_records": [{"hour": 4.5}]})


def test_a_missing_value_is_none_of_its_type() -> None:
    found = columns({"dataframe_records": [{"distance": None, "carrier": None, "wet": True}, {"hour": 1}]})
    assert np.isnan(found["distance"]).all()
    assert found["carrier"] == [None, None]


def test_missing_values_in_csv_are_told_by_the_words_that_tables_use() -> None:
    found = columns(written([["", 1, "", ""], ["NA", 2, "NA", "True"], ["nan", 3, "x", "false"]]), header=CSV)
    assert np.isnan(found["distance"]).all()
    assert found["carrier"] == [None, "NA", "x"]  # A carrier may well be called NA.
    assert found["hour"] == [1, 2, 3]
    assert found["wet"][1:] == [1.0, 0.0]


def test_a_whole_number_with_a_point_is_whole_in_csv() -> None:
    assert columns(written([[1, "2.0", "a", "1"]]), header=CSV)["hour"] == [2]


def test_bytes_are_base64() -> None:
    coded = base64.b64encode(b"\x00\xffx").decode()
    pixels = [[[1, 2], [3, 4]]]
    for code in (coded, {"b64": coded}):
        found = decode(json.dumps({"inputs": {"pixels": pixels, "code": [code]}}).encode(), TENSORS.inputs)
        assert found.columns["code"].tolist() == [b"\x00\xffx"]


def test_tensors_keep_their_shape_and_type() -> None:
    found = decode(b'{"inputs": {"pixels": [[[1, 2], [3, 4]], [[5, 6], [7, 8.5]]]}}', TENSORS.inputs)
    assert found.columns["pixels"].shape == (2, 2, 2)
    assert found.columns["pixels"].dtype == np.float32


def test_a_model_of_one_tensor_takes_it_without_a_name() -> None:
    fields = TENSORS.inputs[:1]
    for form in ("inputs", "instances"):
        assert columns({form: [[[1, 2], [3, 4]]]}, fields) == {"pixels": [[[1.0, 2.0], [3.0, 4.0]]]}
    assert columns({"inputs": [1, 2, 3]}, (Field("x", "float64"),)) == {"x": [1.0, 2.0, 3.0]}


@pytest.mark.parametrize("word", ["params", "parameters"])
def test_parameters_come_along(word: str) -> None:
    body = json.dumps({"dataframe_records": RECORDS, word: {"explain": True}}).encode()
    assert decode(body, FIELDS).parameters == {"explain": True}


WRONG: dict[str, tuple[object, str, str]] = {
    "no JSON": (b"hello", "", "no scoring request"),
    "a list": ([], "", "no scoring request"),
    "nothing": ({}, "", "nothing"),
    "NaN": (b'{"inputs": {"distance": [NaN]}}', "", "no scoring request"),
    "two formats": ({"inputs": {}, "instances": []}, "", "inputs, instances"),
    "another format": ({"columns": []}, "", "The body has columns"),
    "parameters in a list": ({"inputs": {}, "params": []}, "", "parameters"),
    "no table": ({"instances": 5}, "", "not a table"),
    "a table of texts": ({"dataframe_records": ["a"]}, "", "not a table"),
    "split without data": ({"dataframe_split": {"columns": ["a"]}}, "", "data"),
    "ragged": ({"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}}, "", "1 values"),
    "column twice": ({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, "", "twice"),
    "rows too short": ({"instances": [[1, 2]]}, "", "2 values, there are 4"),
    "text in numbers": ({"inputs": {"distance": ["1.5"]}}, "", "distance"),
    "number in texts": ({"inputs": {"carrier": [5]}}, "", "carrier"),
    "truth in numbers": ({"inputs": {"distance": [True]}}, "", "distance"),
    "number in truths": ({"inputs": {"wet": [1]}}, "", "wet"),
    "a date in numbers": ({"inputs": {"distance": ["2026-01-01"]}}, "", "distance"),
    "too large": ({"inputs": {"hour": [2**64]}}, "", "hour"),
    "text in numbers of CSV": (b"distance,hour\nfar,1\n", CSV, "distance"),
    "fraction in whole numbers of CSV": (b"distance,hour\n1,1.5\n", CSV, "hour"),
    "no truth in CSV": (b"distance,wet\n1,maybe\n", CSV, "wet"),
    "ragged CSV": (b"distance,hour\n1\n", CSV, "1 values, there are 2"),
    "CSV of another width": (b"1,2,3\n", CSV, "3 values, there are 4"),
    "CSV in another encoding": ("distance\n1é\n".encode("latin-1"), CSV, "UTF-8"),
    "an open quote": (b'carrier\n"AA\n', CSV, "CSV"),
    "column twice in CSV": (b"hour,hour\n1,2\n", CSV, "twice"),
    "broken line": (b'{"distance": 1}\n{"dist', "application/jsonlines", "no scoring request"),
    "lines of numbers": (b"5\n6\n", "application/jsonlines", "no scoring request"),
    "ragged tensor": ({"inputs": {"pixels": [[[1, 2], [3]]]}}, "", "pixels"),
    "flat tensor": ({"inputs": {"pixels": [1, 2]}}, "", "pixels"),
    "no base64": ({"inputs": {"code": ["*"]}}, "", "code"),
    "number for bytes": ({"inputs": {"code": [5]}}, "", "code"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_makes_no_sense_is_refused_by_what_is_wrong(case: str) -> None:
    body, header, said = WRONG[case]
    fields = (*FIELDS, *TENSORS.inputs) if "tensor" in case or "bytes" in case or "64" in case else FIELDS
    with pytest.raises(InvalidInput, match=said):
        columns(body, fields, header)


@pytest.mark.parametrize(
    "header",
    ["text/plain", "application/xml", "application/json; charset=latin-1", "text/csv; pandas=split", ";", "a/b/c"],
)
def test_other_content_types_are_not_read(header: str) -> None:
    with pytest.raises(UnknownContent) as caught:
        decode(b"{}", FIELDS, header)
    assert caught.value.status == 415


def test_a_content_type_is_read_whatever_its_case_and_spaces() -> None:
    assert content_type('Text/CSV ; Charset="UTF-8" ;').media == CSV
    assert content_type("").media == "application/json"


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8)
numbers = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
rows = st.lists(st.tuples(numbers, st.integers(-(2**53), 2**53), texts, st.booleans()), min_size=1, max_size=5)


@given(rows)
def test_a_table_is_the_same_in_csv_and_json(table: list[tuple[Any, ...]]) -> None:
    data = [list(row) for row in table]
    there = decode(written(data), FIELDS, f"{CSV}; header=present").columns
    here = decode(json.dumps({"dataframe_split": {"columns": NAMES, "data": data}}).encode(), FIELDS).columns
    for name in NAMES:
        np.testing.assert_array_equal(there[name], here[name])


@given(st.binary(max_size=200), st.sampled_from(["", CSV, "application/jsonlines"]))
def test_whatever_comes_is_read_or_refused(body: bytes, header: str) -> None:
    with suppress(InvalidInput):
        assert decode(body, FIELDS, header).columns is not None


def test_texts_that_stand_for_more_are_shown_as_that_where_the_answer_has_them() -> None:
    path = Field("path", "string", form='{"type":"array","items":{"type":"long"}}')
    assert predictions_of({"path": ["[1,2]", "[]"]}, (path,)) == [[1, 2], []]
    assert predictions_of({"earlier": ["[1,2]"]}, (path,)) == ["[1,2]"]
