"""Entity keys: numbered for joins, as bytes for the online store. Keys are compared by value, never by joined texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from everloop.features.columntypes import Kind, key_kind
from everloop.kernel.errors import InvalidInput

Codes = npt.NDArray[np.int64]
_TEXTS = (pa.string(), pa.large_string(), pa.string_view())
UNKNOWN = -1
"""The code of an entity that the source has no row of."""
NULL = -2
"""The code of a key that is missing, in whole or in part: it joins nothing."""


class Keys:
    """The entities of a source, numbered from 0.

    `members[code]` has the number of each key column's value in that column's dictionary.
    """

    def __init__(self, table: pa.Table, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self.kinds = tuple(key_kind(str(table.schema.field(name).type), name) for name in columns)
        self._dictionaries: list[pa.Array] = []
        self._pairs: list[Codes] = []
        self._encoded: dict[int, bytes] = {}
        parts = [self._numbered(table, name, kind) for name, kind in zip(columns, self.kinds, strict=True)]
        codes = parts[0]
        for part, dictionary in zip(parts[1:], self._dictionaries[1:], strict=True):
            pairs = _paired(codes, part, len(dictionary))
            known = np.unique(pairs)
            self._pairs.append(known[known >= 0])
            codes = _found(self._pairs[-1], pairs)
        self.of_rows = codes
        """The code of each row of the source."""
        self.count = len(self._pairs[-1]) if self._pairs else len(self._dictionaries[0])

    def codes(self, table: pa.Table) -> Codes:
        """The code of each row of another table, by the key columns that it has under the same names.

        Raises:
            InvalidInput: a key column is missing or of another kind.
        """
        codes = self._looked_up(table, 0)
        for at, known in enumerate(self._pairs, start=1):
            pairs = _paired(codes, self._looked_up(table, at), len(self._dictionaries[at]))
            codes = _found(known, pairs)
        return codes

    def encoded(self, code: int) -> bytes:
        """The entity's key as bytes, for the online store."""
        if code not in self._encoded:
            numbers = [0] * len(self.columns)
            rest = code
            for at in range(len(self._pairs), 0, -1):
                rest, numbers[at] = divmod(int(self._pairs[at - 1][rest]), len(self._dictionaries[at]))
            numbers[0] = rest
            values = [part[number].as_py() for part, number in zip(self._dictionaries, numbers, strict=True)]
            self._encoded[code] = encode_key(values)
        return self._encoded[code]

    def _numbered(self, table: pa.Table, name: str, kind: Kind) -> Codes:
        encoded = _as_kind(table[name], name, kind).dictionary_encode()
        self._dictionaries.append(encoded.dictionary)
        return _filled(encoded.indices, NULL)

    def _looked_up(self, table: pa.Table, at: int) -> Codes:
        name = self.columns[at]
        if name not in table.column_names:
            raise InvalidInput(
                f"The rows have no key column {name!r}.",
                hint=f"They have {', '.join(table.column_names) or 'no column'}.",
            )
        values = _as_kind(table[name], name, self.kinds[at])
        codes = _filled(pc.index_in(values, value_set=self._dictionaries[at]), UNKNOWN)
        if values.null_count:
            codes[np.asarray(values.is_null().to_numpy(zero_copy_only=False))] = NULL
        return codes


def encode_key(values: Sequence[str | int]) -> bytes:
    """A key as bytes; different keys have different bytes, whatever characters they hold."""
    if len(values) == 1:
        return _encode_part(values[0])
    parts = [_encode_part(value) for value in values]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _encode_part(value: str | int) -> bytes:
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    return b"i%d" % value


def _as_kind(column: pa.ChunkedArray, name: str, kind: Kind) -> pa.Array:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else pa.concat_arrays(array.chunks)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not pa.types.is_null(array.type) and (array.type in _TEXTS) != (kind == "string"):
        raise InvalidInput(
            f"Key column {name!r} has type {array.type}, its source has {kind}.", hint="Cast one of them."
        )
    try:
        if pa.types.is_floating(array.type):
            array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
        return array.cast(pa.large_string() if kind == "string" else pa.int64())
    except pa.ArrowInvalid as error:
        raise InvalidInput(
            f"Key column {name!r} cannot be read as {kind}: {error}.", hint="Cast or clean it."
        ) from None


def _filled(indices: pa.Array, missing: int) -> Codes:
    codes: Codes = np.array(pc.fill_null(indices.cast(pa.int64()), missing), dtype=np.int64)
    return codes


def _paired(codes: Codes, part: Codes, size: int) -> Codes:
    pairs = codes * size + part
    return np.where((codes == NULL) | (part == NULL), NULL, np.where((codes < 0) | (part < 0), UNKNOWN, pairs))


def _found(known: Codes, pairs: Codes) -> Codes:
    if not len(known):
        return np.where(pairs == NULL, NULL, UNKNOWN)
    at = np.minimum(np.searchsorted(known, pairs), len(known) - 1)
    return np.where(pairs < 0, pairs, np.where(known[at] == pairs, at, UNKNOWN))
