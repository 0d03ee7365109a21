"""Models served as they are, without an endpoint: no online features, no traffic, no log; and no catalog either."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from everloop.kernel.errors import EverloopError, InvalidInput
from everloop.registry.columns import check_inputs
from everloop.registry.entities import Signature
from everloop.registry.flavor import Predictor

if TYPE_CHECKING:
    import numpy as np

    from everloop.serving.request import PredictionRequest

log = logging.getLogger("everloop.serving")


class DirectModel:
    """A model's version, loaded. What it answers is kept nowhere."""

    def __init__(self, name: str, version: int, signature: Signature, predictor: Predictor) -> None:
        self.name = name
        self.version = version
        self.signature = signature
        self._predictor = predictor

    def predict_all(self, requests: Sequence[PredictionRequest]) -> list[np.ndarray | EverloopError]:
        """Scores for each request, `(n,)` or `(n, k)`, or its own error."""
        return [self._scores(request) for request in requests]

    def _scores(self, request: PredictionRequest) -> np.ndarray | EverloopError:
        try:
            if not check_inputs(self.signature, request.columns):
                raise InvalidInput("The request has no rows.", hint="Send at least one.")
            return self._predictor.predict(request.columns)
        except EverloopError as error:
            return error
        except Exception:  # A model is foreign code, and the door must answer the next request.
            name = f"Version {self.version} of model {self.name!r}"
            log.exception("%s failed", name)
            return EverloopError(f"{name} failed on this request.", hint="The process says why on stderr.")
