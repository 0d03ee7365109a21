"""What every inference protocol asks: who is served, what it takes and gives, and its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import TypeVar

import msgspec
import numpy as np
from starlette.concurrency import run_in_threadpool

from everloop.app.settings import Settings
from everloop.kernel.errors import Conflict, EverloopError, InvalidInput, NotFound
from everloop.kernel.version import VERSION
from everloop.server.inference import oip
from everloop.server.inference.served import Answered, Served, ServedEndpoint, ServedModel
from everloop.server.inference.tensors import columns_of
from everloop.server.inference.turns import Turns
from everloop.server.metrics import Metrics
from everloop.serving.request import PredictionRequest
from everloop.serving.together import rows_of

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
    """Answers for what is served, whatever door the question came in by. All doors run in one event loop.

    What is served may come and go: `turns` is replaced as a whole, so that a request sees all of it or nothing, and
    what was asked before is answered by what it was asked.
    """

    def __init__(self, served: Sequence[Served], metrics: Metrics, target_seconds: float = 0.0) -> None:
        self._slo_seconds = target_seconds or slo_seconds(Settings())
        self.rows = metrics.counter("everloop_predictions_total", "Rows answered.")
        self.rejected = metrics.counter("everloop_rejected_total", "Requests that were not let in, or not in time.")
        self._seconds = metrics.histogram("everloop_predict_seconds", "Time from a parsed request to its answer.")
        self.turns: tuple[Turns, ...] = tuple(self._turns(one) for one in served)
        self.troubles: Callable[[], Sequence[str]] = tuple
        """What there is now that only another process helps against: runs that hang, a model that is quarantined."""

    @property
    def first(self) -> Served:
        """What protocols ask that name no model.

        Raises:
            NotFound: nothing is served.
        """
        if not self.turns:
            raise NotFound("No model is served here.", hint="Load one first.")
        return self.turns[0].served

    def add(self, one: Served) -> None:
        """Serve something more, after what is served already.

        Raises:
            Conflict: this version is served already.
        """
        if any(turns.served.name == one.name and turns.served.versions == one.versions for turns in self.turns):
            raise Conflict(
                f"{one.name!r} is served by version {', '.join(one.versions)} already.", hint="Unload it first."
            )
        self.turns = (*self.turns, self._turns(one))

    def remove(self, name: str, version: str = "") -> None:
        """Serve a version no more, or no version of a model. Requests that are waiting are still answered.

        Raises:
            NotFound: it is not served.
        """
        gone = [turns for turns in self.turns if turns.served.name == name and version in ("", *turns.served.versions)]
        if not gone:
            self.found(name, version)
        self.turns = tuple(turns for turns in self.turns if turns not in gone)
        for turns in gone:
            turns.close()

    def busy(self) -> float:
        """Since when, by `perf_counter`, the longest of the runs goes on that threads are at; 0 when none does."""
        return min((turns.running_since for turns in self.turns if turns.running_since), default=0.0)

    def arrange(self, served: Sequence[Served]) -> None:
        """Serve exactly these, in this order: what is served already stays, the others go once they have answered."""
        before = {turns.served: turns for turns in self.turns}
        self.turns = tuple(before.get(one) or self._turns(one) for one in served)
        for one, turns in before.items():
            if one not in served:
                turns.close()

    def warm_up(self) -> None:
        """Run everything before the first request comes, so that its pace is known. Nothing of that is logged.

        Endpoints with circuits are left alone, as those would count these runs.
        """
        for turns in self.turns:
            one = turns.served
            if isinstance(one, ServedModel) or (isinstance(one, ServedEndpoint) and not one.is_guarded):
                turns.warm_up(one.sample)

    def describe(self) -> ServerMetadata:
        """What this server is."""
        return ServerMetadata("everloop", VERSION, oip.EXTENSIONS, self._names())

    def metadata(self, name: str, version: str = "") -> oip.ModelMetadata:
        """What a model takes and gives.

        Raises:
            NotFound: there is no such model or version.
        """
        one = self.found(name, version)
        same = [turns.served for turns in self.turns if turns.served.name == one.name]
        versions = tuple(version for other in same for version in other.versions)
        return oip.ModelMetadata(one.name, versions, "everloop", oip.described(one.inputs), oip.described(one.outputs))

    def found(self, name: str, version: str = "") -> Served:
        """What answers under a name; without a version, what follows the traffic or was named first.

        Raises:
            NotFound: there is no such model or version.
        """
        return self.asked(name, version).served

    def asked(self, name: str, version: str = "") -> Turns:
        """The turns of what answers under a name.

        Raises:
            NotFound: there is no such model or version.
        """
        named = [turns for turns in self.turns if turns.served.name == name]
        for turns in named:
            if not version or turns.served.versions == (version,):
                return turns
        if not named:
            raise NotFound(f"No model {name!r} is served here.", hint=f"Served are {', '.join(self._names())}.")
        answering = ", ".join(version for turns in named for version in turns.served.versions)
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
            TooMany: this client has more than its share waiting.
            DeadlineExceeded: it cannot be answered, or was not, before the request's deadline.
        """
        turns = next((turns for turns in self.turns if turns.served is one), None)
        if turns is None:
            raise NotFound(f"{one.name!r} is not served here any more.", hint=f"Served are {', '.join(self._names())}.")
        asked = _Asked(request)
        turns.put(asked)
        answer = await asked.future
        if isinstance(answer, EverloopError):
            raise answer
        return answer

    def _turns(self, one: Served) -> Turns:
        return Turns(one, self._slo_seconds, self, self._seconds.times(model=one.name))

    def _names(self) -> tuple[str, ...]:
        return tuple(sorted({turns.served.name for turns in self.turns}))


class _Asked:
    """A request whose asker awaits a future."""

    __slots__ = ("arrived", "future", "request", "rows", "size")

    def __init__(self, request: PredictionRequest) -> None:
        self.request = request
        self.rows = rows_of(request.columns) or 1  # A request that has none takes its place in the queue all the same.
        self.size = sum(values.nbytes for values in request.columns.values())
        self.arrived = perf_counter()
        self.future: asyncio.Future[Answered | EverloopError] = asyncio.get_running_loop().create_future()

    def wanted(self) -> bool:
        """Whether the asker has not hung up."""
        return not self.future.done()

    def resolve(self, answer: Answered | EverloopError) -> None:
        """Wake the asker."""
        if not self.future.done():
            self.future.set_result(answer)


def slo_seconds(settings: Settings) -> float:
    """The time to an answer that a server keeps to."""
    return max(settings.serving_slo_ms, 1) / 1e3


async def decoded(body: bytes, decode: Callable[[], T]) -> T:
    """What `decode` makes of a body: a large one in a thread."""
    return decode() if len(body) < LARGE else await run_in_threadpool(decode)
