"""What the inference door serves: an endpoint, or a registered model, behind one small interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from everloop.kernel.errors import EverloopError
from everloop.registry.entities import Field
from everloop.serving.request import PredictionRequest

if TYPE_CHECKING:
    from everloop.serving.direct import DirectModel
    from everloop.serving.predictor import Answer, EndpointPredictor

Values = Mapping[str, Sequence[str] | np.ndarray]


@dataclass(frozen=True, eq=False, slots=True)
class Answered:
    """What a request gets: outputs by name, the first of which are the model's own."""

    model_version: str
    id: str
    values: Values
    scores: np.ndarray


class Served(Protocol):
    """Something that answers requests."""

    name: str

    @property
    def versions(self) -> tuple[str, ...]:
        """The model versions that answer now."""
        ...

    @property
    def inputs(self) -> tuple[Field, ...]:
        """What a request brings along."""
        ...

    @property
    def outputs(self) -> tuple[Field, ...]:
        """What an answer holds."""
        ...

    def answer_all(self, requests: Sequence[PredictionRequest]) -> Sequence[Answered | EverloopError]:
        """Answers, each with an error of its own if it comes to that. Called by one thread."""
        ...


class ServedEndpoint:
    """An endpoint: features by key, traffic split, log."""

    def __init__(self, predictor: EndpointPredictor) -> None:
        self.name = predictor.routing.endpoint.name
        self.predictor = predictor

    @property
    def versions(self) -> tuple[str, ...]:
        """The model versions that have traffic, the stable one first."""
        routing = self.predictor.routing
        others = (variant.version for variant in routing.answering.values())
        return tuple(dict.fromkeys(str(version) for version in (routing.stable.version, *others)))

    @property
    def inputs(self) -> tuple[Field, ...]:
        """Entity keys, what comes with the request, and the label's key."""
        return self.predictor.routing.inputs

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The score, and what it can be traced by."""
        score = self.predictor.routing.stable.output
        return (Field(score, "float64"), Field("prediction_id", "string"), Field("model_version", "int64"))

    def answer_all(self, requests: Sequence[PredictionRequest]) -> Sequence[Answered | EverloopError]:
        """Answers that are in the log."""
        return [
            answer if isinstance(answer, EverloopError) else self._answered(answer)
            for answer in self.predictor.predict_all(requests)
        ]

    def _answered(self, answer: Answer) -> Answered:
        names = [field.name for field in self.outputs]
        values = (answer.outputs, answer.prediction_ids, answer.model_versions)
        return Answered(self.versions[0], answer.request_id, dict(zip(names, values, strict=True)), answer.outputs)


class ServedModel:
    """A model's version, as it is."""

    def __init__(self, model: DirectModel) -> None:
        self.name = model.name
        self.versions: tuple[str, ...] = (str(model.version),)
        self.inputs = model.signature.inputs
        self.outputs = model.signature.outputs
        self._model = model

    def answer_all(self, requests: Sequence[PredictionRequest]) -> Sequence[Answered | EverloopError]:
        """Answers that are kept nowhere."""
        found = zip(requests, self._model.predict_all(requests), strict=True)
        return [
            scores if isinstance(scores, EverloopError) else self._answered(request.id, scores)
            for request, scores in found
        ]

    def _answered(self, id: str, scores: np.ndarray) -> Answered:
        """A column for each output; one matrix when the signature names fewer than there are."""
        names = [field.name for field in self.outputs]
        if scores.ndim == 2 and scores.shape[1] == len(names):
            values: Values = {name: np.ascontiguousarray(scores[:, at]) for at, name in enumerate(names)}
        else:
            values = {names[0] if names else "predictions": scores}
        return Answered(self.versions[0], id, values, scores)
