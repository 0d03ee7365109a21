"""Values as the memo keeps them: what comes back is equal to what went in, and of the same types.

A value is JSON in which everything that JSON has no word for is an object with one key that begins with `$`; tables,
arrays and long bytes are in the store, and stand in the JSON by their address.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import importlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.store.entities import Digest
from everloop.store.service import Store, digest_of

if TYPE_CHECKING:
    import pyarrow as pa

_UNKEPT = "$unkept"
INLINE = 1024
"""Bytes up to this many stand in the JSON itself."""
_TEXTS: dict[type, tuple[str, Callable[[Any], str], Callable[[str], object]]] = {
    datetime: ("$datetime", datetime.isoformat, datetime.fromisoformat),
    date: ("$date", date.isoformat, date.fromisoformat),
    time: ("$time", time.isoformat, time.fromisoformat),
    Decimal: ("$decimal", str, Decimal),
    UUID: ("$uuid", str, UUID),
    timedelta: ("$microseconds", lambda value: str(value // timedelta(microseconds=1)), lambda text: _span(text)),
}
_READERS = {tag: read for tag, _, read in _TEXTS.values()}


def encode(value: object, store: Store) -> str:
    """A value as JSON text; what is large goes into the store.

    Raises:
        InvalidInput: it holds something that cannot be kept.
    """
    return json.dumps(_Encoder(store).shape(value), ensure_ascii=False, allow_nan=False)


def decode(text: str, store: Store) -> object:
    """The value that a JSON text of `encode` stands for. Its classes are imported by name."""
    return _Decoder(store).value(json.loads(text))


def digest(text: str) -> Digest:
    """The digest of an encoded value: equal for equal values, whatever the order of their mappings."""
    return digest_of(json.dumps(json.loads(text, object_hook=_ordered), sort_keys=True, ensure_ascii=False).encode())


def shown(value: object, store: Store) -> Json:
    """A value as plain JSON for people: Structs as objects, times as ISO texts, paths as texts; the rest as `encode`
    writes it, and what cannot be kept by the name of its class."""
    try:
        plain: Json = msgspec.to_builtins(value, str_keys=True, enc_hook=_path_text)
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError, OverflowError):
        return _tagged(value, store)
    return plain


def unshown(shape: object, store: Store) -> object:
    """A shown value as it can be handed in again: what plain JSON could not say is read back.

    Raises:
        InvalidInput: it was not kept.
    """
    if not isinstance(shape, dict) or len(shape) == 0 or not str(next(iter(shape))).startswith("$"):
        return shape
    if _UNKEPT in shape:
        raise InvalidInput(
            f"A {shape[_UNKEPT]} was handed in, which was not kept.", hint="Run the pipeline with a new one."
        )
    return decode(json.dumps(shape), store)


def _ordered(shape: dict[str, Json]) -> dict[str, Json]:
    """A mapping that is kept as pairs, in an order that depends on its content alone."""
    pairs = shape.get("$dict")
    if isinstance(pairs, list):
        shape["$dict"] = sorted(pairs, key=lambda pair: json.dumps(pair, sort_keys=True))
    return shape


def _path_text(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value)} has no plain form")


def _tagged(value: object, store: Store) -> Json:
    try:
        tagged: Json = json.loads(encode(value, store))
    except InvalidInput:
        return {_UNKEPT: f"{type(value).__module__}.{type(value).__qualname__}"}
    return tagged


def table_bytes(table: pa.Table) -> bytes:
    """A table as Parquet: the same bytes for the same content, however it lies in memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    whole = table.combine_chunks()
    pq.write_table(whole, sink, compression="zstd", compression_level=1, row_group_size=max(1, whole.num_rows))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def class_name(kind: type) -> str:
    """The name that a class can be imported by again.

    Raises:
        InvalidInput: it was made inside a function.
    """
    if "<locals>" in kind.__qualname__:
        raise InvalidInput(
            f"{kind.__qualname__} is made inside a function, so its values cannot be read back.",
            hint="Declare the class at the top level of a module.",
        )
    return f"{kind.__module__}:{kind.__qualname__}"


class _Encoder:
    def __init__(self, store: Store) -> None:
        self._store = store

    def shape(self, value: object) -> Json:
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value  # type: ignore[return-value]  # kind says that it is JSON
        if isinstance(value, float) and kind is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        if kind is list:
            return self._all(value)  # type: ignore[arg-type]  # kind says that it is a list
        if kind in (tuple, set, frozenset):
            items = self._all(value)  # type: ignore[arg-type]
            return {f"${kind.__name__}": items if kind is tuple else sorted(items, key=json.dumps)}
        if isinstance(value, dict) and kind is dict:
            return self._mapping(value)
        if kind in _TEXTS:
            tag, write, _ = _TEXTS[kind]
            return {tag: write(value)}
        if isinstance(value, bytes | bytearray):
            return self._bytes(bytes(value), "$bytes" if kind is bytes else "$bytearray")
        return self._instance(value, kind)

    def _instance(self, value: object, kind: type) -> Json:
        if isinstance(value, enum.Enum):
            return {"$enum": class_name(kind), "name": value.name}
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            return {"$named": class_name(kind), "items": self._all(value)}
        if isinstance(value, msgspec.Struct):
            told = [name for name in value.__struct_fields__ if getattr(value, name) is not msgspec.UNSET]
            return self._fields(value, kind, told)
        if dataclasses.is_dataclass(value):
            return self._fields(value, kind, [field.name for field in dataclasses.fields(value)])
        library = kind.__module__.partition(".")[0]
        if library == "numpy":
            return self._numpy(value, kind)
        if library == "pyarrow" and kind.__name__ == "Table":
            return {"$table": self._store.put(table_bytes(value))}
        raise InvalidInput(
            f"A step cannot give a {kind.__module__}.{kind.__qualname__}: it cannot be kept in the memo.",
            hint="Give JSON values, frozen Structs, tables, arrays or bytes; a trained model by save_model.",
        )

    def _fields(self, value: object, kind: type, names: Iterable[str]) -> Json:
        return {"$object": class_name(kind), "fields": {name: self.shape(getattr(value, name)) for name in names}}

    def _all(self, values: Iterable[object]) -> list[Json]:
        return [self.shape(value) for value in values]

    def _mapping(self, value: Mapping[object, object]) -> Json:
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {str(key): self.shape(item) for key, item in value.items()}
        return {"$dict": [[self.shape(key), self.shape(item)] for key, item in value.items()]}

    def _bytes(self, data: bytes, tag: str) -> Json:
        if len(data) <= INLINE:
            return {tag: base64.b64encode(data).decode()}
        return {tag: self._store.put(data), "stored": True}

    def _numpy(self, value: Any, kind: type) -> Json:
        import numpy as np

        if not isinstance(value, np.ndarray) or kind is not np.ndarray:
            if not isinstance(value, np.generic) or value.dtype.hasobject:
                raise InvalidInput(f"A step cannot give a {kind.__qualname__}.", hint="Give a plain array.")
            return {"$scalar": value.dtype.str, "data": base64.b64encode(value.tobytes()).decode()}
        if value.dtype.hasobject:
            return {"$objects": self._all(value.ravel().tolist()), "shape": list(value.shape)}
        return {"$array": self._store.put(value.tobytes()), "type": _dtype(value), "shape": list(value.shape)}


class _Decoder:
    def __init__(self, store: Store) -> None:
        self._store = store

    def value(self, shape: Any) -> Any:
        if isinstance(shape, list):
            return [self.value(item) for item in shape]
        if not isinstance(shape, dict):
            return shape
        tag = next(iter(shape), "")
        return self._tagged(tag, shape) if tag.startswith("$") else {key: self.value(v) for key, v in shape.items()}

    def _tagged(self, tag: str, shape: Mapping[str, Any]) -> Any:
        inner = shape[tag]
        if tag in _READERS:
            return _READERS[tag](inner)
        return getattr(self, f"_{tag[1:]}")(inner, shape)

    def _float(self, inner: str, shape: object) -> float:
        return float(inner)

    def _tuple(self, inner: list[Any], shape: object) -> tuple[Any, ...]:
        return tuple(self.value(inner))

    def _set(self, inner: list[Any], shape: object) -> set[Any]:
        return set(self.value(inner))

    def _frozenset(self, inner: list[Any], shape: object) -> frozenset[Any]:
        return frozenset(self.value(inner))

    def _dict(self, inner: list[Any], shape: object) -> dict[Any, Any]:
        return {self.value(key): self.value(item) for key, item in inner}

    def _bytes(self, inner: str, shape: Mapping[str, Any]) -> bytes:
        return self._store.get(Digest(inner)) if shape.get("stored") else base64.b64decode(inner)

    def _bytearray(self, inner: str, shape: Mapping[str, Any]) -> bytearray:
        return bytearray(self._bytes(inner, shape))

    def _enum(self, inner: str, shape: Mapping[str, Any]) -> Any:
        return _class(inner)[shape["name"]]

    def _named(self, inner: str, shape: Mapping[str, Any]) -> Any:
        return _class(inner)(*self.value(shape["items"]))

    def _object(self, inner: str, shape: Mapping[str, Any]) -> Any:
        kind = _class(inner)
        fields = {name: self.value(item) for name, item in shape["fields"].items()}
        if not dataclasses.is_dataclass(kind):
            return kind(**fields)
        made: Any = _class(inner)(**{f.name: fields[f.name] for f in dataclasses.fields(kind) if f.init})
        for name, item in fields.items():
            object.__setattr__(made, name, item)
        return made

    def _table(self, inner: str, shape: object) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pq.read_table(pa.BufferReader(self._store.get(Digest(inner))))

    def _array(self, inner: str, shape: Mapping[str, Any]) -> Any:
        import numpy as np

        kind = shape["type"]
        dtype = np.dtype(kind if isinstance(kind, str) else [tuple(field) for field in kind])
        return np.frombuffer(self._store.get(Digest(inner)), dtype).reshape(shape["shape"]).copy()

    def _objects(self, inner: list[Any], shape: Mapping[str, Any]) -> Any:
        import numpy as np

        flat = np.empty(len(inner), object)
        flat[:] = self.value(inner)
        return flat.reshape(shape["shape"])

    def _scalar(self, inner: str, shape: Mapping[str, Any]) -> Any:
        import numpy as np

        return np.frombuffer(base64.b64decode(shape["data"]), np.dtype(inner))[0]


def _class(name: str) -> Any:
    module, _, qualified = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in qualified.split("."):
        found = getattr(found, part)
    return found


def _dtype(array: Any) -> Json:
    shape: Json = array.dtype.str if array.dtype.names is None else array.dtype.descr
    return shape


def _span(text: str) -> timedelta:
    return timedelta(microseconds=int(text))
