"""MLflow's scoring protocol: tables in JSON, CSV or lines of JSON in, predictions out. SageMaker asks the same way."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.registry.entities import Field
from everloop.server.inference.refusals import UnknownContent
from everloop.server.inference.tensors import MALFORMED, from_values

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
PARAMETERS = ("params", "parameters")
"""Where a body says what is beside its rows: MLflow's word and Vertex AI's."""
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>", "#n/a"})
"""What stands in CSV for a number that is missing, in any case. A missing text is an empty one."""
_TRUTHS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
_TYPE_PARAMETERS = frozenset({"charset", "header", "label_size"})


class Frame(msgspec.Struct):
    """A table: its column names, and its rows."""

    columns: list[str]
    data: list[list[Json]]
    index: list[Json] = []


class Asked(msgspec.Struct, frozen=True):
    """What a scoring request asks: columns by name, and what it says beside them."""

    columns: dict[str, np.ndarray]
    parameters: dict[str, Json] = {}


class ContentType(msgspec.Struct, frozen=True):
    """A media type and its parameters, in lower case."""

    media: str
    parameters: dict[str, str]


def content_type(header: str) -> ContentType:
    """The content type that a header names; JSON where there is none.

    Raises:
        UnknownContent: it has parameters that nothing here goes by, or is not UTF-8.
    """
    media, *pairs = (part.strip().lower() for part in (header or "application/json").split(";"))
    split = [pair.partition("=") for pair in pairs if pair]
    parameters = {name.strip(): value.strip().strip('"') for name, _, value in split}
    unknown = sorted(parameters.keys() - _TYPE_PARAMETERS)
    if unknown:
        raise UnknownContent(f"The content type {header[:200]!r} has the unknown {', '.join(unknown)}.")
    if parameters.get("charset", "utf-8") not in ("utf-8", "utf8", "us-ascii"):
        raise UnknownContent(f"The body is in {parameters['charset']}.", hint="Send UTF-8.")
    return ContentType(media, parameters)


def decode(body: bytes, fields: Sequence[Field], header: str = "") -> Asked:
    """What a scoring request asks, as the fields have it; a column that is in no field is kept as it is.

    `header` is the request's Content-Type.

    Raises:
        UnknownContent: the content type is not one of those that are read here.
        InvalidInput: the body is none of that type, in none of the formats, or a value is not of its column's type.
    """
    kind = content_type(header)
    if kind.media not in _READERS:
        raise UnknownContent(
            f"Bodies of the type {kind.media[:200]!r} are not read here.", hint=f"Send {', '.join(_READERS)}."
        )
    return _READERS[kind.media](body, fields, kind)


def payload_of(body: bytes) -> dict[str, Json]:
    """A body of JSON, decoded.

    Raises:
        InvalidInput: it is no JSON object.
    """
    return dict(_decoded(body, dict[str, Json]))


def from_payload(payload: Mapping[str, Json], fields: Sequence[Field]) -> Asked:
    """What a decoded JSON body asks.

    Raises:
        InvalidInput: it is in none of the formats, or a value is not of its column's type.
    """
    given = [name for name in FORMATS if name in payload]
    if len(given) != 1:
        raise InvalidInput(f"The body has {', '.join(payload) or 'nothing'}.", hint=_hint())
    parameters = next((payload[name] for name in PARAMETERS if payload.get(name) is not None), {})
    if not isinstance(parameters, dict):
        raise InvalidInput("The parameters are no object.", hint='Send {"params": {"name": value}}.')
    return Asked(_columns(_lists(given[0], payload[given[0]], fields), fields), parameters)


def _from_json(body: bytes, fields: Sequence[Field], kind: ContentType) -> Asked:
    return from_payload(payload_of(body), fields)


def _from_lines(body: bytes, fields: Sequence[Field], kind: ContentType) -> Asked:
    """Each line is a record, the values of a row, or a record below `features`, as SageMaker's examples have it."""
    rows = [_decoded(line, dict[str, Json] | list[Json]) for line in body.splitlines() if line.strip()]
    values = [row["features"] if isinstance(row, dict) and row.keys() == {"features"} else row for row in rows]
    return Asked(_columns(_lists("the lines", values, fields), fields))


def _from_csv(body: bytes, fields: Sequence[Field], kind: ContentType) -> Asked:
    """The first line is the header where it names an input; otherwise the columns are the inputs in their order."""
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        rows = [row for row in lines if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"The body is no CSV in UTF-8: {error}.") from None
    names = [field.name for field in fields]
    said = kind.parameters.get("header", "present" if rows and set(rows[0]) & set(names) else "absent")
    if said == "present" and rows:
        names, rows = rows[0], rows[1:]
    known = {field.name: field for field in fields}
    cells = _from_frame(Frame(names, rows))  # type: ignore[arg-type]  # Cells are texts, which are JSON as well.
    values = {name: [_cell(known[name], str(c)) for c in column] if name in known else column
              for name, column in cells.items()}  # fmt: skip
    return Asked(_columns(values, fields))


_READERS = {
    "application/json": _from_json,
    "text/csv": _from_csv,
    "application/jsonlines": _from_lines,
    "application/x-ndjson": _from_lines,
}


def _cell(field: Field, text: str) -> Json:
    """A cell as the JSON value that it stands for; what stands for none of the type is refused with the column."""
    if field.type in ("string", "bytes"):
        return text or None
    word = text.strip().lower()
    if word in MISSING:
        return None
    if field.type == "bool":
        return _TRUTHS.get(word, text)
    try:
        return int(word) if field.type[0] in "iu" else float(word)
    except ValueError:
        return _whole(word, text)


def _whole(word: str, text: str) -> Json:
    """A whole number that is written as a fraction, as tables with gaps have them."""
    try:
        number = float(word)
    except ValueError:
        return text
    return int(number) if number.is_integer() else text


def _decoded(body: bytes, type_: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=type_)
    except MALFORMED as error:
        raise InvalidInput(f"The body is no scoring request: {error}.", hint=_hint()) from None


def _hint() -> str:
    return f"Send one of {', '.join(FORMATS)}."


def _columns(lists: Mapping[str, Sequence[Json]], fields: Sequence[Field]) -> dict[str, np.ndarray]:
    known = {field.name: field for field in fields}
    return {
        name: _column(known[name], values) if name in known else np.array(values, dtype=object)
        for name, values in lists.items()
    }


def _column(field: Field, values: Sequence[Json]) -> np.ndarray:
    """Bytes are texts in base64, as MLflow has it."""
    if field.type == "bytes":
        return from_values(field, [{"b64": value} if isinstance(value, str) else value for value in values])
    return from_values(field, values)


def _lists(format: str, value: Json, fields: Sequence[Field]) -> Mapping[str, Sequence[Json]]:
    try:
        if format == "dataframe_split":
            return _from_frame(msgspec.convert(value, Frame))
        if isinstance(value, dict):
            return msgspec.convert(value, dict[str, list[Json]])
        if not isinstance(value, list) or not value or isinstance(value[0], dict):
            return _from_records(msgspec.convert(value, list[dict[str, Json]]))
        if len(fields) == 1 and (fields[0].shape or not isinstance(value[0], list)):
            return {fields[0].name: value}
        return _from_frame(Frame([field.name for field in fields], msgspec.convert(value, list[list[Json]])))
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{format} is not a table: {error}.", hint=_hint()) from None


def _from_frame(frame: Frame) -> dict[str, list[Json]]:
    ragged = next((row for row in frame.data if len(row) != len(frame.columns)), None)
    if ragged is not None:
        raise InvalidInput(f"A row has {len(ragged)} values, there are {len(frame.columns)} columns.")
    if len(set(frame.columns)) != len(frame.columns):
        raise InvalidInput(f"A column is there twice: {', '.join(frame.columns)}.")
    return {name: [row[at] for row in frame.data] for at, name in enumerate(frame.columns)}


def _from_records(records: Sequence[dict[str, Json]]) -> dict[str, list[Json]]:
    """A record that lacks a column has a missing value there."""
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}
