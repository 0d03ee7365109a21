"""An endpoint that looks 50 features up online and logs each prediction durably, beside the model served alone.

Both are processes of one worker with 64 connections; the model of the endpoint takes the 50 features, the other 30
numbers out of the request. The share to reach is 60 % of the requests that the model alone answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from benchmarks import scratch
from benchmarks.harness import Figure
from benchmarks.serving import model, peers, processes
from benchmarks.serving.load import measured, missing
from benchmarks.serving.model import Body
from everloop.app.platform import Platform
from everloop.datasets.content import write_table
from everloop.features import service as features
from everloop.features.declare import Entity, FeatureService, FeatureView, table
from everloop.registry import service as models
from everloop.registry.columns import signature_of
from everloop.registry.compilation.compiler import compiled_once
from everloop.registry.entities import Provenance
from everloop.registry.save import save_model
from everloop.serving import service as endpoints

LOOKED_UP = 50
CUSTOMERS = 1_000
NAMES = tuple(f"n{place}" for place in range(LOOKED_UP))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENDPOINT = "scored"
SHARE = 0.6


def run() -> Sequence[Figure]:
    """1 row, and 64 rows of as many customers."""
    if missing():
        return []
    rows = model.rows_of(2, LOOKED_UP)
    home, right = _furnished(rows)
    command, environment = processes.everloop(ENDPOINT, home=home)
    path = f"/v2/models/{ENDPOINT}/infer"
    figures: list[Figure] = []
    with (
        processes.running(command, environment, path, _customers(1), right) as endpoint,
        processes.ours() as alone,
    ):
        for count, connections in ((1, 64), (64, 16)):
            one = measured([alone], peers.INFER, model.tensors(model.trained().rows[:count]), connections)
            other = measured([endpoint], path, _customers(count), connections)
            what = f"{count} row{'s' * (count > 1)}, {connections} connections: a request"
            figures += [
                peers.cost(what, other, "the model served alone", one),
                peers.said(
                    what, "µs", other.wall * 1e6, f"{peers.TO_REACH}: {SHARE:.0%} of that", one.wall * 1e6 / SHARE
                ),
            ]
        figures.append(peers.said("resident memory after that load", "MB", endpoint.memory(), "alone", alone.memory()))
    return figures


def _customers(count: int) -> Body:
    data = [f"c{number}" for number in range(count)]
    tensor = {"name": "customer", "shape": [count], "datatype": "BYTES", "data": data}
    return Body(msgspec.json.encode({"inputs": [tensor]}), {"Content-Type": "application/json"})


def _furnished(rows: np.ndarray) -> tuple[Path, float]:
    """A home with the endpoint, its features online; and the score of the first customer."""
    platform = scratch.platform()
    session = platform.session()
    columns = {name: rows[:CUSTOMERS, place] for place, name in enumerate(NAMES)}
    write_table(session, "facts", pa.table({"customer": [f"c{number}" for number in range(CUSTOMERS)]} | columns))
    facts = FeatureView(
        "facts",
        entity=Entity("customer", keys=["customer"]),
        source=table("facts"),
        features=lambda t: [t[name] for name in NAMES],
    )
    with session.begin() as unit:
        features.apply(unit, (FeatureService("scoring", views=[facts], request={"customer": "string"}),))
    features.materialize(session, "scoring", NOW)
    return platform.resources.home, _deployed(platform, rows)


def _deployed(platform: Platform, rows: np.ndarray) -> float:
    session, booster = platform.session(), model.booster_of(rows, 2)
    signature = signature_of({f"facts.{name}": rows[:, place] for place, name in enumerate(NAMES)})
    with session.begin() as unit, unit.activate():
        provenance = Provenance(features="scoring", features_version=1)
        kept = save_model(booster, flavor="lightgbm", signature=signature, provenance=provenance)
    compiled_once(session, kept)
    with session.begin() as unit, unit.activate():
        models.register(unit, ENDPOINT, kept)
        endpoints.create(unit, ENDPOINT, ENDPOINT, "scoring")
    return float(booster.predict(rows[:1], num_threads=1)[0])
