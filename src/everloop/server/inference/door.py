"""The inference door: what a process serves, over HTTP.

It speaks the Open Inference Protocol (`/v2`), MLflow's scoring protocol (`/invocations`) and what else it is given as
routes. What it needs of a platform is handed in (`Serving`), so a model out of a package is served by the same door.
Where a port is given for it, gRPC asks the same data plane beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from everloop.governance.roles import require
from everloop.kernel.errors import EverloopError, Misconfigured
from everloop.server import process
from everloop.server.answers import JSON, answer
from everloop.server.inference import oip
from everloop.server.inference.asking import KEY_HEADER
from everloop.server.inference.carriage import Carriage
from everloop.server.inference.dataplane import DataPlane, decoded
from everloop.server.inference.invocations import ScoringDoor, live
from everloop.server.inference.refusals import Wording, crashed, misled, refusal, scoring_refusal, wording
from everloop.server.metrics import CONTENT_TYPE, Measured, Metrics
from everloop.server.security import Gate, Guard

if TYPE_CHECKING:
    from everloop.server.inference.grpc.door import GrpcDoor


class InferenceDoor:
    """Answers requests for what is served, by the Open Inference Protocol."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def routes(self) -> list[Route]:
        """The protocol's routes."""
        models = "/v2/models/{name}"
        named = [
            (models, self.describe, "GET"),
            (f"{models}/ready", self.ready, "GET"),
            (f"{models}/infer", self.infer, "POST"),
        ]
        versioned = [
            (path.replace("{name}", "{name}/versions/{version}"), door, method) for path, door, method in named
        ]
        return [
            *(Route(path, door, methods=[method]) for path, door, method in (*reversed(named), *versioned)),
            Route("/v2", self.server),
            Route("/v2/health/live", live),
            Route("/v2/health/ready", live),
        ]

    async def server(self, request: Request) -> Response:
        """What this server is."""
        require(request.state.principal, "endpoints:read")
        return answer(self._plane.describe())

    async def ready(self, request: Request) -> Response:
        """The model is served."""
        require(request.state.principal, "endpoints:read")
        return answer({"name": self._plane.found(*_named(request)).name, "ready": True})

    async def describe(self, request: Request) -> Response:
        """What the model takes and gives."""
        require(request.state.principal, "endpoints:read")
        return answer(self._plane.metadata(*_named(request)))

    async def infer(self, request: Request) -> Response:
        """Predictions by the Open Inference Protocol."""
        require(request.state.principal, "endpoints:predict")
        one = self._plane.found(*_named(request))
        body = await request.body()
        asked, tensors = await decoded(body, lambda: oip.decode(body, request.headers.get(oip.BINARY_HEADER, "")))
        wishes = [wish.name for wish in asked.outputs]
        found = await self._plane.infer(one, tensors, wishes, asked.id or request.headers.get(KEY_HEADER, ""))
        response = oip.InferResponse(one.name, found.model_version, [], found.id)
        content, head = oip.encode(response, found.values, asked.outputs, oip.wants_binary(asked))
        if not head:
            return Response(content, media_type=JSON)
        return Response(content, headers={oip.BINARY_HEADER: str(head)}, media_type="application/octet-stream")


def _named(request: Request) -> tuple[str, str]:
    return request.path_params["name"], request.path_params.get("version", "")


def _nothing() -> None:
    """What is done where there is nothing to start or to close."""


@dataclass(frozen=True, eq=False, slots=True)
class Serving:
    """All that a process serves with. `routes` are those beside the two protocols: health, feedback, a cloud's own.

    `start` is called when the process begins to serve, `close` when it has ended.
    """

    plane: DataPlane
    metrics: Metrics
    gate: Gate
    new_id: Callable[[], str]
    routes: Sequence[Route] = ()
    start: Callable[[], None] = _nothing
    close: Callable[[], None] = _nothing


@dataclass(frozen=True, slots=True)
class Where:
    """The addresses that a process takes; port 0 is any free one."""

    host: str
    port: int
    grpc_port: int | None = None


def serve(serving: Serving, where: Where, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM; `announce` is told each address when all ports are ours, HTTP's first.

    Raises:
        Misconfigured: gRPC is wanted and not installed.
        Unavailable: a port is taken.
    """
    beside = None if where.grpc_port is None else _grpc_door(serving)
    listening = process.listen(where.host, where.port)

    async def listen() -> None:
        addresses = [process.address_of(listening)]
        if beside is not None and where.grpc_port is not None:
            addresses.append(await beside.listen(where.host, where.grpc_port))
        for address in addresses:
            announce(address)

    process.run(build_app(serving, beside), listening, listen)


def build_app(serving: Serving, beside: GrpcDoor | None = None) -> ASGIApp:
    """The door as an ASGI app, behind its guard."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        serving.start()
        if beside is not None:
            await beside.start()
        yield
        if beside is not None:
            await beside.stop()
        serving.close()

    async def scraped(request: Request) -> Response:
        require(request.state.principal, "metrics:read")
        return Response(serving.metrics.text(), media_type=CONTENT_TYPE)

    routes = [*InferenceDoor(serving.plane).routes(), *ScoringDoor(serving.plane).routes(), *serving.routes]
    doors = Starlette(
        routes=[*routes, Route("/metrics", scraped)],
        exception_handlers={
            EverloopError: lambda request, error: wording(request.url.path)(error),
            HTTPException: lambda request, error: misled(request, error),
            Exception: lambda request, error: crashed(request, error, serving.new_id()),
        },
        lifespan=lifespan,
    )
    carried = Carriage(doors, serving.gate.settings.max_body_mb << 20)
    guards: dict[Wording, Guard] = {words: Guard(carried, serving.gate, words) for words in (refusal, scoring_refusal)}

    async def by_path(scope: Scope, receive: Receive, send: Send) -> None:
        """Each protocol words its own refusals, so each has a guard of its own."""
        await guards[wording(scope.get("path", ""))](scope, receive, send)

    return Measured(by_path, serving.metrics)


def _grpc_door(serving: Serving) -> GrpcDoor:
    try:
        from everloop.server.inference.grpc.door import GrpcDoor
    except ImportError as error:
        raise Misconfigured(f"--grpc-port needs gRPC: {error}.", hint="pip install 'everloop[grpc]'") from None
    return GrpcDoor(serving.plane, serving.gate, serving.metrics, serving.new_id)
