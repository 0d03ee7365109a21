"""The points of a run where they lie: in tails, in short blocks, in whole blocks, and summed up in the pyramid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Column, ColumnElement, Select, Table, select

from everloop.catalog.session import Session
from everloop.tracking import rows
from everloop.tracking.points import by_key, unpack_all
from everloop.tracking.series import blocks, pyramid
from everloop.tracking.series.blocks import FULL
from everloop.tracking.series.pyramid import Along, Spans
from everloop.tracking.series.sealing import joined, ordered, short_blocks
from everloop.tracking.tables import metric_blocks, metric_levels

if TYPE_CHECKING:
    import numpy as np

    from everloop.tracking.points import Columns

_AT_ONCE = 200


class Stored:
    """What a run holds of its metrics; its tails are read once for as many metrics as are asked for."""

    def __init__(self, session: Session, run: str) -> None:
        self._session = session
        self._run = run
        self._tails: dict[str, Columns] | None = None

    def loose(self, key: str) -> Columns:
        """The points of a metric that are in no whole block, in order."""
        short = short_blocks(self._session, self._run, key).get(key, [])
        return self._in_order([blocks.decode(block.points) for block in short], key)

    def everything(self, key: str) -> Columns:
        """All points of a metric, in order."""
        query = select(metric_blocks.c.points).where(*self._of(metric_blocks, key)).order_by(metric_blocks.c.first)
        return self._in_order(list(map(blocks.decode, self._session.scalars(query))), key)

    def whole(self, key: str, numbers: np.ndarray) -> list[Columns]:
        """The points of some whole blocks, which are named by their numbers, in the order of those."""
        query = select(metric_blocks.c.first, metric_blocks.c.points).where(*self._of(metric_blocks, key))
        wanted = [number * FULL for number in numbers.tolist()]
        pages = _among(metric_blocks.c.first, wanted, FULL)
        found = dict(row for page in pages for row in self._rows(query.where(page)))
        return [blocks.decode(found[first]) for first in wanted]

    def times(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """When each whole block of a metric begins and ends."""
        query = select(metric_levels.c.spans).where(*self._of(metric_levels, key), metric_levels.c.level == 1)
        spans = pyramid.unpacked(self._session.scalars(query.order_by(metric_levels.c.place)), "time")
        return spans.low, spans.high

    def roots(self, key: str, along: Along) -> dict[int, tuple[int, Spans]]:
        """The spans from level 1 on that no span of a higher level sums up: by level, with the place of the first."""
        query = select(metric_levels.c.level, metric_levels.c.spans).where(*self._of(metric_levels, key))
        query = query.order_by(metric_levels.c.level.desc(), metric_levels.c.place)
        found: dict[int, list[bytes]] = {}
        for level, row in self._rows(query.where(metric_levels.c.level > 1)):
            found.setdefault(level, []).append(row)
        roots: dict[int, tuple[int, Spans]] = {}
        above = 0
        for level, packed in found.items():
            spans = pyramid.unpacked(packed, along)
            roots[level] = above, pyramid.taken(spans, slice(above, None))
            above = len(spans.points) * pyramid.FAN
        first = above // pyramid.ROW
        rest = query.where(metric_levels.c.level == 1, metric_levels.c.place >= first)
        spans = pyramid.unpacked((row for _, row in self._rows(rest)), along)
        roots[1] = above, pyramid.taken(spans, slice(above - first * pyramid.ROW, None))
        return roots

    def spans(self, key: str, along: Along, level: int, places: np.ndarray) -> Spans:
        """Some spans of a level, which are named by their rising places."""
        import numpy as np

        size = pyramid.row_size(level)
        wanted, which = np.unique(places // size, return_inverse=True)
        query = select(metric_levels.c.spans).where(*self._of(metric_levels, key), metric_levels.c.level == level)
        query = query.order_by(metric_levels.c.place)
        pages = _among(metric_levels.c.place, wanted.tolist(), 1)
        read = pyramid.unpacked((row for page in pages for row in self._session.scalars(query.where(page))), along)
        return pyramid.taken(read, which * size + places % size)

    def _in_order(self, parts: list[Columns], key: str) -> Columns:
        import numpy as np

        if self._tails is None:
            tails = rows.tails_of(self._session, self._run)
            self._tails = by_key(points for tail in tails for points in unpack_all(tail))
        parts += [self._tails[key]] if key in self._tails else []
        nothing = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        return ordered(joined(parts or [nothing]))

    def _rows(self, query: Select[int, bytes]) -> Sequence[tuple[int, bytes]]:
        return [(number, data) for number, data in self._session.connection.execute(query)]

    def _of(self, table: Table, key: str) -> tuple[ColumnElement[bool], ...]:
        return table.c.project == self._session.project, table.c.run == self._run, table.c.key == key


def _among(column: Column[int], wanted: list[int], stride: int) -> Iterator[ColumnElement[bool]]:
    """Conditions for a column to be among rising numbers, which are so far apart where they are neighbours."""
    if wanted and wanted[-1] - wanted[0] == stride * (len(wanted) - 1):
        yield column.between(wanted[0], wanted[-1])
        return
    for start in range(0, len(wanted), _AT_ONCE):
        yield column.in_(wanted[start : start + _AT_ONCE])
