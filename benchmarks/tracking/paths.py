"""Tracking: logging, points, histories, charts, the server; beside bare SQLite, NumPy and what is to be reached.

Bare SQLite keeps the usual table of a row a point. "To reach" is a bound of the plan and no measurement. The chart of a
thousand million points reads a pyramid that was made without its points: rows of the levels from 4,096 points a span
up, 244,140 spans in all, packed and found as real ones are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from sqlalchemy import insert

from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare, repeated
from benchmarks.tracking import native
from everloop.app.platform import Platform
from everloop.tracking.entities import Logged, MetricPoint, Points
from everloop.tracking.points import pack, unpack
from everloop.tracking.series import blocks, pyramid, sealing
from everloop.tracking.series.blocks import FULL
from everloop.tracking.series.pyramid import Spans, Summary
from everloop.tracking.tables import metric_levels

CALLS = 20
SEGMENT = 100_000
LONG = 1_000_000
LONGER = 10_000_000
IMAGINED = 1_000_000_000
PIXELS = 1_000
TO_REACH = "to reach"


def run() -> Sequence[Figure]:
    """Logging, starting, the codec, histories, charts, bytes, and the server."""
    platform = scratch.platform()
    return [*_logging(platform), *_codec(), *_ingested(platform), *_series(), *native.served()]


def _logging(platform: Platform) -> list[Figure]:
    run = platform.call("runs.start", {"experiment": "x"}).id
    bare = Bare()
    figures = [
        compare(
            f"runs.log of {count:,} point{'s' * (count > 1)}",
            Side("platform", repeated(partial(_log, platform, run, count), CALLS)),
            Side("bare SQLite transaction", repeated(partial(bare.log, count), CALLS)),
            each=CALLS,
        )
        for count in (1, 1_000)
    ]
    started = compare(
        "runs.start, with code revision and environment",
        Side("platform", repeated(lambda: platform.call("runs.start", {"experiment": "x"}), CALLS)),
        Side("bare SQLite transaction", repeated(partial(bare.log, 1), CALLS)),
        each=CALLS,
    )
    return [*figures, started]


def _log(platform: Platform, run: str, count: int) -> None:
    platform.call("runs.log", {"id": run, "metrics": tuple(MetricPoint("loss", 0.5, step) for step in range(count))})


def series(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A loss as a training logs it: steps in order, times that tremble, values of single precision."""
    random = np.random.default_rng(7)
    at = 1_760_000_000_000_000 + np.cumsum(random.integers(5, 1_500, count))
    value = np.exp(-np.arange(count) / count) + random.normal(0, 0.01, count)
    return np.arange(count), at, value.astype(np.float32).astype(np.float64)


def segment(count: int, number: int = 0) -> Points:
    """So many points of ten metrics, which go on where those of the number before ended."""
    step, at, value = series(count)
    step, at = step + number * count, at + number * count * 800
    key = np.arange(count, dtype=np.uint32) % 10
    return Points(tuple(f"m{n}" for n in range(10)), *(column.tobytes() for column in (key, step // 10, at, value)))


def _codec() -> list[Figure]:
    points, column = segment(SEGMENT), series(FULL)
    packed, block = pack(points), blocks.encode(*column)
    raw = b"".join((points.key, points.step, points.at, points.value))
    copy = Side("copy of the columns", lambda: bytearray(raw))
    small = b"".join(part.tobytes() for part in column)
    works = (
        ("a segment is packed, a point", lambda: pack(points), copy, SEGMENT),
        ("a segment is unpacked, a point", lambda: unpack(packed), copy, SEGMENT),
        ("a block is made, a point", lambda: blocks.encode(*column), Side(copy.name, lambda: bytearray(small)), FULL),
        ("a block is read, a point", lambda: blocks.decode(block), Side(copy.name, lambda: bytearray(small)), FULL),
    )
    return [
        compare(
            what,
            Side("ours", repeated(work, CALLS)),
            Side(beside.name, repeated(beside.work, CALLS)),
            each=CALLS * count,
            unit="ns",
        )
        for what, work, beside, count in works
    ]


def _ingested(platform: Platform) -> list[Figure]:
    """Segments of 100,000 points until they are sealed and durable, a point."""
    run = platform.call("runs.start", {"experiment": "x"}).id
    bare = Bare()
    packed = [pack(segment(SEGMENT, number)) for number in reversed(range(4))]
    taken = compare(
        "100,000 points from a packed segment to durable blocks, a point",
        Side("platform", lambda: platform.ingest.write(Logged(run, unpack(packed.pop())), "ann", "default")),
        Side("bare SQLite, a row a point", partial(bare.log, SEGMENT)),
        each=SEGMENT,
        unit="ns",
        rounds=3,
    )
    return [taken, _reached("the same beside 5 M points/s", taken.ours, 200, "ns")]


def _series() -> list[Figure]:
    figures = []
    for count in (LONG, LONGER):
        platform, columns, size = filled(count)
        run = platform.call("runs.search", {}).pop().id
        ask = {"id": run, "key": "loss"}
        drawn = compare(
            f"runs.chart of {count:,} points, 1,000 pixels",
            Side("platform", repeated(partial(platform.call, "runs.chart", ask), CALLS)),
            Side("NumPy: min and max of points in memory", repeated(partial(_plain, columns[2]), CALLS)),
            each=CALLS,
            unit="ms",
        )
        bound = 5 if count == LONG else 10
        figures += [drawn, _reached(f"the same beside {bound} ms", drawn.ours, bound, "ms")]
        figures.append(_reached(f"bytes a stored point of {count:,}, all of the database", size / count, 10, "bytes"))
        if count == LONG:
            figures.append(_read(platform, ask))
    return [*figures, _imagined()]


def filled(count: int) -> tuple[Platform, tuple[np.ndarray, np.ndarray, np.ndarray], int]:
    """A platform with one run of so many points, the points, and how many bytes its database has."""
    platform, columns = scratch.platform(), series(count)
    run = platform.call("runs.start", {"experiment": "x"}).id
    catalog = platform.resources.home / "catalog.db"
    for start in range(0, count, LONG):
        step, at, value = (column[start : start + LONG] for column in columns)
        with platform.session().begin() as session:
            sealing.append(session, run, {"loss": (step, at, value)}, {"loss": start})
    return platform, columns, catalog.stat().st_size


def _plain(value: np.ndarray) -> None:
    starts = np.arange(0, len(value), len(value) // PIXELS)
    np.minimum.reduceat(value, starts), np.maximum.reduceat(value, starts)


def _read(platform: Platform, ask: dict[str, object]) -> Figure:
    bare = Bare()
    for _ in range(LONG // SEGMENT):
        bare.log(SEGMENT)
    return compare(
        "runs.points of 1,000,000 points, whole",
        Side("platform", lambda: platform.call("runs.points", ask)),
        Side("bare SQLite SELECT", bare.history),
        unit="ms",
        rounds=3,
    )


def _imagined() -> Figure:
    """The chart of a thousand million points, of which only the pyramid is there."""
    platform = scratch.platform()
    run = platform.call("runs.start", {"experiment": "x"}).id
    count = IMAGINED // FULL
    random, low = np.random.default_rng(7), np.arange(count) * FULL
    high, value = low + FULL - 1, random.normal(0, 1, count)
    steps = Spans(np.full(count, FULL), low * 0, value - 1, value + 1, low, high, value, value, low, high)
    with platform.session().begin() as session:
        spans, level = Summary(steps, steps), 1
        while len(spans.steps.points):
            rows = _rows(spans, {"project": "default", "run": run, "key": "loss", "level": level})
            session.connection.execute(insert(metric_levels), rows)
            whole = len(spans.steps.points) // pyramid.FAN * pyramid.FAN
            if not whole:
                break
            groups = np.arange(0, whole, pyramid.FAN)
            spans = Summary(*(pyramid.merged(pyramid.taken(each, slice(0, whole)), groups) for each in spans))
            level += 1
    drawn = compare(
        "runs.chart of 1,000,000,000 points (its pyramid only), 1,000 pixels",
        Side("platform", repeated(lambda: platform.call("runs.chart", {"id": run, "key": "loss"}), CALLS)),
        Side("nothing", lambda: None),
        each=CALLS,
        unit="ms",
    )
    return _reached(f"{drawn.what}, beside 10 ms", drawn.ours, 10, "ms")


def _rows(spans: Summary, named: dict[str, object]) -> list[dict[str, object]]:
    starts = range(0, len(spans.steps.points), pyramid.ROW)
    cuts = (Summary(*(pyramid.taken(each, slice(at, at + pyramid.ROW)) for each in spans)) for at in starts)
    return [named | {"place": place, "spans": pyramid.packed(cut)} for place, cut in enumerate(cuts)]


def _reached(what: str, ours: float, bound: float, unit: str) -> Figure:
    return Figure(what=what, unit=unit, ours=ours, peer=TO_REACH, theirs=bound)


class Bare:
    """SQLite with the usual table: a row a point, and an index to find them by."""

    def __init__(self) -> None:
        self._connection = scratch.bare_sqlite(
            "CREATE TABLE metrics (run TEXT, key TEXT, step INTEGER, at INTEGER, value REAL)",
            "CREATE INDEX by_run ON metrics (run, key, step)",
        )

    def log(self, points: int) -> None:
        """A transaction that adds so many points."""
        self._connection.execute("BEGIN IMMEDIATE")
        rows = [("r", "loss", step, 1_700_000_000_000_000, 0.5) for step in range(points)]
        self._connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def history(self) -> list[object]:
        """All points."""
        return self._connection.execute("SELECT * FROM metrics WHERE run = 'r' AND key = 'loss'").fetchall()
