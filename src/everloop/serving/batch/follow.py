"""Predictions of a stream, in batches as small as the stream is fast, each record once, whatever is killed when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pyarrow as pa

from everloop.catalog.session import Session
from everloop.features import service as features
from everloop.features.entities import columns_of
from everloop.kernel.clock import micros
from everloop.kernel.errors import InvalidInput
from everloop.registry.entities import Field, ModelVersion
from everloop.serving.batch.entities import PROBLEM, BatchOptions, Job
from everloop.serving.batch.inputs import Input
from everloop.serving.batch.parts import Part, TablePart
from everloop.serving.batch.predict import Asked, version_of
from everloop.serving.batch.scoring import Scoring
from everloop.serving.batch.stream import Record, Refusal, Results, Stream, Streams

if TYPE_CHECKING:
    from everloop.serving.batch.scorer import Scorer

Row = Mapping[str, object]
NOW = "everloop.at"
"""The column that says when a record came, where features are joined and it says nothing itself."""
_LEAST, _MOST = 16, 16_384


class Followed(msgspec.Struct, frozen=True):
    """How a stream is going: records since the start, those refused, what waits, the last batch's seconds."""

    records: int = 0
    refused: int = 0
    batches: int = 0
    lag: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    position: str = ""


class Taken(NamedTuple):
    """What is taken out of each record: the model's inputs, and what features are joined by. Rows that do not say when
    they are get the time that they came at, if they are `stamped`."""

    fields: tuple[Field, ...]
    keys: tuple[str, ...] = ()
    stamped: bool = False

    def schema(self) -> pa.Schema:
        """The columns that batches of records have."""
        columns = [(field.name, _kind(field)) for field in self.fields]
        columns += [(name, pa.string()) for name in self.keys]
        return pa.schema([*columns, (NOW, pa.timestamp("us", "UTC"))] if self.stamped else columns)


class Records(Input):
    """A stream as the input of a job: it has columns, but no parts that would end."""

    rows = None

    def __init__(self, taken: Taken) -> None:
        self._taken = taken

    def schema(self) -> pa.Schema:
        """The columns that batches of records have."""
        return self._taken.schema()

    def parts(self, columns: Sequence[str], part_rows: int) -> Iterator[Part]:
        """None: who follows a stream makes them."""
        return iter(())


@contextmanager
def following(session: Session, asked: Asked, out: str, target: float = 0.1) -> Iterator[Follower]:
    """Somebody who follows the stream that `asked.input` names, and writes results to `out`.

    Raises:
        Misconfigured: nothing is installed for such a stream.
        Unavailable: it does not answer.
    """
    streams = session.ports.get(Streams)
    with session.begin(write=False) as unit:
        found, sources = version_of(unit, asked)
        taken = _taken(unit, found, asked.options.at)
    at = asked.options.at or (NOW if taken.stamped else "")
    options = BatchOptions((), at, "null")
    now = micros(session.clock.now())
    job = Job(asked.model, asked.which, found.version, asked.input, (), options, "jsonl", 0, sources, now, timed=False)
    stream, results = streams.stream(asked.input), streams.results(out)
    try:
        with Scoring(session, job, Records(taken)).scorer() as scorer:
            yield Follower(session, scorer, taken, (stream, results), target)
    finally:
        stream.close()
        results.close()


def _taken(unit: Session, found: ModelVersion, at: str) -> Taken:
    inputs = found.trained.signature.inputs
    if not found.trained.features:
        return Taken(inputs)
    service = features.service(unit, found.trained.features, found.trained.features_version)
    joined = set(columns_of(service)) - {field.name for field in service.request}
    fields = tuple(field for field in inputs if field.name not in joined)
    keys = [*(key for view in service.views for key in view.entity.keys), *([at] if at else [])]
    own = {field.name for field in fields}
    return Taken(fields, tuple(name for name in dict.fromkeys(keys) if name not in own), not at)


class Follower:
    """Reads, predicts and writes, one batch after another.

    `target` is how long a record may wait for its batch: batches are taken smaller when they take longer than that.
    """

    def __init__(
        self, session: Session, scorer: Scorer, taken: Taken, pair: tuple[Stream, Results], target: float = 0.1
    ) -> None:
        self._scorer, self._fields, self._store = scorer, taken.fields, session.store
        self._keys = taken.keys
        self._clock = session.clock if taken.stamped else None
        self._stream, self._results = pair
        self._target = target
        self._most = 1_024
        self.now = Followed(position=self._results.position())
        if self.now.position:
            self._stream.done(self.now.position)  # It was killed between the results and this.

    def step(self, wait: float = 1.0) -> int:
        """Do what is there, waiting so long for the first record; how many records that were.

        Raises:
            Unavailable: the stream or the place of the results does not answer; nothing is lost.
        """
        records = self._stream.read(self.now.position, self._most, wait)
        if not records:
            return 0
        begun = perf_counter()
        answers, refused = self._answered(records)
        position = records[-1].position
        self._results.write(answers, refused, position)
        self._stream.done(position)
        self._tell(len(records), len(refused), perf_counter() - begun, position)
        return len(records)

    def _tell(self, records: int, refused: int, seconds: float, position: str) -> None:
        if seconds > self._target:
            self._most = max(_LEAST, self._most // 2)
        elif records == self._most and seconds < self._target / 2:
            self._most = min(_MOST, self._most * 2)
        before = self.now
        self.now = Followed(
            before.records + records,
            before.refused + refused,
            before.batches + 1,
            self._stream.lag(position),
            seconds,
            records / max(seconds, 1e-9),
            position,
        )

    def _answered(self, records: Sequence[Record]) -> tuple[list[bytes], list[Refusal]]:
        rows: list[tuple[Record, Row]] = []
        refused: list[Refusal] = []
        for record in records:
            try:
                rows.append((record, self._row(record)))
            except InvalidInput as error:
                refused.append(Refusal(record, error.message))
        if not rows:
            return [], refused
        columns = {field.name: _column(field, [row[field.name] for _, row in rows]) for field in self._fields}
        columns |= {name: pa.array([row[name] for _, row in rows]) for name in self._keys}
        if self._clock is not None:
            columns[NOW] = pa.array([self._clock.now()] * len(rows), pa.timestamp("us", "UTC"))
        table, _ = self._scorer.score(TablePart(0, 0, "the stream", pa.table(columns)), self._store)
        answers = []
        for (record, row), found in zip(rows, table.to_pylist(), strict=True):
            reason = found.pop(PROBLEM, None)
            if reason is not None:
                refused.append(Refusal(record, reason))
                continue
            answers.append(msgspec.json.encode({**self._copied(row), **found}))
        return answers, refused

    def _copied(self, row: Row) -> Row:
        """What stands beside a prediction: all that the model does not take."""
        taken = {field.name for field in self._fields}
        return {name: value for name, value in row.items() if name not in taken}

    def _row(self, record: Record) -> Row:
        """A record's values, each of its field's type."""
        try:
            row = msgspec.json.decode(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"It is not JSON: {error}.") from None
        if not isinstance(row, dict):
            raise InvalidInput("It is no JSON object.")
        wanted = (*(field.name for field in self._fields), *self._keys)
        missing = [name for name in wanted if name not in row]
        if missing:
            raise InvalidInput(f"It lacks {', '.join(missing)}.")
        return row | {field.name: _value(field, row[field.name]) for field in self._fields}


def _value(field: Field, value: object) -> object:
    if value is None or field.shape:
        return value
    if field.type == "string":
        if not isinstance(value, str):
            raise InvalidInput(f"{field.name} must be a text.")
        return value
    if field.type == "bool" and not isinstance(value, bool):
        raise InvalidInput(f"{field.name} must be true or false.")
    if not isinstance(value, int | float):
        raise InvalidInput(f"{field.name} must be a number.")
    return value if field.type == "bool" else float(value) if abs(value) < 1e308 else float("nan")


def _column(field: Field, values: Sequence[object]) -> pa.Array:
    return pa.array(values) if field.shape else pa.array(values, _kind(field))


def _kind(field: Field) -> pa.DataType:
    kind = {"string": pa.string(), "bool": pa.bool_()}.get(field.type, pa.float64())
    return pa.list_(kind) if field.shape else kind
