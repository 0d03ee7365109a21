"""What the inference door serves: an endpoint, or a registered model, behind one small interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np

from everloop.kernel.errors import EverloopError
from everloop.registry import forms
from everloop.registry.columns import MatrixColumns
from everloop.registry.entities import Field
from everloop.server.inference.tensors import typed
from everloop.serving.computed import Computed, Done
from everloop.serving.request import Answer, PredictionRequest

if TYPE_CHECKING:
    from everloop.serving.direct import DirectModel
    from everloop.serving.predictor import EndpointPredictor
    from everloop.serving.variants import Routing

Values = Mapping[str, Sequence[str] | np.ndarray]
EMPTY: Values = {}
EXPLANATION = "explanation:"
"""Outputs that tell how much an input moved the answer start with this."""


@dataclass(frozen=True, eq=False, slots=True)
class Answered:
    """What a request gets: outputs by name, the first of which are the model's own."""

    model_version: str
    id: str
    values: Values
    beside: Values = field(default_factory=dict)
    """What comes beside the outputs, whichever were asked for: intervals, explanations, that a fallback answered."""

    @property
    def all(self) -> Values:
        """The outputs, and what comes beside them."""
        return {**self.values, **{name: one for name, one in self.beside.items() if name not in self.values}}

    @property
    def scores(self) -> np.ndarray:
        """The model's own output; several that are one number a row each side by side."""
        own = [values for values in self.values.values() if isinstance(values, np.ndarray) and values.dtype.kind == "f"]
        if len(own) > 1 and all(values.ndim == 1 for values in own):
            return np.column_stack(own)
        return own[0] if own else np.asarray(next(iter(self.values.values())))


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

    def compute(self, requests: Sequence[PredictionRequest]) -> Computed[Answered]:
        """Answers, each with an error of its own if it comes to that; they may be given once they are committed.

        Called by one thread at a time.
        """
        ...


class ServedEndpoint:
    """An endpoint: features by key, traffic split, log."""

    def __init__(self, predictor: EndpointPredictor) -> None:
        self.name = predictor.routing.endpoint.name
        self.predictor = predictor
        self._described = _Described(predictor.routing)

    @property
    def versions(self) -> tuple[str, ...]:
        """The model versions that have traffic, the stable one first."""
        return self._now().versions

    @property
    def inputs(self) -> tuple[Field, ...]:
        """Entity keys, what comes with the request, and the label's key."""
        return self.predictor.routing.inputs

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The score, or all that the model gives when that is more than a number, and what it can be traced by."""
        return self._now().outputs

    def compute(self, requests: Sequence[PredictionRequest]) -> Computed[Answered]:
        """Answers that are committed when they are in the log."""
        computed = self.predictor.compute(requests)
        return _Logged(computed, self._by(computed.routing).answered)

    @property
    def is_guarded(self) -> bool:
        """Whether circuits count how runs go: then nothing may be run that nobody asked about."""
        return any(variant.guard is not None for variant in self.predictor.routing.variants)

    def sample(self, rows: int) -> PredictionRequest:
        """A request for so many rows that look like any others, to warm up with."""
        return sample_of(self.inputs, rows)

    def _now(self) -> _Described:
        """What is said of the traffic in force; it stays the same object until that moves."""
        return self._by(self.predictor.routing)

    def _by(self, routing: Routing) -> _Described:
        found = self._described
        if found.routing is not routing:
            found = self._described = _Described(routing)
        return found


class _Described:
    """What the door says of an endpoint's routing, put together once for all its requests."""

    def __init__(self, routing: Routing) -> None:
        self.routing = routing
        others = (variant.version for variant in routing.answering.values())
        self.versions = tuple(dict.fromkeys(str(version) for version in (routing.stable.version, *others)))
        own = routing.outputs or (Field(routing.stable.output, "float64"),)
        self.outputs = (*own, Field("prediction_id", "string"), Field("model_version", "int64"))
        self._output = self.outputs[0].name

    def answered(self, answer: Answer) -> Answered:
        """An answer by the names of its outputs: one out of the log may have others than the model of today."""
        values: dict[str, Sequence[str] | np.ndarray] = (
            {self._output: answer.outputs} if answer.values is None else dict(answer.values)
        )
        values["prediction_id"] = answer.prediction_ids
        values["model_version"] = answer.model_versions.astype(np.int64, copy=False)
        return Answered(self.versions[0], answer.request_id, values, _beside(answer))


class ServedModel:
    """A model's version, as it is."""

    def __init__(self, model: DirectModel) -> None:
        self.name = model.name
        self._version = str(model.version)
        self.versions: tuple[str, ...] = (self._version,)
        self.inputs = model.signature.inputs
        self.outputs = model.signature.outputs
        self._other = {field.name: field for field in self.outputs if field.type != "float64"}
        self._model = model

    def compute(self, requests: Sequence[PredictionRequest]) -> Computed[Answered]:
        """Answers that are kept nowhere."""
        found = zip(requests, self._model.answer_all(requests), strict=True)
        return Computed(
            [
                values
                if isinstance(values, EverloopError)
                else Answered(self._version, request.id, self._typed(values))
                if not request.explain
                else self._explained(request, values)
                for request, values in found
            ]
        )

    def _explained(self, request: PredictionRequest, values: Values) -> Answered | EverloopError:
        try:
            moved = self._model.explain(request)
        except EverloopError as error:
            return error
        beside = {EXPLANATION + name: found for name, found in moved.items()}
        return Answered(self._version, request.id, self._typed(values), beside)

    def sample(self, rows: int) -> PredictionRequest:
        """A request for so many rows that look like any others, to warm up with."""
        return sample_of(self.inputs, rows)

    def _typed(self, values: Values) -> Values:
        """Outputs as the signature says; models give doubles, as most signatures want them."""
        if not self._other:
            return values
        return {name: typed(self._other[name], one) if name in self._other else one for name, one in values.items()}


def sample_of(inputs: Sequence[Field], rows: int) -> PredictionRequest:
    """A request for so many rows of plain values."""
    columns = {field.name: _plain(field, rows) for field in inputs}
    if columns and all(field.type == "float64" and not field.shape for field in inputs):
        return PredictionRequest(MatrixColumns(tuple(columns), np.column_stack(list(columns.values()))))
    return PredictionRequest(columns)


def _plain(field: Field, rows: int) -> np.ndarray:
    """Zeros; texts are the first category that is known."""
    shape = (rows, *(max(size, 1) for size in field.shape))
    if field.type not in ("string", "bytes"):
        return np.zeros(shape, field.type)
    found = np.empty(shape, object)
    text = field.categories[0] if field.categories else forms.sample(field) if field.form else ""
    found[...] = text if field.type == "string" else text.encode()
    return found


def _beside(answer: Answer) -> Values:
    if not (answer.explanations or answer.roles or answer.traces or answer.interval):
        return EMPTY
    found: dict[str, Sequence[str] | np.ndarray] = {}
    if answer.interval is not None:
        found["lower"], found["upper"] = answer.interval
    if answer.roles is not None:
        found["role"] = answer.roles
    for name, values in (answer.explanations or {}).items():
        found[EXPLANATION + name] = values
    if answer.traces is not None:
        found["trace"] = [msgspec.json.encode(one).decode() for one in answer.traces]
    return found


class _Logged(Computed[Answered]):
    """What an endpoint has computed, as the door gives it."""

    __slots__ = ("_computed",)

    def __init__(self, computed: Computed[Answer], answered: Callable[[Answer], Answered]) -> None:
        super().__init__([one if isinstance(one, EverloopError) else answered(one) for one in computed.answers])
        self._computed = computed

    def commit(self, done: Done) -> None:
        """Have the answers kept."""
        self._computed.commit(done)
