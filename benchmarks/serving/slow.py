"""Our server of a model that takes 5 ms a row and nothing of the processor. `--port PORT`."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import numpy as np

from benchmarks.serving.beside.predicting import SLOW_SECONDS
from benchmarks.serving.model import FEATURES, NAME
from everloop.registry.columns import InputMatrix
from everloop.registry.entities import Field, Signature
from everloop.server.inference.door import Where, serve
from everloop.server.inference.served import ServedModel
from everloop.server.inference.standalone import Exposure, gate_of, serving
from everloop.serving.direct import DirectModel

INPUTS = tuple(Field(f"f{place}", "float64") for place in range(FEATURES))


class Slow:
    """The sum of a row, after a while."""

    inputs = INPUTS

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The sums."""
        matrix = InputMatrix(self.inputs)(columns)
        time.sleep(SLOW_SECONDS * len(matrix))
        return np.asarray(matrix.sum(axis=1))

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Nobody asks."""
        raise NotImplementedError  # Nobody asks this model how its inputs moved a score.


def main(port: int) -> None:
    """Serve until SIGTERM."""
    signature = Signature(INPUTS, (Field("score", "float64"),))
    served = ServedModel(DirectModel(NAME, 1, signature, Slow()))
    serve(serving([served], gate_of(Exposure()), {}), Where("127.0.0.1", port), lambda address: None)


if __name__ == "__main__":
    main(int(sys.argv[-1]))
