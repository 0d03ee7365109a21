"""Models served as they are, without an endpoint: no online features, no traffic, no log; and no catalog either."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from everloop.kernel.errors import EverloopError, InvalidInput
from everloop.registry.columns import check_inputs
from everloop.registry.entities import Signature
from everloop.registry.flavor import Predictor, outputs_of
from everloop.serving.together import Columns, Outputs, grouped, joined, parted, rows_of

if TYPE_CHECKING:
    from everloop.serving.request import PredictionRequest

log = logging.getLogger("everloop.serving")


class DirectModel:
    """A model's version, loaded. What it answers is kept nowhere."""

    def __init__(self, name: str, version: int, signature: Signature, predictor: Predictor) -> None:
        self.name = name
        self.version = version
        self.signature = signature
        self._predictor = predictor

    def answer_all(self, requests: Sequence[PredictionRequest]) -> list[Outputs | EverloopError]:
        """Outputs by name for each request, or its own error. Requests of one schema are one run of the model."""
        asked = [request.columns for request in requests]
        answers: list[Outputs | EverloopError | None] = [None] * len(asked)
        for positions in grouped(asked):
            found = self._together([asked[position] for position in positions])
            for position, answer in zip(positions, found, strict=True):
                answers[position] = answer
        return [answer for answer in answers if answer is not None]

    def explain(self, request: PredictionRequest) -> Columns:
        """How much each input moved the score of each row, by input.

        Raises:
            InvalidInput: there are more rows than are explained in one request.
            Refused: this model cannot say.
        """
        from everloop.serving.explaining import EXPLAINED_ROWS, check_explainable, explained

        check_explainable(request, EXPLAINED_ROWS)
        return explained(self._predictor, request.columns)

    def _together(self, asked: Sequence[Columns]) -> Sequence[Outputs | EverloopError]:
        """One run for all; where it fails, each alone, so that nobody suffers for another's rows."""
        try:
            lengths = [rows_of(columns) for columns in asked]
            if not all(lengths):
                raise InvalidInput("The request has no rows.", hint="Send at least one.")
            columns = joined(asked)
            check_inputs(self.signature, columns)
            parts = parted(self._outputs(columns), lengths)
            if parts is None:
                raise EverloopError(f"{self._title} did not answer with a value for each row.")
            return parts
        except Exception as error:  # A model is foreign code, and the door must answer the next request.
            if len(asked) > 1:
                return [self._together([one])[0] for one in asked]
            if isinstance(error, EverloopError):
                return [error]
            log.exception("%s failed", self._title)
            return [EverloopError(f"{self._title} failed on this request.", hint="The process says why on stderr.")]

    def _outputs(self, columns: Columns) -> Outputs:
        return outputs_of(self._predictor, self.signature.outputs, columns)

    @property
    def _title(self) -> str:
        return f"Version {self.version} of model {self.name!r}"
