"""Columns of text with few different values: each value is judged once, and counts for every row that has it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa

from everloop.backends.engines.predicates import Types, bad, judged
from everloop.datasets.quality.engine import RowWise, Tally

MOST = 1 << 15
"""With more different values than this, counting them no longer pays."""
_SHARE = 0.25


@dataclass
class TextValues:
    """How many rows have each text, of the batches so far; `places` are the measures that are judged by that."""

    column: str
    places: list[int] = field(default_factory=list)
    rows: int = 0
    _counts: Counter[str | None] = field(default_factory=Counter)

    def add(self, values: pa.Array) -> bool:
        """Count a batch; false, and nothing counted, when its values are too many for that to pay."""
        if len(self._counts) > MOST or not self._pays(values):
            return False
        coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
        if len(coded.dictionary) > MOST or len(coded.dictionary) > _SHARE * len(values) + 1_000:
            return False
        codes = coded.indices.drop_null().to_numpy(zero_copy_only=False)
        found = np.bincount(codes, minlength=len(coded.dictionary))
        used = np.flatnonzero(found)
        texts = coded.dictionary.take(
            pa.array(used.tolist(), pa.int64())
        ).to_pylist()  # An array would import numpy.ma.
        for text, count in zip(texts, found[used].tolist(), strict=True):
            self._counts[text] += count
        self._counts[None] += coded.null_count
        self.rows += len(values)
        return True

    def tally(self, one: RowWise, types: Types) -> Tally:
        """How the rows so far fare."""
        texts = list(self._counts)
        weights = np.array(list(self._counts.values()), np.int64)
        values = pl.DataFrame({self.column: pl.Series(texts, dtype=pl.String)})
        wrong = values.select(bad(one, types).fill_null(value=False)).to_series().to_numpy()
        seen = judged(one, types)
        counted = self.rows if seen is None else int(weights[values.select(seen).to_series().to_numpy()].sum())
        return Tally(counted, int(weights[wrong].sum()))

    def _pays(self, values: pa.Array) -> bool:
        """A look at the head of a first batch that has no dictionary spares the coding of all of it."""
        if self.rows or pa.types.is_dictionary(values.type) or len(values) < 10_000:
            return True
        head = values.slice(0, 2_000).dictionary_encode()
        return len(head.dictionary) <= 1_200
