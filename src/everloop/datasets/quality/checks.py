"""Checking rows: what is known of each part is looked up, the rest is measured in one pass, then all is judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from everloop.datasets.entities import Column
from everloop.datasets.quality import verdicts
from everloop.datasets.quality.engine import (
    CheckEngine,
    Finding,
    Measure,
    Measured,
    Part,
    RowWise,
    Tally,
    Whole,
    merged,
)
from everloop.datasets.quality.entities import CheckResult
from everloop.datasets.quality.expectations import (
    Expectation,
    Increasing,
    LikeHistory,
    LikeReference,
    Metric,
    NoRows,
    References,
    Unique,
)
from everloop.datasets.quality.plan import measure_key, measure_of, whole_of
from everloop.datasets.quality.refusals import columns_of, problem
from everloop.datasets.text import texts
from everloop.kernel.errors import InvalidInput, Refused

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE = 5
"""How many of the rows that fail a report shows."""
_LOOKED_AT = 100
"""How many failing rows are looked at for different ones to show."""


class Surroundings(Protocol):
    """What a check may need beyond the rows: other versions, earlier figures, the time, and what is known already."""

    @property
    def dataset(self) -> str:
        """What the rows are called, in SQL too."""
        ...

    def now(self) -> datetime:
        """The time."""
        ...

    def version(self, reference: str) -> str:
        """The version that a reference such as `planes` names now: `planes@3`."""
        ...

    def columns(self, reference: str) -> Sequence[Column]:
        """The columns of another version."""
        ...

    def rows(self, reference: str, columns: Sequence[str]) -> pa.Table:
        """Columns of another version."""
        ...

    def history(self, metric: Metric, column: str, window: int) -> list[float]:
        """A figure in the versions before this one, the newest first."""
        ...

    def query(self, sql: str, table: pa.Table) -> pa.Table:
        """The result of a query that sees the rows and nothing else."""
        ...

    def known(self, part: Part, asked: Mapping[bytes, Measure]) -> dict[bytes, Measured]:
        """Those figures of a part that need no reading."""
        ...

    def remember(self, part: Part, figures: Mapping[bytes, Measured]) -> None:
        """Keep figures of a part that were just measured."""
        ...

    def known_finding(self, parts: Sequence[Part], asked: Whole | NoRows) -> Finding | None:
        """What looking at whole columns came to before, if it was looked for."""
        ...

    def remember_finding(self, parts: Sequence[Part], asked: Whole | NoRows, found: Finding) -> None:
        """Keep what looking at whole columns came to."""
        ...


@dataclass(frozen=True)
class Source:
    """The rows to check: their columns, and the parts that they come in."""

    columns: tuple[Column, ...]
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(part.rows for part in self.parts)

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Columns of all parts, one part after the other."""
        import pyarrow as pa

        return pa.concat_tables([_table(part, columns) for part in self.parts])


def source_of(table: pa.Table) -> Source:
    """A table as something to check."""
    from everloop.datasets.text import type_name

    columns = tuple(Column(one.name, type_name(one.type), table[one.name].null_count > 0) for one in table.schema)
    return Source(columns, (Part("", table.num_rows, lambda wanted: table.select(list(wanted))),))


@dataclass
class Check:
    """One check of some rows; `read` counts the parts whose rows it has looked at.

    `opened` is an engine, or a way to one: what is known already needs none, and an engine takes long to import.
    """

    opened: CheckEngine | Callable[[], CheckEngine]
    source: Source
    around: Surroundings
    read: set[int] = field(default_factory=set)
    _figures: dict[bytes, Measured] = field(default_factory=dict)
    _by_part: dict[bytes, list[Measured]] = field(default_factory=dict)

    @cached_property
    def engine(self) -> CheckEngine:
        """The engine."""
        return self.opened() if callable(self.opened) else self.opened

    def run(self, expectations: Iterable[Expectation]) -> tuple[CheckResult, ...]:
        """How the rows fare against each expectation; one that cannot be judged fails and says why."""
        asked = list(expectations)
        types = {column.name: column.type for column in self.source.columns}
        wrong = [problem(each, types, self.around.dataset) for each in asked]
        began = time.perf_counter()
        measured = self._measure([each for each, why in zip(asked, wrong, strict=True) if not why])
        share = (time.perf_counter() - began) / max(measured, 1)
        return tuple(
            verdicts.impossible(each, why) if why else self._judged(each, share)
            for each, why in zip(asked, wrong, strict=True)
        )

    def failing(self, expectation: Expectation) -> list[int]:
        """Every row that fails an expectation, in order; none where it is not rows that fail, but the whole."""
        if problem(expectation, {column.name: column.type for column in self.source.columns}, self.around.dataset):
            return []
        whole = whole_of(expectation)
        if isinstance(whole, Unique | References | Increasing):
            reference = self.around.version(whole.dataset) if isinstance(whole, References) else ""
            table = self._all(list(dict.fromkeys(columns_of(whole))))
            return list(self.engine.whole(table, whole, self._other(whole, reference), self.source.rows).rows)
        measure = measure_of(expectation)
        if not isinstance(measure, RowWise) or isinstance(expectation, LikeHistory):
            return []
        found: list[int] = []
        offset = 0
        for part in self.source.parts:
            found += [offset + row for row in self.engine.failing(part, measure, part.rows)[0]]
            offset += part.rows
        return found

    def _measure(self, expectations: Sequence[Expectation]) -> int:
        """Get every figure that parts are measured for; the number of expectations that ask for one."""
        wanted = [measure for each in expectations if (measure := measure_of(each)) is not None]
        asked = {measure_key(measure): measure for measure in wanted}
        if not asked or not self.source.parts:
            return 0
        found = [self._measure_part(position, asked) for position in range(len(self.source.parts))]
        self._by_part = {key: [figures[key] for figures in found] for key in asked}
        self._figures = {key: merged(figures) for key, figures in self._by_part.items()}
        return len(wanted)

    def _measure_part(self, position: int, asked: Mapping[bytes, Measure]) -> dict[bytes, Measured]:
        part = self.source.parts[position]
        figures = self.around.known(part, asked)
        unknown = {key: measure for key, measure in asked.items() if key not in figures}
        if unknown:
            self.read.add(position)
            fresh = dict(zip(unknown, self.engine.measure(part, list(unknown.values())), strict=True))
            self.around.remember(part, fresh)
            figures = {**figures, **fresh}
        return figures

    def _judged(self, expectation: Expectation, share: float) -> CheckResult:
        began = time.perf_counter()
        result, shared = self._judge(expectation)
        spent = time.perf_counter() - began + (share if shared else 0.0)
        return verdicts.timed(result, spent)

    def _judge(self, expectation: Expectation) -> tuple[CheckResult, bool]:
        """The result, and whether it came from the one pass."""
        whole = whole_of(expectation)
        if whole is not None:
            return self._judge_whole(expectation, whole), False
        if isinstance(expectation, NoRows):
            return self._judge_query(expectation), False
        measure = measure_of(expectation)
        if measure is None:
            return verdicts.of_shape(expectation, self.source, self.around), False
        key = measure_key(measure)
        figure = self._figures.get(key) or verdicts.nothing(measure)
        if isinstance(figure, Tally) and not isinstance(expectation, LikeHistory):
            return self._with_sample(verdicts.of_tally(expectation, figure), measure, key), True
        return verdicts.of_figure(expectation, figure, self.source.rows, self.around), True

    def _judge_whole(self, expectation: Expectation, whole: Whole) -> CheckResult:
        reference = self.around.version(whole.dataset) if isinstance(whole, References | LikeReference) else ""
        found = self.around.known_finding(self.source.parts, whole)
        if found is not None and not found.failures:
            return verdicts.of_finding(expectation, found, self.around, ((), ()), reference)
        table = self._all(list(dict.fromkeys(columns_of(whole))))
        found = self.engine.whole(table, whole, self._other(whole, reference), _LOOKED_AT)
        self.around.remember_finding(self.source.parts, whole, found)
        sample = _shown([_picked(table, found.rows)], [found.rows])
        return verdicts.of_finding(expectation, found, self.around, sample, reference)

    def _other(self, whole: Whole, reference: str) -> pa.Table | None:
        match whole:
            case References(keys=keys):
                return self.around.rows(reference, keys)
            case LikeReference(column=column, reference_column=theirs):
                return self.around.rows(reference, [theirs or column])
            case _:
                return None

    def _judge_query(self, expectation: NoRows) -> CheckResult:
        known = self.around.known_finding(self.source.parts, expectation)
        if known is not None and not known.failures:
            return verdicts.of_query(expectation, 0, known.judged, ())
        try:
            found = self.around.query(expectation.sql, self._all([column.name for column in self.source.columns]))
        except (InvalidInput, Refused) as error:  # Such as of a column that is gone: the rest is judged all the same.
            return verdicts.impossible(expectation, error.message)
        finding = Finding(self.source.rows, found.num_rows)
        self.around.remember_finding(self.source.parts, expectation, finding)
        shown, _ = _shown([found.slice(0, _LOOKED_AT)], [[0] * min(found.num_rows, _LOOKED_AT)])
        return verdicts.of_query(expectation, found.num_rows, self.source.rows, shown)

    def _all(self, columns: Sequence[str]) -> pa.Table:
        """Columns of every part."""
        self.read.update(range(len(self.source.parts)))
        return self.source.table(columns)

    def _with_sample(self, result: CheckResult, measure: Measure, key: bytes) -> CheckResult:
        """The result with some of the rows that fail: only now are they looked for, in the parts that have any."""
        tables: list[pa.Table] = []
        places: list[list[int]] = []
        offset, left = 0, _LOOKED_AT
        for position, part in enumerate(self.source.parts):
            figure = self._by_part[key][position] if result.failures else None
            if left > 0 and isinstance(figure, Tally) and figure.failures:
                self.read.add(position)
                rows, table = self.engine.failing(part, measure, left)  # type: ignore[arg-type]  # Tallies are of rows.
                tables.append(table)
                places.append([offset + row for row in rows])
                left -= len(rows)
            offset += part.rows
        return verdicts.shown(result, *_shown(tables, places)) if tables else result


def _table(part: Part, columns: Sequence[str]) -> pa.Table:
    """Columns of a part as a table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    held = part.read(columns)
    if isinstance(held, pa.Table):
        return held.select(list(columns))
    file = pq.ParquetFile(pa.BufferReader(held) if isinstance(held, bytes) else held, memory_map=True)
    return file.read(columns=list(columns))


def _picked(table: pa.Table, rows: Sequence[int]) -> pa.Table:
    """A few rows of a table, which may be long: they are cut out one by one, so that no column is put together."""
    import pyarrow as pa

    return pa.concat_tables([table.slice(row, 1) for row in rows]) if rows else table.slice(0, 0)


def _shown(tables: Sequence[pa.Table], places: Sequence[Sequence[int]]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The first few different rows as text, and where each stands first."""
    seen: dict[str, int] = {}
    for table, rows in zip(tables, places, strict=True):
        columns = [texts(column) for column in table.columns]
        for row, values in zip(rows, zip(*columns, strict=True), strict=True):
            seen.setdefault(", ".join(values), row)
    first = list(seen.items())[:SAMPLE]
    return tuple(text for text, _ in first), tuple(row for _, row in first)
