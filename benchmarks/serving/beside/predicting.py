"""The model as every server here loads it: by its own library, by ONNX Runtime, or one that just takes its time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SLOW_SECONDS = 0.005
Predict = Callable[[Any], Any]  # `Any`: NumPy's arrays, of whichever version of it.


def load(folder: str, engine: str) -> Predict:
    """What gives the scores of a matrix: `native` asks LightGBM, `onnx` our compiled trees, `slow` sleeps."""
    if engine == "slow":
        return _slow
    return _onnx(Path(folder)) if engine == "onnx" else _native(Path(folder))


def given() -> tuple[str, str, int]:
    """The model's folder, the engine and the port, as every server here is told them."""
    return os.environ["BENCH_MODEL"], os.environ["BENCH_ENGINE"], int(os.environ["BENCH_PORT"])


def matrix(rows: Any) -> Any:
    """Rows out of JSON."""
    return np.asarray(rows, dtype=np.float64)


def _slow(rows: Any) -> Any:
    time.sleep(SLOW_SECONDS * len(rows))
    return rows.sum(axis=1)


def _native(folder: Path) -> Predict:
    import lightgbm

    booster = lightgbm.Booster(model_file=str(folder / "model.txt"))
    return lambda rows: booster.predict(rows, num_threads=1)


def _onnx(folder: Path) -> Predict:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda rows: session.run(None, {name: rows})[-1][:, 0]
