"""Registered models served by name, without an endpoint: no online features, no traffic, no log."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from everloop.catalog.session import Session
from everloop.kernel.errors import EverloopError, InvalidInput
from everloop.registry import service as models
from everloop.registry.columns import check_inputs
from everloop.registry.entities import ModelVersion
from everloop.registry.flavor import Predictor
from everloop.registry.save import load_model

if TYPE_CHECKING:
    import numpy as np

    from everloop.serving.request import PredictionRequest

_REFERENCE = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[1-9]\d{0,8}))")
log = logging.getLogger("everloop.serving")


class DirectModel:
    """A registered version, loaded. What it answers is kept nowhere."""

    def __init__(self, version: ModelVersion, predictor: Predictor) -> None:
        self.version = version
        self._predictor = predictor

    def predict_all(self, requests: Sequence[PredictionRequest]) -> list[np.ndarray | EverloopError]:
        """Scores for each request, `(n,)` or `(n, k)`, or its own error."""
        return [self._scores(request) for request in requests]

    def _scores(self, request: PredictionRequest) -> np.ndarray | EverloopError:
        try:
            if not check_inputs(self.version.trained.signature, request.columns):
                raise InvalidInput("The request has no rows.", hint="Send at least one.")
            return self._predictor.predict(request.columns)
        except EverloopError as error:
            return error
        except Exception:  # A model is foreign code, and the door must answer the next request.
            name = f"Version {self.version.version} of model {self.version.model!r}"
            log.exception("%s failed", name)
            return EverloopError(f"{name} failed on this request.", hint="The process says why on stderr.")


def load_direct(session: Session, reference: str) -> DirectModel:
    """The model that `models:/NAME@ALIAS` or `models:/NAME/VERSION` names.

    Raises:
        InvalidInput: it is no such reference.
        NotFound: there is no such model, version or alias.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise InvalidInput(
            f"{reference!r} names no registered model.", hint="Write models:/NAME@ALIAS or models:/NAME/VERSION."
        )
    with session.begin(write=False) as unit:
        found = models.version(unit, match["name"], int(match["version"] or 0), match["alias"] or "")
        return DirectModel(found, load_model(unit, found.trained))
