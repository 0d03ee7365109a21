"""BentoML: a service of one worker with an API that takes batches, as its documentation has it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bentoml
import numpy as np
from predicting import given, load

FOLDER, ENGINE, PORT = given()
Matrix = np.ndarray


@bentoml.service(workers=1, threads=1, logging={"access": {"enabled": False}}, metrics={"enabled": True})
class Scores:
    """Rows in, scores out."""

    def __init__(self) -> None:
        self.model = load(FOLDER, ENGINE)

    @bentoml.api(batchable=ENGINE != "slow", max_batch_size=256, max_latency_ms=60_000)
    def predict(self, rows: Matrix) -> Matrix:
        """The scores."""
        return np.asarray(self.model(np.asarray(rows, dtype=np.float64)))


if __name__ == "__main__":
    where = Path(__file__)
    start = ["-m", "bentoml", "serve", f"{where.stem}:Scores", "--working-dir", str(where.parent)]
    os.execv(sys.executable, [sys.executable, *start, "--port", str(PORT), "--host", "127.0.0.1"])
