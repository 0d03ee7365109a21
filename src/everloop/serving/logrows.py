"""The rows of the inference log: what is written of a turn, as the endpoint's policy has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np

from everloop.registry.columns import MatrixColumns
from everloop.registry.entities import Field
from everloop.serving.encoded import EncodedBatch
from everloop.serving.entities import Endpoint
from everloop.serving.inferencelog import ENTITY, FEATURE, schema_of
from everloop.serving.ipc import BatchEncoder, Text, same_text, text
from everloop.serving.logkeys import LogKeys
from everloop.serving.traffic import WHOLE, position, salt_of

if TYPE_CHECKING:
    import pyarrow as pa

    from everloop.serving.scoring import Rows, Scored

T = TypeVar("T")
_LONG, _INT, _DOUBLE = Struct("<q"), Struct("<i"), Struct("<d")
_SAMPLING = "log of "
"""Salts the choice of keys, so that what is logged says nothing about which variant a key meets."""


@dataclass(frozen=True, eq=False, slots=True)
class Made:
    """Predictions of several requests: `ids` and `scored` by row; counts, prefixes, ids and digests by request."""

    counts: Sequence[int]
    prefixes: Sequence[str]
    requests: Sequence[str]
    digests: Sequence[int]
    ids: Sequence[str]
    rows: Rows
    scored: Scored
    latency_us: int


class LogRows:
    """Makes the log's batches for an endpoint at one revision."""

    def __init__(
        self,
        endpoint: Endpoint,
        inputs: Sequence[Field],
        entities: Sequence[str],
        outputs: Sequence[Field],
        keys: LogKeys,
    ) -> None:
        policy = endpoint.log
        self._policy, self._keys, self._outputs = policy, keys, tuple(outputs)
        self._inputs = [field for field in inputs if field.name not in policy.without]
        self._names = tuple(field.name for field in self._inputs)
        self._entities = [name for name in entities if name not in policy.without]
        self._renamed = {endpoint.label_key, *entities} if policy.pseudonyms else set()
        self._changed = self._renamed | set(policy.encrypted)
        self._is_block = all(field.type != "string" and field.name not in self._changed for field in self._inputs)
        self._limit, self._salt = round(policy.sample * WHOLE), salt_of(_SAMPLING + endpoint.name)
        self._encoder = BatchEncoder(schema_of(self._inputs, self._entities, self._changed, bool(outputs)))

    @property
    def schema(self) -> pa.Schema:
        """The columns of the log."""
        return self._encoder.schema

    def keeps(self, keys: Sequence[str]) -> np.ndarray | None:
        """Which of these units' predictions are logged; None for all."""
        if self._limit >= WHOLE:
            return None
        return np.fromiter((position(self._salt, key) < self._limit for key in keys), bool, len(keys))

    def encode(self, made: Made, kept: np.ndarray | None = None) -> EncodedBatch | None:
        """The batch of some predictions; None when the policy keeps none of them."""
        scored, count = made.scored, len(made.ids)
        ids, asked = made.ids, None
        if scored.only is None:
            asked = scored.logged("rows")
            ids = [*ids, *_beside_ids(made, asked[count:])]
        chosen = None
        if kept is not None:
            chosen = np.flatnonzero(kept if asked is None else kept[asked])
            if not len(chosen):
                return None
        return self._encoded(made, _Picked(asked, chosen), _take(ids, chosen))

    def _encoded(self, made: Made, picked: _Picked, ids: Sequence[str]) -> EncodedBatch:
        rows, scored, count = made.rows, made.scored, len(ids)
        owners = picked.of(None if len(made.counts) == len(made.ids) else _owners(made))
        keys = _take(rows.keys, picked.rows())
        columns: list[bytes | Text] = [
            text(ids),
            text(_take(made.requests, owners)),
            _digests(made, picked, owners).tobytes(),
            _LONG.pack(rows.at) * count,
            *self._variants(scored, picked, count),
            text([self._keys.pseudonym(key) for key in keys] if self._policy.pseudonyms else keys),
            picked.logged(scored.logged("scores")).astype(np.float64, copy=False).tobytes(),
        ]
        if self._outputs:
            columns.append(text(_as_json(scored.values(self._outputs), picked.chosen, count)))
        columns.append(_LONG.pack(made.latency_us) * count)
        for name in self._entities:
            columns.append(self._text(name, _take(rows.columns[name].tolist(), picked.rows()), ENTITY))
        columns += self._features(scored, picked, count)
        return self._encoder.encode(count, rows.at, columns)

    def _variants(self, scored: Scored, picked: _Picked, count: int) -> list[bytes | Text]:
        if scored.only is not None:
            variant = scored.only.variant
            return [
                _INT.pack(variant.deployment) * count,
                _INT.pack(variant.version) * count,
                same_text(variant.role, count),
                _DOUBLE.pack(variant.probability) * count,
            ]
        return [
            picked.logged(scored.variants("deployment")).astype(np.int32).tobytes(),
            picked.logged(scored.variants("version")).astype(np.int32).tobytes(),
            text(picked.logged(scored.variants("role")).tolist()),
            picked.logged(scored.variants("probability")).tobytes(),
        ]

    def _features(self, scored: Scored, picked: _Picked, count: int) -> list[bytes | Text]:
        """The inputs; as one block when all are numbers."""
        if self._is_block and scored.only is not None:
            given = scored.only.inputs
            if isinstance(given, MatrixColumns) and given.names == self._names:
                return [np.ascontiguousarray(picked.logged(given.matrix).T).tobytes()]
        if self._is_block:
            block = np.empty((len(self._inputs), count))
            for at, field in enumerate(self._inputs):
                block[at] = picked.logged(scored.inputs(field.name, field.type))
            return [block.tobytes()]
        return [self._feature(field, picked.logged(scored.inputs(field.name, field.type))) for field in self._inputs]

    def _feature(self, field: Field, values: np.ndarray) -> bytes | Text:
        if field.type == "string" or field.name in self._changed:
            return self._text(field.name, values.tolist(), FEATURE)
        return values.astype(np.float64).tobytes()

    def _text(self, name: str, values: Sequence[object], kind: str) -> Text:
        """Strings, under other names or sealed if the policy says so."""
        known = [None if value is None or value != value else str(value) for value in values]
        change: Callable[[str], str] | None = None
        if name in self._renamed:
            change = self._keys.pseudonym
        elif name in self._changed:
            change = lambda value: self._keys.seal(value, kind + name)  # noqa: E731  # Two ways to change a value, one loop.
        return text(known if change is None else [None if value is None else change(value) for value in known])


@dataclass(frozen=True, eq=False, slots=True)
class _Picked:
    """Which rows are logged: `asked` are the rows as they are ordered in the log, `chosen` those of them to keep."""

    asked: np.ndarray | None
    chosen: np.ndarray | None

    def rows(self) -> np.ndarray | None:
        """The numbers of the rows; None when it is all of them in their order."""
        return self.chosen if self.asked is None else self.logged(self.asked)

    def of(self, by_row: np.ndarray | None) -> np.ndarray | None:
        """What an array has for the rows; None when it has a value for each row in order."""
        rows = self.rows()
        if by_row is None:
            return rows
        return by_row if rows is None else by_row[rows]

    def logged(self, values: np.ndarray) -> np.ndarray:
        """The kept ones of an array that is ordered as the log is."""
        return values if self.chosen is None else values[self.chosen]


def _digests(made: Made, picked: _Picked, owners: np.ndarray | None) -> np.ndarray:
    """The digest of each row's request; 0 for what is logged beside the answers, and is none."""
    digests = np.array(_take(made.digests, owners), dtype=np.int64)
    if picked.asked is not None:
        digests[picked.logged(np.arange(len(picked.asked))) >= len(made.ids)] = 0
    return digests


def _owners(made: Made) -> np.ndarray:
    """The number of each row's request."""
    return np.repeat(np.arange(len(made.counts)), made.counts)


def _take(values: Sequence[T], places: np.ndarray | None) -> Sequence[T]:
    return values if places is None else [values[place] for place in places.tolist()]


def _beside_ids(made: Made, rows: np.ndarray) -> list[str]:
    """Ids for what is logged beside the answers: their numbers follow those of the request's answers."""
    owners = _owners(made)[rows].tolist()
    following = list(made.counts)
    ids = []
    for owner in owners:
        ids.append(f"{made.prefixes[owner]}-{following[owner]}")
        following[owner] += 1
    return ids


def _as_json(values: object, chosen: np.ndarray | None, count: int) -> list[str | None]:
    """The outputs of each row as a JSON object; None where the model failed."""
    if not isinstance(values, dict):
        return [None] * count
    columns = [given.tolist() if chosen is None else given[chosen].tolist() for given in values.values()]
    names = list(values)
    return [
        None if None in row else msgspec.json.encode(dict(zip(names, row, strict=True))).decode()
        for row in zip(*columns, strict=True)
    ]
