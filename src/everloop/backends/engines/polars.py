"""The check engine: one pass by Polars over batches that Arrow decodes, and no pass where a footer says it all."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from everloop.backends.engines.batches import Opened, frame
from everloop.backends.engines.footers import from_footer
from everloop.backends.engines.onepass import OnePass
from everloop.backends.engines.predicates import bad, columns_of
from everloop.backends.engines.wholes import look_at
from everloop.datasets.arrow import keep_pandas_out
from everloop.datasets.quality.engine import Finding, Measure, Measured, Part, RowWise, Whole


class PolarsEngine:
    """Measures parts batch by batch: memory does not grow with the rows."""

    def measure(self, part: Part, measures: Sequence[Measure]) -> list[Measured]:
        """The figures of a part, in one pass over the columns that they need."""
        opened = Opened(part, list(dict.fromkeys(name for one in measures for name in columns_of(one))))
        known = [from_footer(opened, one) for one in measures]
        open_ones = [place for place, figure in enumerate(known) if figure is None]
        found = iter(OnePass(opened, [measures[place] for place in open_ones]).run())
        return [next(found) if figure is None else figure for figure in known]

    def failing(self, part: Part, expectation: RowWise, most: int) -> tuple[list[int], pa.Table]:
        """The first rows of a part that fail, up to a number: their places in it (from 0), and the columns judged."""
        opened = Opened(part, list(dict.fromkeys(columns_of(expectation))))
        wrong = bad(expectation, opened.types).fill_null(value=False).arg_true()
        places: list[int] = []
        tables: list[pa.Table] = []
        offset = 0
        for batch in opened.batches(opened.columns):
            found = frame(batch).select(wrong).to_series().head(most - len(places)).to_list()
            places += [offset + row for row in found]
            tables.append(pa.Table.from_batches([batch]).take(pa.array(found, pa.int64())))
            offset += batch.num_rows
            if len(places) >= most:
                break
        return places, pa.concat_tables(tables).unify_dictionaries()

    def whole(self, table: pa.Table, asked: Whole, other: pa.Table | None, most: int) -> Finding:
        """What the columns of an expectation come to together."""
        return look_at(table, asked, other, most)


def open_engine() -> PolarsEngine:
    """The engine."""
    keep_pandas_out()
    return PolarsEngine()
