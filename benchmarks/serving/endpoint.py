"""A real endpoint process over HTTP: features by key, the model, the durable log; counted are its own CPU seconds.

Beside it stand the bare model on the same matrix, and a bare Starlette app that parses and writes the same JSON.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from benchmarks import scratch
from benchmarks.children import Door, served
from benchmarks.harness import Figure, Side, Work, compare, repeated
from everloop.cli.demo.journey import LOOP
from everloop.datasets import content
from everloop.features import pointintime
from everloop.features import service as features
from everloop.features.online import Materializer
from everloop.registry import service as models
from everloop.registry.columns import InputMatrix, columns_of
from everloop.registry.save import load_model

REQUESTS = 100
TEXTS = ("flight_id", "carrier", "origin", "tailnum")
NUMBERS = ("distance", "hour", "minute", "weekday")
PATH = f"/v2/models/{LOOP}/infer"


def run() -> Sequence[Figure]:
    """Requests of 1, 50 and 1,000 rows."""
    platform = scratch.flights()
    session = platform.session()
    with session.begin(write=False) as unit:
        pinned = features.pin(unit, LOOP)
    Materializer(session, pinned).advance(session.clock.now())
    with served("everloop", "serve", LOOP, home=platform.resources.home) as door, served("benchmarks.echo") as echo:
        return [figure for rows in (1, 50, 1_000) for figure in _figures(door, echo, rows)]


def _figures(door: Door, echo: Door, rows: int) -> Sequence[Figure]:
    times = max(REQUESTS // max(rows // 50, 1), 5)
    body = _body(rows)
    what = f"a request of {rows:,} row{'s' * (rows > 1)}"
    asked = Side("endpoint", repeated(lambda: door.post(PATH, body), times), meter=door.meter)
    echoed = Side("bare Starlette echo", repeated(lambda: echo.post(PATH, body), times), meter=echo.meter)
    bare = Side("bare LightGBM", repeated(_bare(rows), times))
    return [compare(what, asked, other, each=times, rounds=5) for other in (echoed, bare)]


def _body(rows: int) -> bytes:
    session = scratch.flights().session()
    flights = content.read_table(session, content.snapshot_of(session, "schedule")).slice(80_000, rows)
    texts = [
        {
            "name": name,
            "shape": [rows],
            "datatype": "BYTES",
            "data": [value or "" for value in flights[name].to_pylist()],
        }
        for name in TEXTS
    ]
    numbers = [{"name": n, "shape": [rows], "datatype": "FP64", "data": flights[n].to_pylist()} for n in NUMBERS]
    return msgspec.json.encode({"inputs": [*texts, *numbers]})


def _bare(rows: int) -> Work:
    """LightGBM's own prediction on one thread, of a matrix that is ready."""
    import lightgbm

    session = scratch.flights().session()
    with session.begin(write=False) as unit:
        trained = models.version(unit, LOOP, alias="champion").trained
        pinned = features.pin(unit, LOOP)
    flights = content.read_table(session, content.snapshot_of(session, "schedule")).slice(80_000, rows)
    inputs = load_model(session, trained).inputs
    joined = pointintime.join(session, flights, "predicted_at", pinned)
    matrix = InputMatrix(inputs)(columns_of(joined, [field.name for field in inputs]))
    folder = scratch.folder()
    session.store.checkout(trained.digest, folder)
    booster = lightgbm.Booster(model_file=str(folder / "model.txt"))
    return lambda: booster.predict(matrix, num_threads=1)
