"""MLflow's scoring protocol: `/invocations` with a frame, records, instances or inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.registry.entities import Field
from everloop.server.inference.tensors import MALFORMED, from_values

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")


class Frame(msgspec.Struct):
    """A table: its column names, and its rows."""

    columns: list[str]
    data: list[list[Json]]
    index: list[Json] = []


def decode(body: bytes, fields: Sequence[Field]) -> dict[str, np.ndarray]:
    """The columns of a scoring request, as the fields have them; a column that is in no field is kept as it is.

    Raises:
        InvalidInput: it is no JSON, in none of the four formats, or a value is not of its column's type.
    """
    try:
        payload = msgspec.json.decode(body, type=dict[str, Json])
    except MALFORMED as error:
        raise InvalidInput(f"The body is no scoring request: {error}.", hint=_hint()) from None
    given = [name for name in FORMATS if name in payload]
    if len(given) != 1:
        raise InvalidInput(f"The body has {', '.join(payload) or 'nothing'}.", hint=_hint())
    lists = _lists(given[0], payload[given[0]], [field.name for field in fields])
    known = {field.name: field for field in fields}
    return {
        name: from_values(known[name], values) if name in known else np.array(values, dtype=object)
        for name, values in lists.items()
    }


def _hint() -> str:
    return f"Send one of {', '.join(FORMATS)}."


def _lists(format: str, value: Json, names: Sequence[str]) -> Mapping[str, Sequence[Json]]:
    try:
        if format == "dataframe_split":
            return _from_frame(msgspec.convert(value, Frame))
        if isinstance(value, dict):
            return msgspec.convert(value, dict[str, list[Json]])
        if isinstance(value, list) and value and isinstance(value[0], list):
            return _from_frame(Frame(list(names), msgspec.convert(value, list[list[Json]])))
        return _from_records(msgspec.convert(value, list[dict[str, Json]]))
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
