"""Checks of tables in memory, with nothing around them but what a test gives."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from everloop.backends.engines.duckdb import open_engine as open_tables
from everloop.backends.engines.polars import open_engine
from everloop.datasets.entities import Column
from everloop.datasets.quality.checks import Check, Source, source_of
from everloop.datasets.quality.engine import Finding, Measure, Measured, Part, Whole
from everloop.datasets.quality.entities import CheckResult
from everloop.datasets.quality.expectations import Expectation, Metric, NoRows

ENGINE = open_engine()
TABLES = open_tables()


@dataclass
class Around:
    """Other tables by name, earlier figures, and a time; nothing is remembered."""

    others: Mapping[str, pa.Table] = field(default_factory=dict)
    before: Sequence[float] = ()
    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    dataset: str = "flights"

    def now(self) -> datetime:
        return self.time

    def version(self, reference: str) -> str:
        return f"{reference}@1"

    def columns(self, reference: str) -> Sequence[Column]:
        return source_of(self.others[reference.partition("@")[0]]).columns

    def rows(self, reference: str, columns: Sequence[str]) -> pa.Table:
        return self.others[reference.partition("@")[0]].select(list(columns))

    def history(self, metric: Metric, column: str, window: int) -> list[float]:
        return list(self.before)[:window]

    def query(self, sql: str, table: pa.Table) -> pa.Table:
        return TABLES.query(sql, {self.dataset: table})

    def known(self, part: Part, asked: Mapping[bytes, Measure]) -> dict[bytes, Measured]:
        return {}

    def remember(self, part: Part, figures: Mapping[bytes, Measured]) -> None:
        return

    def known_finding(self, parts: Sequence[Part], asked: Whole | NoRows) -> Finding | None:
        return None

    def remember_finding(self, parts: Sequence[Part], asked: Whole | NoRows, found: Finding) -> None:
        return


def checked(table: pa.Table, expectation: Expectation, around: Around | None = None) -> CheckResult:
    """How a table fares against one expectation."""
    (result,) = Check(ENGINE, source_of(table), around or Around()).run([expectation])
    return result


def outcome(table: pa.Table, expectation: Expectation, around: Around | None = None) -> tuple[bool, int, int]:
    """Whether it passed, rows that fail, rows judged."""
    result = checked(table, expectation, around)
    return result.passed, result.failures, result.rows


def plain(result: CheckResult) -> tuple[object, ...]:
    """A result without what it cost."""
    return (result.passed, result.failures, result.rows, result.sample, result.at, result.observed)


def in_parts(table: pa.Table, cuts: Sequence[int]) -> Source:
    """A table cut in parts."""
    edges = [0, *sorted(cuts), table.num_rows]
    pieces = [table.slice(low, high - low) for low, high in itertools.pairwise(edges)]
    parts = tuple(Part("", piece.num_rows, lambda wanted, piece=piece: piece.select(list(wanted))) for piece in pieces)
    return Source(source_of(table).columns, parts)


def as_parquet(table: pa.Table, path: Path, *, rows: int = 1 << 20, ours: bool = True) -> Source:
    """A table as one file of Parquet."""
    pq.write_table(table, path, row_group_size=rows)
    return Source(source_of(table).columns, (Part("", table.num_rows, lambda _: path, ours=ours),))
