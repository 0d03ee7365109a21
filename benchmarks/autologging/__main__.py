"""`python -m benchmarks.autologging LIBRARY everloop|mlflow PAIRS`: CPU seconds of a training, plain and recorded.

The two take turns in one process. Two pairs stand first that are not like the others: the first plain training of a
process imports and warms up, and the first one that is recorded opens what it is recorded in.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import msgspec

from benchmarks.autologging.fits import FITS, Fit

Turn = Callable[[bool], None]


def main(library: str, recorder: str, pairs: int) -> None:
    """Print the seconds of the pairs as JSON."""
    warnings.simplefilter("ignore")
    turn, block = _everloop(library) if recorder == "everloop" else _mlflow(library)
    fit = FITS[library]()
    _seconds(fit)
    taken = [_pair(fit, turn, block) for _ in range(pairs + 1)]
    print(msgspec.json.encode(taken).decode())


def _pair(fit: Fit, turn: Turn, block: Callable[[], AbstractContextManager[object]]) -> tuple[float, float]:
    plain = _seconds(fit)
    turn(True)
    recorded = _seconds(fit, block)
    turn(False)
    return plain, recorded


def _seconds(fit: Fit, block: Callable[[], AbstractContextManager[object]] = nullcontext) -> float:
    started = time.process_time()
    with block():
        fit()
    return time.process_time() - started


def _everloop(library: str) -> tuple[Turn, Callable[[], AbstractContextManager[object]]]:
    """Recorded in a home of this process. PyTorch's loops are the user's own, so they have a run around them."""
    os.environ["EVERLOOP_HOME"] = tempfile.mkdtemp()
    import everloop

    block: Callable[[], AbstractContextManager[object]] = everloop.run if library == "pytorch" else nullcontext
    return lambda on: everloop.autolog(library, disable=not on), block


def _mlflow(library: str) -> tuple[Turn, Callable[[], AbstractContextManager[object]]]:
    """Recorded in SQLite by this process, which is the quickest of MLflow's stores."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    folder = tempfile.mkdtemp()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("fits", artifact_location=folder)
    mlflow.set_experiment("fits")
    module = getattr(mlflow, "pytorch" if library == "lightning" else library)
    block: Callable[[], AbstractContextManager[object]] = mlflow.start_run if library == "pytorch" else nullcontext
    return lambda on: module.autolog(disable=not on), block


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
