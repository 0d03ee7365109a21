"""Tracking: metric points and runs, beside bare SQLite in the usual table of a row a point."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare, repeated
from everloop.app.platform import Platform
from everloop.tracking.entities import MetricPoint

CALLS = 20


def run() -> Sequence[Figure]:
    """Logging, starting, searching and reading."""
    platform = scratch.platform()
    run = platform.call("runs.start", {"experiment": "x"}).id
    bare = _Bare()
    return [
        *(
            compare(
                f"runs.log of {points:,} point{'s' * (points > 1)}",
                Side("platform", repeated(partial(_log, platform, run, points), CALLS)),
                Side("bare SQLite transaction", repeated(partial(bare.log, points), CALLS)),
                each=CALLS,
            )
            for points in (1, 1_000)
        ),
        compare(
            "runs.start, with code revision and environment",
            Side("platform", repeated(lambda: platform.call("runs.start", {"experiment": "x"}), CALLS)),
            Side("bare SQLite transaction", repeated(partial(bare.log, 1), CALLS)),
            each=CALLS,
        ),
        compare(
            "runs.history, a point",
            Side("platform", lambda: platform.call("runs.history", {"id": run, "key": "loss"})),
            Side("bare SQLite SELECT", bare.history),
            each=bare.points,
        ),
        compare(
            "runs.search by a metric, first 20 of 160",
            Side("platform", lambda: platform.call("runs.search", {"where": "metrics.loss >= 0", "limit": 20})),
            Side("bare SQLite SELECT", bare.search),
        ),
    ]


def _log(platform: Platform, run: str, points: int) -> None:
    platform.call("runs.log", {"id": run, "metrics": tuple(MetricPoint("loss", 0.5, step) for step in range(points))})


class _Bare:
    def __init__(self) -> None:
        self._connection = scratch.bare_sqlite(
            "CREATE TABLE metrics (run TEXT, key TEXT, step INTEGER, at INTEGER, value REAL)",
            "CREATE INDEX by_run ON metrics (run, key, step)",
            "CREATE TABLE latest (run TEXT, key TEXT, value REAL)",
        )
        self._connection.executemany("INSERT INTO latest VALUES (?, 'loss', ?)", [(f"r{n}", 0.5) for n in range(160)])
        self.points = 8 * CALLS * 1_001
        """How many points either side has once the inserts are through."""

    def log(self, points: int) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        rows = [("r", "loss", step, 1_700_000_000_000_000, 0.5) for step in range(points)]
        self._connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def history(self) -> list[object]:
        return self._connection.execute("SELECT * FROM metrics WHERE run = 'r' AND key = 'loss'").fetchall()

    def search(self) -> list[object]:
        query = "SELECT run, value FROM latest WHERE key = 'loss' AND value >= 0 ORDER BY run DESC LIMIT 20"
        return self._connection.execute(query).fetchall()
