"""The model that all servers serve: gradient boosting, 100 trees of 31 leaves on 30 numbers; and requests for it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks import scratch
from everloop.app import backends
from everloop.app.platform import Platform
from everloop.registry import service as models
from everloop.registry.columns import signature_of
from everloop.registry.compilation.compiler import compiled_once
from everloop.registry.entities import Signature
from everloop.registry.save import save_model
from everloop.registry.trees.onnx import to_onnx

NAME = "bench"
FEATURES, TREES, LEAVES = 30, 100, 31
ROWS = 4_000


class Body(msgspec.Struct, frozen=True):
    """What is posted, with its headers."""

    content: bytes
    headers: dict[str, str]


class Trained(msgspec.Struct, frozen=True):
    """A model in a folder, as LightGBM and ONNX have it, with some rows and their scores."""

    folder: Path
    rows: np.ndarray
    scores: np.ndarray


def rows_of(seed: int, features: int = FEATURES) -> np.ndarray:
    """Rows to train on and to ask for."""
    return np.random.default_rng(seed).normal(size=(ROWS, features))


def booster_of(rows: np.ndarray, seed: int) -> Any:
    """A LightGBM model of these rows."""
    import lightgbm

    label = rows[:, 0] + rows[:, 1] * rows[:, 2] + np.random.default_rng(seed).normal(size=len(rows)) > 0
    options = {"objective": "binary", "num_leaves": LEAVES, "verbosity": -1, "num_threads": 1, "seed": seed}
    return lightgbm.train(options, lightgbm.Dataset(rows, label), TREES)


@cache
def trained() -> Trained:
    """The model, written for those who bring their own server."""
    folder, rows = scratch.folder(), rows_of(0)
    booster = booster_of(rows, 0)
    booster.save_model(folder / "model.txt")
    flavor: Any = backends.load("flavors", "lightgbm")()  # `Any`: a flavor that can read its trees.
    flavor.save(booster, folder, signature(rows))
    graph = to_onnx(flavor.trees(folder))
    assert graph is not None
    (folder / "model.onnx").write_bytes(graph)
    return Trained(folder, rows, booster.predict(rows, num_threads=1))


def signature(rows: np.ndarray) -> Signature:
    """What the model takes: its columns by name."""
    return signature_of({f"f{place}": rows[:, place] for place in range(rows.shape[1])})


@cache
def home() -> Path:
    """A home with two versions of the model, compiled."""
    platform = scratch.platform()
    for seed in (0, 1):
        registered(platform, seed)
    return platform.resources.home


def registered(platform: Platform, seed: int) -> int:
    """Register the model that was trained with a seed; its version."""
    rows, session = rows_of(0), platform.session()
    with session.begin() as unit, unit.activate():
        kept = save_model(booster_of(rows, seed), flavor="lightgbm", signature=signature(rows))
    compiled_once(session, kept)
    with session.begin() as unit, unit.activate():
        return models.register(unit, NAME, kept).version


def tensors(rows: np.ndarray) -> Body:
    """Rows by the Open Inference Protocol: one matrix."""
    tensor = {"name": "x", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel().tolist()}
    return _json({"inputs": [tensor]})


def named_tensors(rows: np.ndarray) -> Body:
    """Rows by the Open Inference Protocol: a tensor for each input."""
    tensors = [
        {"name": f"f{place}", "shape": [len(rows)], "datatype": "FP64", "data": rows[:, place].tolist()}
        for place in range(rows.shape[1])
    ]
    return _json({"inputs": tensors})


def named_rows(rows: np.ndarray) -> Body:
    """Rows as most servers are shown them in their documentation."""
    return _json({"rows": rows.tolist()})


def scoring(rows: np.ndarray) -> Body:
    """Rows by MLflow's scoring protocol."""
    return _json({"inputs": rows.tolist()})


def binary(rows: np.ndarray) -> Body:
    """Rows as bytes behind a JSON header, the answer as bytes too."""
    tensor = {
        "name": "x",
        "shape": list(rows.shape),
        "datatype": "FP64",
        "parameters": {"binary_data_size": rows.nbytes},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return Body(head + np.ascontiguousarray(rows).tobytes(), headers)


def scores_in(answer: bytes) -> list[float]:
    """The scores in an answer, in whichever of these forms it came."""
    found = json.loads(answer)
    if isinstance(found, dict):
        found = found["outputs"][0]["data"] if "outputs" in found else found.get("scores", found.get("predictions"))
    return [float(score) for score in found]


def _json(told: object) -> Body:
    return Body(msgspec.json.encode(told), {"Content-Type": "application/json"})
