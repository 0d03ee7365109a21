"""A compiled model beside its own library and beside ONNX Runtime, asked by the columns that a server has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.harness import Figure, Side, compare
from everloop.app import backends
from everloop.registry.columns import MatrixColumns, signature_of
from everloop.registry.flavor import Predictor
from everloop.registry.trees.compiled import CompiledPredictor
from everloop.registry.trees.kernel import Kernel
from everloop.registry.trees.onnx import Graph, to_onnx

FEATURES, ROWS = 30, 2_000
CALLS, TURNS = 16, 4


def run() -> Sequence[Figure]:
    """1 row and 64 rows of each library: 100 trees, those that are boosted of 31 leaves."""
    return [figure for flavor, name, train in _models() for figure in _measured(flavor, name, train)]


def _measured(flavor: str, name: str, train: Callable[[np.ndarray, np.ndarray], object]) -> Iterator[Figure]:
    random = np.random.default_rng(0)
    rows = random.normal(size=(ROWS, FEATURES))
    label = rows[:, 0] + rows[:, 1] * rows[:, 2] + random.normal(size=ROWS) > 0
    signature = signature_of({f"f{place}": rows[:, place] for place in range(FEATURES)})
    opened: Any = backends.load("flavors", flavor)()  # `Any`: a flavor that can read its trees.
    with TemporaryDirectory() as folder:
        opened.save(train(rows, label), Path(folder), signature)
        native, table = opened.load(Path(folder)), opened.trees(Path(folder))
    compiled = CompiledPredictor(signature.inputs, Kernel(table))
    graph = to_onnx(table)
    for count in (1, 64):
        calls = [MatrixColumns(tuple(f.name for f in signature.inputs), rows[at : at + count]) for at in _starts(count)]
        ours = Side("compiled", _asked(compiled, calls))
        what = f"{name}, {count} row{'s' if count > 1 else ''}"
        yield compare(what, ours, Side("its library", _asked(native, calls)), each=CALLS * TURNS)
        if graph is not None:
            runtime = CompiledPredictor(signature.inputs, Graph(graph))
            yield compare(what, ours, Side("ONNX Runtime", _asked(runtime, calls)), each=CALLS * TURNS)


def _starts(count: int) -> range:
    return range(0, CALLS * count, count)


def _asked(predictor: Predictor, calls: Sequence[MatrixColumns]) -> Callable[[], object]:
    return lambda: [predictor.predict(columns) for _ in range(TURNS) for columns in calls]


def _models() -> Iterator[tuple[str, str, Callable[[np.ndarray, np.ndarray], object]]]:
    import catboost
    import lightgbm
    import xgboost
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    leaves = {"objective": "binary", "num_leaves": 31, "verbosity": -1, "num_threads": 1}
    deep = {"objective": "binary:logistic", "max_leaves": 31, "grow_policy": "lossguide", "nthread": 1}
    yield "sklearn", "histogram boosting", lambda x, y: HistGradientBoostingClassifier(random_state=0).fit(x, y)
    yield "sklearn", "random forest", lambda x, y: RandomForestClassifier(random_state=0).fit(x, y)
    yield "lightgbm", "LightGBM", lambda x, y: lightgbm.train(leaves, lightgbm.Dataset(x, y), 100)
    yield "xgboost", "XGBoost", lambda x, y: xgboost.train(deep, xgboost.DMatrix(x, y), 100)
    quiet = {"iterations": 100, "depth": 5, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
    yield "catboost", "CatBoost", lambda x, y: catboost.CatBoostClassifier(**quiet).fit(x, y)
