"""A view's rows clustered by entity and time: what was known of one at any moment is two binary searches away."""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta
from threading import Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from everloop.catalog.session import Session
from everloop.datasets import reads
from everloop.datasets.content import read_table
from everloop.datasets.entities import Snapshot
from everloop.features.entities import Feature, FeatureView
from everloop.features.keys import NULL, Codes, Keys
from everloop.features.windows import MERGES, Blocks, Floats, Integers, last_present
from everloop.kernel.clock import MICROSECOND
from everloop.kernel.errors import InvalidInput

BEFORE_ALL = np.iinfo(np.int64).min
"""Earlier than every time; also the stamp of an entity that nothing is known of."""
_LONGEST = 1 << 61
_CACHED = 12


class Timeline:
    """The rows of a view's source, sorted by entity, time and place in the source (of equal times the last row wins).

    Rows without a key or a timestamp are left out: they could never be looked up.
    """

    def __init__(self, view: FeatureView, table: pa.Table) -> None:
        self.view = view
        self.keys = Keys(table, view.entity.keys)
        self._delay = span_micros(view.available_after)
        stamps, stamped = _stamps(view, table)
        usable = np.flatnonzero((self.keys.of_rows >= 0) & stamped)
        codes, times = self.keys.of_rows[usable], stamps[usable]
        order = np.lexsort((times, codes)) if view.timestamp else np.argsort(codes, kind="stable")
        self._codes, self._times = codes[order], times[order]
        by_time = np.argsort(self._times, kind="stable")
        self._codes_by_time, self._times_by_time = self._codes[by_time], self._times[by_time]
        first = np.ones(len(by_time), dtype=np.bool_)
        first[1:] = self._times_by_time[1:] != self._times_by_time[:-1]
        self._instants = self._times_by_time[first]
        self._places = self._codes * (len(self._instants) + 1) + np.searchsorted(self._instants, self._times) + 1
        self._starts = np.searchsorted(self._codes, np.arange(self.keys.count + 1))
        self._values = {name: floats(table[name])[usable[order]] for name in {f.column for f in view.features} - {""}}
        self._blocks: dict[tuple[str, str], Blocks] = {}

    def join(self, codes: Codes, at: Integers) -> list[Floats]:
        """Each feature's values as known at those moments, for those entities, plain ones no older than the TTL."""
        stamps, columns = self.known(codes, at)
        if self.view.ttl is not None:
            fresh = at - stamps <= span_micros(self.view.ttl)
            fresh &= stamps != BEFORE_ALL
            for feature, column in zip(self.view.features, columns, strict=True):
                if not feature.aggregation:
                    column[~fresh] = np.nan
        return columns

    def known(self, codes: Codes, at: Integers) -> tuple[Integers, list[Floats]]:
        """The stamp of each entity's newest row known at those moments, and each feature's value, however old."""
        ends = self._ends(codes, at - self._delay if self.view.timestamp else np.zeros_like(at))
        some = np.flatnonzero((codes >= 0) & (ends > self._starts[np.maximum(codes, 0)]))
        newest = ends[some] - 1
        stamps = np.full(len(codes), BEFORE_ALL)
        stamps[some] = self._times[newest]
        windows = self._windows(codes, at, ends)
        columns = []
        for feature in self.view.features:
            column = windows.get(feature)
            if column is None:
                column = np.full(len(codes), np.nan)
                column[some] = self._values[feature.column][newest]
            columns.append(column)
        return stamps, columns

    def moved(self, after: int, until: int) -> Codes:
        """The entities whose values may differ between the two moments: rows came to be known, or left a window."""
        if not self.view.timestamp:
            return np.arange(self.keys.count if after == BEFORE_ALL else 0)
        slices = [self._between(after, until, self._delay)]
        spans = {feature.over for feature in self.view.features if feature.over is not None}
        if after != BEFORE_ALL:
            slices += [self._between(after, until, span_micros(span)) for span in spans]
        return np.unique(np.concatenate(slices))

    def _between(self, after: int, until: int, delay: int) -> Codes:
        start = 0 if after == BEFORE_ALL else np.searchsorted(self._times_by_time, after - delay, side="right")
        return self._codes_by_time[start : np.searchsorted(self._times_by_time, until - delay, side="right")]

    def _ends(self, codes: Codes, times: Integers) -> Integers:
        ranks = np.searchsorted(self._instants, times, side="right")
        return np.searchsorted(self._places, codes * (len(self._instants) + 1) + ranks, side="right")

    def _windows(self, codes: Codes, at: Integers, ends: Integers) -> dict[Feature, Floats]:
        """The columns of all windows; those over the same values are merged together, whatever their spans."""
        found: dict[Feature, Floats] = {}
        alike: dict[tuple[str, str], list[tuple[Feature, Integers]]] = {}
        for feature in self.view.features:
            if not feature.aggregation:
                continue
            starts = np.minimum(self._ends(codes, at - span_micros(feature.over or timedelta())), ends)
            if feature.aggregation == "count":
                found[feature] = _counts(codes, ends - starts)
            elif feature.aggregation == "last":
                found[feature] = last_present(self._values[feature.column], starts, ends)
            else:
                alike.setdefault((feature.column, feature.aggregation), []).append((feature, starts))
        for key, asked in alike.items():
            starts = np.concatenate([starts for _, starts in asked])
            numbers = self._blocks_of(key).over(starts, np.tile(ends, len(asked)))
            found |= zip((feature for feature, _ in asked), np.split(numbers, len(asked)), strict=True)
        return found

    def _blocks_of(self, key: tuple[str, str]) -> Blocks:
        """The partial states of a column under an aggregation, made at the first use."""
        if key not in self._blocks:
            column, aggregation = key
            self._blocks[key] = Blocks(self._values[column], MERGES[aggregation])
        return self._blocks[key]


def _counts(codes: Codes, rows: Integers) -> Floats:
    counts = rows.astype(np.float64)
    counts[codes == NULL] = np.nan
    return counts


_recent: OrderedDict[tuple[str, FeatureView], Timeline] = OrderedDict()
_turn = Lock()


def timeline(session: Session, view: FeatureView, snapshot: Snapshot) -> Timeline:
    """The timeline of a view over a snapshot; the ones used last stay in memory, as snapshots never change."""
    reads.read(snapshot)  # A timeline in memory is a read like any other.
    key = (snapshot.digest, view)
    with _turn:
        if key in _recent:
            _recent.move_to_end(key)
            return _recent[key]
    columns = sorted({*view.entity.keys, view.timestamp, *(feature.column for feature in view.features)} - {""})
    built = Timeline(view, read_table(session, snapshot, columns))
    with _turn:
        _recent[key] = built
        while len(_recent) > _CACHED:
            _recent.popitem(last=False)
    return built


def span_micros(span: timedelta) -> int:
    """A span in microseconds, cut at 73,000 years."""
    return min(span // MICROSECOND, _LONGEST)


def times(column: pa.ChunkedArray, name: str) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """A column of times as microseconds since 1970 (UTC; times without a zone are UTC), and which ones are there.

    Raises:
        InvalidInput: the column holds no times, or times finer than a microsecond.
    """
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        raise InvalidInput(f"Column {name!r} has type {column.type}, not times.", hint="Cast it to a timestamp.")
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    try:
        micros = column.cast(pa.timestamp("us", zone)).cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise InvalidInput(
            f"Column {name!r} has times finer than a microsecond ({error}).", hint="Round them up."
        ) from None
    present = np.asarray(micros.is_valid().to_numpy(), dtype=np.bool_)
    return np.asarray(pc.fill_null(micros, 0).to_numpy(), dtype=np.int64), present


def floats(column: pa.ChunkedArray) -> Floats:
    """A column of numbers or booleans as doubles, NaN where a value is missing."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    return np.array(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _stamps(view: FeatureView, table: pa.Table) -> tuple[Integers, npt.NDArray[np.bool_]]:
    if view.timestamp:
        return times(table[view.timestamp], view.timestamp)
    return np.zeros(table.num_rows, dtype=np.int64), np.ones(table.num_rows, dtype=np.bool_)
