"""Search over runs: filter, order and first page of 100, beside SQL over a row a value with indexes.

Ten parameters, five tags and five metrics a run; EVERLOOP_BENCH_RUNS=1000000 asks for other numbers of runs than 10,000
and 50,000.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from functools import partial
from random import Random

from sqlalchemy import insert

from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare, repeated
from everloop.app.platform import Platform
from everloop.kernel.clock import from_micros
from everloop.tracking.documents import Texts, document_of
from everloop.tracking.entities import CodeRevision
from everloop.tracking.index import refresh
from everloop.tracking.points import Latest
from everloop.tracking.tables import runs

CALLS = 10
_START = 1_760_000_000_000_000
_WHERE = "metrics.m1 > 0.5 and parameters.p1 = 'v3'"
_LIKE = "parameters.p2 like 'v1%' and tags.t1 = 'w2'"


def run() -> Sequence[Figure]:
    """The first page of a search for a metric, and of one for texts; what the index costs to load."""
    sizes = [int(size) for size in os.environ.get("EVERLOOP_BENCH_RUNS", "10000,50000").split(",")]
    return [figure for size in sizes for figure in _at(size)]


def _at(size: int) -> list[Figure]:
    platform, bare = scratch.platform(), _Bare()
    fill(platform, size, bare)
    by_metric = {"where": _WHERE, "order": "metrics.m2 desc"}
    by_text = {"where": _LIKE, "order": "parameters.p3"}
    load = compare(
        f"index of {size:,} runs, a run",
        Side("platform", partial(_load, platform), refresh.forget),
        Side("bare SQLite: read the rows", bare.scan),
        each=size,
        rounds=1,
    )
    return [
        load,
        *(
            compare(
                f"runs.search by {what}, first 100 of {size:,}",
                Side("platform", repeated(partial(platform.call, "runs.search", given), CALLS)),
                Side("bare SQLite, a row a value", repeated(work, CALLS)),
                each=CALLS,
                unit="ms",
                rounds=3,
            )
            for what, given, work in (
                ("a metric and a parameter", by_metric, bare.by_metric),
                ("texts alike", by_text, bare.by_text),
            )
        ),
    ]


def _load(platform: Platform) -> None:
    platform.call("runs.table", {"limit": 1})


def fill(platform: Platform, size: int, bare: _Bare | None = None) -> None:
    """Make runs by bulk inserts."""
    random = Random(1)
    code = CodeRevision("c0ffee", "main")
    for start in range(0, size, 10_000):
        made = [_run(random, number, code) for number in range(start, min(start + 10_000, size))]
        with platform.session().begin() as unit:
            unit.connection.execute(insert(runs), [row | {"project": unit.project} for row, _, _ in made])
        if bare is not None:
            bare.add((row["id"], texts, latest) for row, texts, latest in made)


def _run(random: Random, number: int, code: CodeRevision) -> tuple[dict[str, object], Texts, dict[str, Latest]]:
    parameters = {f"p{key}": f"v{random.randrange(10 * (key + 1))}" for key in range(9)}
    parameters["rate"] = repr(random.random())
    texts = Texts(parameters, {f"t{key}": f"w{random.randrange(5)}" for key in range(5)})
    latest = {f"m{key}": Latest(random.random(), 100, _START + number, 100) for key in range(5)}
    row: dict[str, object] = {
        "id": f"{number:012x}{random.getrandbits(80):020x}",
        "experiment": f"e{number // 5000 % 20}",
        "name": f"run-{number}",
        "status": "finished",
        "inputs": (),
        "code": code,
        "environment": "",
        "started": from_micros(_START + number * 1_000_000),
        "ended": from_micros(_START + number * 1_000_000 + 999),
        "parent": "",
        "user": "ann",
        "group": "",
        "note": "",
        "changed": number + 1,
        "tail_next": 0,
        "tail_points": 0,
        "tail_bytes": 0,
        "texts": document_of(texts),
        "latest": document_of(latest),
    }
    return row, texts, latest


class _Bare:
    def __init__(self) -> None:
        self._connection: sqlite3.Connection = scratch.bare_sqlite(
            "CREATE TABLE runs (id TEXT PRIMARY KEY)",
            "CREATE TABLE metrics (run TEXT, key TEXT, value REAL, PRIMARY KEY (key, run)) WITHOUT ROWID",
            "CREATE TABLE texts (run TEXT, key TEXT, value TEXT, PRIMARY KEY (key, run)) WITHOUT ROWID",
        )

    def add(self, made: object) -> None:
        self._connection.execute("BEGIN")
        for id, texts, latest in made:  # type: ignore[attr-defined]  # an iterator of runs
            self._connection.execute("INSERT INTO runs VALUES (?)", (id,))
            values = [(id, key, text) for key, text in (texts.parameters | texts.tags).items()]
            self._connection.executemany("INSERT INTO texts VALUES (?, ?, ?)", values)
            points = [(id, key, point.value) for key, point in latest.items()]
            self._connection.executemany("INSERT INTO metrics VALUES (?, ?, ?)", points)
        self._connection.execute("COMMIT")

    def scan(self) -> int:
        return len(self._connection.execute("SELECT * FROM texts").fetchall())

    def by_metric(self) -> list[object]:
        return self._connection.execute(
            "SELECT a.run FROM metrics a JOIN texts p ON p.key = 'p1' AND p.run = a.run AND p.value = 'v3'"
            " JOIN metrics b ON b.key = 'm2' AND b.run = a.run"
            " WHERE a.key = 'm1' AND a.value > 0.5 ORDER BY b.value DESC LIMIT 100"
        ).fetchall()

    def by_text(self) -> list[object]:
        return self._connection.execute(
            "SELECT a.run FROM texts a JOIN texts t ON t.key = 't1' AND t.run = a.run AND t.value = 'w2'"
            " JOIN texts b ON b.key = 'p3' AND b.run = a.run"
            " WHERE a.key = 'p2' AND a.value LIKE 'v1%' ORDER BY b.value LIMIT 100"
        ).fetchall()
