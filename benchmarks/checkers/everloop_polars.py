"""Everloop's check engine on a Parquet that it did not write, and so without believing its footer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
from metered import Suite, metered

from everloop.backends.engines.polars import open_engine
from everloop.datasets.entities import Column
from everloop.datasets.quality.checks import Check, Source
from everloop.datasets.quality.engine import Part
from everloop.datasets.quality.expectations import Expectation
from everloop.datasets.text import type_name


class Nothing:
    """No surroundings: nothing is known before, and nothing is kept."""

    dataset = "rows"

    def now(self) -> datetime:
        """Some time."""
        return datetime(2026, 1, 1, tzinfo=UTC)

    def known(self, *_: object) -> Mapping[bytes, object]:
        """No figures."""
        return {}

    def known_finding(self, *_: object) -> None:
        """No finding."""

    def remember(self, *_: object) -> None:
        """Keep nothing."""

    remember_finding = remember


def check(path: str, suite: Suite) -> list[int]:
    """Rows that fail each check."""
    file = pq.ParquetFile(path)
    columns = tuple(Column(one.name, type_name(one.type)) for one in file.schema_arrow)
    source = Source(columns, (Part("", file.metadata.num_rows, lambda _: Path(path)),))
    results = Check(open_engine(), source, Nothing()).run(msgspec.convert(suite, tuple[Expectation, ...]))
    return [result.failures for result in results]


if __name__ == "__main__":
    metered(check)
