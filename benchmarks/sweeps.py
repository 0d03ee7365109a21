"""What a trial of an empty objective costs: in our storage, with runs and without, and in Optuna's own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Figure, Side, compare

TRIALS = 40


def run() -> Sequence[Figure]:
    """The figures."""
    import optuna

    from everloop.app.platform import open_platform
    from everloop.app.settings import load
    from everloop.pipelines.sweeps.storage import OptunaStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        platform = open_platform(load({"home": name}, environment={}, folder=Path(name)))
        rdb = optuna.storages.RDBStorage(f"sqlite:///{name}/optuna.db")
        backend = optuna.storages.journal.JournalFileBackend(f"{name}/journal.log")
        journal = optuna.storages.JournalStorage(backend)
        ours = _study(OptunaStorage(platform.session()))
        bare = _study(OptunaStorage(platform.session(), runs=False))
        return [
            _figure("a trial that is a run, beside one that is none", ours, "RDBStorage (SQLite)", _study(rdb)),
            _figure("a trial without a run", bare, "RDBStorage (SQLite)", _study(rdb)),
            _figure("a trial without a run", bare, "JournalStorage (file)", _study(journal)),
        ]


def _study(storage: Any) -> Callable[[], object]:
    import optuna

    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=1))
    return lambda: study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=TRIALS)


def _figure(what: str, ours: Callable[[], object], peer: str, theirs: Callable[[], object]) -> Figure:
    return compare(what, Side("everloop", ours), Side(peer, theirs), each=TRIALS, unit="ms", rounds=3)
