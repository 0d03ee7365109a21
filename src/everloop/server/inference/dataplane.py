"""What every inference protocol asks: who is served, what it takes and gives, and its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from time import perf_counter
from typing import TypeVar

import msgspec
import numpy as np
from starlette.concurrency import run_in_threadpool

from everloop.kernel.errors import EverloopError, InvalidInput, NotFound
from everloop.server.inference import oip
from everloop.server.inference.served import Answered, Served
from everloop.server.inference.tensors import columns_of
from everloop.server.inference.turns import Turns
from everloop.server.metrics import Metrics
from everloop.serving.request import PredictionRequest

LARGE = 1 << 18
"""Bodies over this many bytes are decoded in a thread, so that others need not wait for it."""
T = TypeVar("T")


class ServerMetadata(msgspec.Struct, frozen=True):
    """What a server is."""

    name: str
    version: str
    extensions: tuple[str, ...]
    models: tuple[str, ...]


class DataPlane:
    """Answers for what is served, whatever door the question came in by. All doors run in one event loop."""

    def __init__(self, served: Sequence[Served], metrics: Metrics) -> None:
        self._served = tuple(served)
        self._turns = {id(one): Turns(one.answer_all) for one in served}
        self._rows = metrics.counter("everloop_predictions_total", "Rows answered.")
        self._seconds = metrics.histogram("everloop_predict_seconds", "Time from a parsed request to its answer.")

    @property
    def first(self) -> Served:
        """What protocols ask that name no model."""
        return self._served[0]

    def describe(self) -> ServerMetadata:
        """What this server is."""
        return ServerMetadata("everloop", version("everloop"), ("binary_tensor_data",), self._names())

    def metadata(self, name: str, version: str = "") -> oip.ModelMetadata:
        """What a model takes and gives.

        Raises:
            NotFound: there is no such model or version.
        """
        one = self.found(name, version)
        versions = tuple(version for other in self._served if other.name == one.name for version in other.versions)
        return oip.ModelMetadata(one.name, versions, "everloop", oip.described(one.inputs), oip.described(one.outputs))

    def found(self, name: str, version: str = "") -> Served:
        """What answers under a name; without a version, what follows the traffic or was named first.

        Raises:
            NotFound: there is no such model or version.
        """
        named = [one for one in self._served if one.name == name]
        for one in named:
            if not version or one.versions == (version,):
                return one
        if not named:
            raise NotFound(f"No model {name!r} is served here.", hint=f"Served are {', '.join(self._names())}.")
        answering = ", ".join(version for one in named for version in one.versions)
        raise NotFound(
            f"{name!r} is not answered by version {version} alone.",
            hint=f"Its traffic goes to {answering}; leave the version out to follow it.",
        )

    async def infer(self, one: Served, tensors: Mapping[str, np.ndarray], wishes: Sequence[str], id: str) -> Answered:
        """Predictions for tensors. `wishes` are outputs that the caller will look for.

        Raises:
            InvalidInput: a tensor is no column of the model's, or a wish is no output.
        """
        columns = columns_of(one.inputs, dict(tensors))
        known = {field.name for field in one.outputs}
        unknown = [wish for wish in wishes if wish not in known]
        if unknown:
            raise InvalidInput(
                f"There is no output {', '.join(unknown)}.", hint=f"There are {', '.join(sorted(known))}."
            )
        return await self.ask(one, PredictionRequest(columns, id))

    async def ask(self, one: Served, request: PredictionRequest) -> Answered:
        """The answer to a request, once its turn has come.

        Raises:
            Unavailable: too many are waiting.
        """
        started = perf_counter()
        answer = await self._turns[id(one)].ask(request)
        if isinstance(answer, EverloopError):
            raise answer
        self._seconds.observe(perf_counter() - started, model=one.name)
        self._rows.add(len(answer.scores), model=one.name, version=answer.model_version)
        return answer

    def _names(self) -> tuple[str, ...]:
        return tuple(sorted({one.name for one in self._served}))


async def decoded(body: bytes, decode: Callable[[], T]) -> T:
    """What `decode` makes of a body: a large one in a thread."""
    return decode() if len(body) < LARGE else await run_in_threadpool(decode)
