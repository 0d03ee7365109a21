"""What the footer of a Parquet of our own says without a byte of a column being decoded."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq

from everloop.backends.engines.batches import Opened
from everloop.backends.engines.predicates import ends
from everloop.datasets.quality.engine import Measure, Measured, Tally
from everloop.datasets.quality.expectations import AllNull, InRange, NotNull
from everloop.datasets.quality.literals import family


def from_footer(opened: Opened, asked: Measure) -> Measured | None:
    """The figure, where counts of nulls and extremes settle it: no row fails, or missing values are only counted."""
    if opened.footer is None or not isinstance(asked, NotNull | AllNull | InRange):
        return None
    kind = opened.types[asked.column]
    found = _statistics(opened, asked.column)
    if found is None or family(kind) not in ("integer", "date", "timestamp", "text", "bool"):
        return None  # Among floats NaN is missing too, and no footer counts it.
    rows, nulls = opened.footer.num_rows, sum(one.null_count for one in found)
    if isinstance(asked, NotNull):
        return Tally(rows, nulls)
    if isinstance(asked, AllNull):
        return Tally(rows, rows - nulls)
    return Tally(rows - nulls, 0) if family(kind) == "integer" and _is_inside(asked, kind, found) else None


def _statistics(opened: Opened, column: str) -> list[Any] | None:
    """Of each row group; none where one has none, or the column is nested."""
    footer: pq.FileMetaData = opened.footer
    place = opened.file.schema_arrow.get_field_index(column)
    if footer.num_columns != len(opened.file.schema_arrow):
        return None
    found = [footer.row_group(group).column(place).statistics for group in range(footer.num_row_groups)]
    return found if all(one is not None and one.has_null_count for one in found) else None


def _is_inside(asked: InRange, kind: str, found: list[Any]) -> bool:
    low, high = ends(asked, kind)
    known = [one for one in found if one.num_values]
    if not all(one.has_min_max for one in known):
        return False
    return all((low is None or one.min >= low) and (high is None or one.max <= high) for one in known)
