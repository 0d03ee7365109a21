"""The file `MLmodel` that MLflow writes beside a model: what it takes and gives, and what loads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

import msgspec

from everloop.kernel.errors import InvalidInput
from everloop.registry import forms
from everloop.registry.entities import Field, Signature, Type

NAME = "MLmodel"
UNNAMED_INPUT, UNNAMED_OUTPUT = "inputs", "predictions"
"""What a tensor without a name is called."""
_COLUMNS: dict[str, Type] = {
    "double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool",
    "string": "string", "binary": "bytes",
}  # fmt: skip
_TENSORS: dict[str, Type] = {"object": "string", "str": "string", "bytes": "bytes"}
_LARGEST = 1 << 20


class MlModel(msgspec.Struct, frozen=True):
    """What the file says. `flavors` are the settings of each of MLflow's flavors (`Any`: they differ)."""

    flavors: Mapping[str, Mapping[str, Any]]
    schema: Mapping[str, str | None]

    @property
    def loader(self) -> str:
        """The module that MLflow would load it with, such as `mlflow.sklearn`."""
        return str(self.flavors.get("python_function", {}).get("loader_module", ""))

    @property
    def code(self) -> str:
        """The folder of the code that it brings, "" for none."""
        return str(self.flavors.get("python_function", {}).get("code") or "")

    @property
    def signature(self) -> Signature:
        """What the model takes and gives, in our types; without a name for its only output it is `predictions`.

        A column that MLflow calls optional must be there all the same, and may have gaps.

        Raises:
            InvalidInput: it was logged without one, or with types that no model takes here.
        """
        inputs = _fields(self.schema.get("inputs"), UNNAMED_INPUT)
        if not inputs:
            raise InvalidInput(
                "The model was logged without a signature.",
                hint="Log it with signature=mlflow.models.infer_signature(inputs, outputs).",
            )
        outputs = _fields(self.schema.get("outputs"), UNNAMED_OUTPUT)
        return Signature(inputs, outputs or (Field(UNNAMED_OUTPUT, "float64"),))

    @property
    def told(self) -> str:
        """The schema in MLflow's own words, as a Markdown list; for cards, where our types cannot say it."""
        return "\n".join(
            f"- {kind.removesuffix('s')} `{_name(part, at, parts, kind)}`: `{forms.worded(part)}`"
            for kind in ("inputs", "outputs")
            for parts in [_parts(self.schema.get(kind))]
            for at, part in enumerate(parts)
        )


def read(text: bytes) -> MlModel:
    """What an `MLmodel` says.

    Raises:
        InvalidInput: it is none.
    """
    import yaml

    if len(text) > _LARGEST:
        raise InvalidInput(f"An {NAME} of {len(text)} bytes is none.")
    try:
        found = yaml.safe_load(text)
        flavors, schema = found["flavors"], found.get("signature") or {}
        return msgspec.convert({"flavors": flavors, "schema": _strings(schema)}, MlModel)
    except (yaml.YAMLError, msgspec.MsgspecError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"The {NAME} cannot be read ({error}).", hint="Log the model again.") from None


def _strings(schema: Mapping[str, Any]) -> dict[str, str | None]:
    return {key: schema.get(key) for key in ("inputs", "outputs")}


def _fields(schema: str | None, unnamed: str) -> tuple[Field, ...]:
    parts = _parts(schema)
    return tuple(_field(part, _name(part, at, parts, unnamed)) for at, part in enumerate(parts))


def _parts(schema: str | None) -> list[dict[str, Any]]:
    try:
        return msgspec.json.decode(schema, type=list[dict[str, Any]]) if schema else []
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"The signature cannot be read ({error}).") from None


def _name(part: Mapping[str, Any], at: int, parts: Sequence[object], unnamed: str) -> str:
    return str(part.get("name") or (unnamed if len(parts) == 1 else at))


def _tensor(spec: Any) -> tuple[str, tuple[int, ...]]:
    """The type and the shape of a tensor."""
    try:
        return str(spec.get("dtype", "")), tuple(int(size) for size in spec.get("shape", ()))
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidInput(f"The signature has a tensor that cannot be read ({error}).") from None


def _field(part: Mapping[str, Any], name: str) -> Field:
    kind = part.get("type")
    if kind == "tensor":
        dtype, shape = _tensor(part.get("tensor-spec") or {})
        known = dtype in get_args(Type)
        if (known or dtype in _TENSORS) and shape:
            return Field(name, cast(Type, dtype) if known else _TENSORS[dtype], shape=shape[1:])
    elif form := forms.form_of(part):
        return Field(name, "string", nullable=part.get("required") is False or kind == forms.DATETIME, form=form)
    elif kind in _COLUMNS:
        # NumPy has no gaps in whole numbers and booleans, so MLflow lets none pass either.
        gaps = _COLUMNS[kind][0] not in "ib" or _COLUMNS[kind] == "bytes"
        return Field(name, _COLUMNS[kind], nullable=gaps or part.get("required") is False)
    raise InvalidInput(
        f"{name} is of MLflow's type {kind}, which no model takes here.",
        hint="Log it with numbers, texts, times, lists, objects, maps or tensors.",
    )
