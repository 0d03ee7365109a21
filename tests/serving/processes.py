"""A home with a real LightGBM model on it, and real processes that serve it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import httpx
import numpy as np
import pyarrow as pa

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.catalog.session import Session
from everloop.datasets.content import write_table
from everloop.features import service as features
from everloop.features.declare import Entity, FeatureService, FeatureView, table
from everloop.registry import service as models
from everloop.registry.columns import InputMatrix, signature_of
from everloop.registry.entities import Provenance
from everloop.registry.save import save_model
from everloop.serving import service as endpoints

ORIGINS = ("EWR", "JFK", "LGA")
CARRIERS = ("AA", "B6", "DL", "UA")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEATHER = tuple(f"weather_{number}" for number in range(8))


def open_home(home: Path) -> Platform:
    """The platform in a home."""
    return open_platform(load({"home": str(home), "seed": 7}, environment={}, folder=home.parent))


def furnish(home: Path, trees: int = 10) -> None:
    """Fill a home with a feature service, two versions of the model `late`, and the endpoint `delay`."""
    platform = open_home(home)
    session = platform.session()
    weather = {"origin": list(ORIGINS)} | {name: [1.0, 2.0, 3.0] for name in WEATHER}
    write_table(session, "weather", pa.table(weather))
    view = FeatureView(
        "airport",
        entity=Entity("airport", keys=["origin"]),
        source=table("weather"),
        features=lambda t: [t[n] for n in WEATHER],
    )
    request = {"origin": "string", "carrier": "string", "distance": "float64", "hour": "int64"}
    with session.begin() as unit:
        features.apply(unit, (FeatureService("flight", views=[view], request=request),))
    features.materialize(session, "flight", NOW)
    for seed in (1, 2):
        _register(session, trees, seed)
    with session.begin() as unit:
        models.set_alias(unit, "late", "champion", 2)
        endpoints.create(unit, "delay", "late", "flight", "flight_id", 1)
        endpoints.deploy(unit, "delay", 2)
    platform.close()


def _register(session: Session, trees: int, seed: int) -> None:
    import lightgbm

    random = np.random.default_rng(seed)
    rows = 3_000
    columns: dict[str, np.ndarray] = {f"airport.{name}": random.normal(size=rows) for name in WEATHER}
    columns |= {
        "origin": random.choice(np.array(ORIGINS, dtype=object), rows),
        "carrier": random.choice(np.array(CARRIERS, dtype=object), rows),
        "distance": random.normal(800, 300, rows),
        "hour": random.integers(0, 24, rows),
    }
    signature = signature_of(columns)
    matrix = InputMatrix(signature.inputs)
    late = (columns["hour"] + random.normal(0, 4, rows) > 15).astype(float)
    data = lightgbm.Dataset(matrix(columns), late, feature_name=list(columns), categorical_feature=matrix.categorical)
    parameters = {"objective": "binary", "num_leaves": 31, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(parameters | {"seed": seed}, data, trees)
    with session.begin() as unit, unit.activate():
        provenance = Provenance(features="flight", features_version=1)
        models.register(
            unit, "late", save_model(booster, flavor="lightgbm", signature=signature, provenance=provenance)
        )


def tensors(rows: int, first: int = 0) -> list[dict[str, object]]:
    """Inputs for the endpoint `delay`, as the Open Inference Protocol has them."""
    numbers = range(first, first + rows)
    columns = {
        "origin": ("BYTES", [ORIGINS[n % 3] for n in numbers]),
        "carrier": ("BYTES", [CARRIERS[n % 4] for n in numbers]),
        "distance": ("FP64", [500.0 + n for n in numbers]),
        "hour": ("INT64", [n % 24 for n in numbers]),
        "flight_id": ("BYTES", [f"flight {n}" for n in numbers]),
    }
    return [{"name": n, "datatype": kind, "shape": [rows], "data": values} for n, (kind, values) in columns.items()]


class Process:
    """`everloop serve …` as a process of its own, with a client that talks to it."""

    def __init__(self, home: Path, words: Sequence[str], **environment: str) -> None:
        command = [sys.executable, "-m", "everloop", "--json", "--home", str(home), "serve", *words]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("EVERLOOP_")}
        self.errors = home.parent / f"{home.name}-stderr.txt"
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*command, "--port", environment.pop("port", "0")],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                # A busy machine is no reason to turn requests away in tests that are not about it.
                env=clean | {"EVERLOOP_SERVING_SLO_MS": "20000"} | environment,
                cwd=home.parent,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        self.address = str(json.loads(line)["address"])
        self.http = httpx.Client(base_url=self.address, timeout=30)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def infer(self, rows: int = 2, first: int = 0, **more: object) -> httpx.Response:
        """Ask the endpoint `delay` about some flights."""
        return self.http.post("/v2/models/delay/infer", json={"inputs": tensors(rows, first)} | more)

    def kill(self) -> None:
        """End the process as a crash does."""
        self.process.kill()
        self.process.wait()
        self._done()

    def stop(self) -> int:
        """End the process as a supervisor does; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self._done()
        return code

    def _done(self) -> None:
        self.http.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
