"""Search over runs at the server: filter, order and first page of 100, by both doors, beside what is to be reached.

Ten parameters, five tags and five metrics a run; a server of its own for each number of runs, whose CPU time counts
with HTTP and JSON. EVERLOOP_BENCH_RUNS=10000,50000 asks for other numbers of runs than 10,000 to 1,000,000. For the
smallest of them SQL over a row a value with indexes, as MLflow keeps it, stands beside too. The first search loads the
index; what that costs is told for 100,000 runs and more.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from functools import partial
from random import Random
from urllib.parse import urlencode

import msgspec
from sqlalchemy import insert

from benchmarks import scratch
from benchmarks.harness import Figure, Side, Work, compare, meter_of, repeated
from benchmarks.tracking.servers import Served, ours
from everloop.app.platform import Platform
from everloop.kernel.clock import from_micros
from everloop.server.mlflow.experiments import id_of
from everloop.tracking.documents import Texts, document_of
from everloop.tracking.entities import CodeRevision
from everloop.tracking.points import Latest
from everloop.tracking.tables import runs

CALLS = 10
SIZES = "10000,50000,100000,1000000"
BARE_UP_TO = 10_000
LOADED_FROM = 100_000
EXPERIMENTS = 20
_START = 1_760_000_000_000_000
_BY_METRIC = {"where": "metrics.m1 > 0.5 and parameters.p1 = 'v3'", "order": "metrics.m2 desc"}
_BY_TEXT = {"where": "parameters.p2 like 'v1%' and tags.t1 = 'w2'", "order": "parameters.p3"}
_BOUNDS = ((10_000, 2.0), (50_000, 4.0), (100_000, 6.0), (1_000_000, 50.0))
_LOADED_MS, _LOADED_MB = 0.006, 0.00025
"""What is to be reached for each run: 6 s of CPU time and 250 MB for a million."""


def run() -> Sequence[Figure]:
    """What the first search of a server costs, then searches for a metric and for texts."""
    sizes = [int(size) for size in os.environ.get("EVERLOOP_BENCH_RUNS", SIZES).split(",")]
    return [figure for size in sizes for figure in _at(size)]


def _at(size: int) -> list[Figure]:
    platform, bare = scratch.platform(), _Bare() if size <= BARE_UP_TO else None
    for number in range(EXPERIMENTS):
        platform.call("experiments.create", {"name": f"e{number}"})
    fill(platform, size, bare)
    with ours(platform.resources.home) as server:
        loaded = _loaded(server, size)
        return [*(loaded if size >= LOADED_FROM else []), *_searched(server, size, bare)]


def _loaded(server: Served, size: int) -> list[Figure]:
    """What the first search costs, which reads every run once, and what the index of them takes in memory."""
    meter, held = meter_of(server.process.pid), server.resident()
    begun = meter()
    server.ask("GET", "/api/v1/runs?limit=1")
    spent, what = meter() - begun, f"index of {size:,} runs"
    more = server.resident() - held
    return [
        Figure(what=f"{what}: loaded", unit="ms", ours=spent * 1e3, peer="to reach", theirs=size * _LOADED_MS),
        Figure(what=f"{what}: memory, NumPy included", unit="MB", ours=more, peer="to reach", theirs=size * _LOADED_MB),
    ]


def _searched(server: Served, size: int, bare: _Bare | None) -> list[Figure]:
    """Searches by each door."""
    wanted = next(bound for most, bound in _BOUNDS if size <= most or most == _BOUNDS[-1][0])
    figures = []
    for what, asked, plain in (
        ("a metric and a parameter", _BY_METRIC, _Bare.by_metric),
        ("texts alike", _BY_TEXT, _Bare.by_text),
    ):
        for door, ask in (("REST", _over_rest(server, asked)), ("MLflow's door", _by_mlflow(server, asked))):
            named = f"{door}: by {what}, first 100 of {size:,}"
            mine = Side("server", repeated(ask, CALLS), meter=meter_of(server.process.pid))
            beside = Side("bare SQLite, a row a value", repeated(partial(plain, bare), CALLS) if bare else _nothing)
            found = compare(named, mine, beside, each=CALLS, unit="ms", rounds=5)
            reached = Figure(what=named, unit="ms", ours=found.ours, peer="to reach", theirs=wanted)
            figures += [found, reached] if bare else [reached]
    return figures


def _over_rest(server: Served, asked: dict[str, str]) -> Work:
    return partial(server.ask, "GET", f"/api/v1/runs/page?{urlencode(asked)}")


def _by_mlflow(server: Served, asked: dict[str, str]) -> Work:
    groups = [id_of(f"e{number}") for number in range(EXPERIMENTS)]
    filter, order = asked["where"].replace("parameters.", "params."), asked["order"].replace("parameters.", "params.")
    request = {"experiment_ids": groups, "filter": filter, "order_by": [order], "max_results": 100}
    return partial(server.ask, "POST", "/api/2.0/mlflow/runs/search", msgspec.json.encode(request))


def _nothing() -> None:
    return None


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
    parameters = {f"p{key}": f"v{int(random.random() * 10 * (key + 1))}" for key in range(9)}
    parameters["rate"] = repr(random.random())
    texts = Texts(parameters, {f"t{key}": f"w{int(random.random() * 5)}" for key in range(5)})
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
