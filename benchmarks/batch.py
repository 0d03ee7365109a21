"""A batch out of Parquet into Parquet, beside scikit-learn on rows that are in memory already, and the bare engine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare
from everloop.app import backends
from everloop.app.platform import Platform
from everloop.registry.columns import signature_of
from everloop.registry.save import save_model
from everloop.registry.trees.kernel import Kernel
from everloop.serving.batch.output import Output
from everloop.serving.batch.predict import Asked, predict

ROWS, FEATURES, ROUNDS = 1_000_000, 30, 3
BATCH = 32_768
NAMES = [f"x{place}" for place in range(FEATURES)]


def run() -> Sequence[Figure]:
    """1 M rows of 30 numbers, 100 trees of 31 leaves, a worker a core; we read and write, scikit-learn does neither."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(ROWS, FEATURES))
    model = _trained(rows[:20_000], random)
    folder = scratch.folder()
    table = pa.table({"id": np.arange(ROWS)} | {name: rows[:, at] for at, name in enumerate(NAMES)})
    pq.write_table(table, folder / "in.parquet", row_group_size=131_072, use_dictionary=False, compression="zstd")
    del table
    kernel = _kernel(model, rows, folder / "model")
    platform = scratch.platform()
    session = platform.session()
    with session.activate():
        _register(platform, model, rows)
        asked = Asked("big", "", str(folder / "in.parquet"), part_rows=ROWS // 8)
        ours = Side("batch", lambda: predict(session, asked, Output(folder / "out")), lambda: _removed(folder / "out"))
        sides = (
            Side("scikit-learn predict_proba, in memory", lambda: model.predict_proba(rows)),
            Side("bare kernel on threads, Parquet read", lambda: _bare(kernel, folder / "in.parquet")),
            Side("bare kernel on threads, in memory", lambda: _in_memory(kernel, rows)),
        )
        return [compare("1 M rows", ours, side, unit="s", rounds=ROUNDS) for side in sides]


def _trained(rows: np.ndarray, random: np.random.Generator) -> HistGradientBoostingClassifier:
    label = rows[:, 0] + rows[:, 1] * rows[:, 2] + random.normal(size=len(rows)) > 0
    return HistGradientBoostingClassifier(max_iter=100, max_leaf_nodes=31, early_stopping=False).fit(rows, label)


def _signature(rows: np.ndarray) -> Any:
    return signature_of({name: rows[:8, at] for at, name in enumerate(NAMES)})


def _kernel(model: object, rows: np.ndarray, folder: Path) -> Kernel:
    opened: Any = backends.load("flavors", "sklearn")()  # `Any`: a flavor that can read its trees.
    folder.mkdir()
    opened.save(model, folder, _signature(rows))
    return Kernel(opened.trees(folder))


def _register(platform: Platform, model: object, rows: np.ndarray) -> None:
    platform.call("models.register", {"name": "big", "trained": save_model(model, signature=_signature(rows))})


def _removed(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _bare(kernel: Kernel, path: Path) -> None:
    def group(at: int) -> None:
        for batch in pq.ParquetFile(path).iter_batches(BATCH, row_groups=[at], columns=NAMES, use_threads=False):
            kernel(batch.to_tensor(row_major=True).to_numpy())

    _everywhere(group, range(pq.ParquetFile(path).num_row_groups))


def _in_memory(kernel: Kernel, rows: np.ndarray) -> None:
    _everywhere(lambda at: kernel(rows[at : at + BATCH]), range(0, len(rows), BATCH))


def _everywhere(work: Callable[[int], object], places: range) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, places))
