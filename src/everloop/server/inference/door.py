"""The inference door: what a process serves, over HTTP.

It speaks the Open Inference Protocol (`/v2`), MLflow's scoring protocol (`/invocations`) and what else it is given as
routes. What it needs of a platform is handed in (`Serving`), so a model out of a package is served by the same door.
Where a port is given for it, gRPC asks the same data plane beside it.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from everloop.governance.roles import require
from everloop.kernel.errors import EverloopError, Misconfigured
from everloop.server import process
from everloop.server.callers import Callers
from everloop.server.inference.carriage import Carriage
from everloop.server.inference.dataplane import DataPlane
from everloop.server.inference.invocations import ScoringDoor
from everloop.server.inference.kservev1 import KserveDoor
from everloop.server.inference.openinference import OpenInferenceDoor
from everloop.server.inference.refusals import Wording, crashed, misled, refusal, scoring_refusal, wording
from everloop.server.inference.repository import Repository
from everloop.server.inference.wire import wired
from everloop.server.metrics import CONTENT_TYPE, Measured, Metrics
from everloop.server.security import Gate, Guard

if TYPE_CHECKING:
    from everloop.server.inference.grpc.door import GrpcDoor
    from everloop.server.replicas.worker import Worker

SWITCH_SECONDS = 0.0005
"""A model that holds Python's lock for long gives it back so often, so that those who cannot be let in hear it soon."""


def _nothing() -> None:
    """What is done where there is nothing to start or to close."""


@dataclass(frozen=True, eq=False, slots=True)
class Serving:
    """All that a process serves with. `routes` are those beside the two protocols: health, feedback, a cloud's own.

    Without a `repository` no model comes or goes. `start` is called when the process begins to serve, `close` when it
    has ended. A `worker` is one of several processes that serve the same.
    """

    plane: DataPlane
    metrics: Metrics
    gate: Gate
    new_id: Callable[[], str]
    routes: Sequence[Route] = ()
    start: Callable[[], None] = _nothing
    close: Callable[[], None] = _nothing
    repository: Repository | None = None
    worker: Worker | None = None


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
    callers = Callers(serving.gate)
    serving = replace(serving, gate=replace(serving.gate, authenticate=callers))
    beside = None if where.grpc_port is None else _grpc_door(serving)
    worker = serving.worker
    listening = process.listen(where.host, where.port) if worker is None else worker.listening

    async def listen() -> None:
        addresses = [process.address_of(listening)]
        if beside is not None and where.grpc_port is not None:
            addresses.append(await beside.listen(where.host, where.grpc_port, shared=worker is not None))
        for address in addresses:
            announce(address)

    sys.setswitchinterval(SWITCH_SECONDS)
    serving.plane.warm_up()
    protocol = wired(serving.plane, serving.gate, callers, serving.metrics)
    if worker is not None:
        worker.busy = serving.plane.busy
    process.run(build_app(serving, beside), listening, listen, protocol, worker.server if worker else None)


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
        text = serving.metrics.text() if serving.worker is None else await run_in_threadpool(serving.worker.scrape)
        return Response(text, media_type=CONTENT_TYPE)

    plane = serving.plane
    repository = serving.repository or Repository(plane)
    protocols = (OpenInferenceDoor(plane, repository), ScoringDoor(plane), KserveDoor(plane))
    routes = [*(route for door in protocols for route in door.routes()), *serving.routes]
    doors = Starlette(
        routes=[*routes, Route("/metrics", scraped)],
        exception_handlers={
            EverloopError: lambda request, error: wording(request.url.path)(error),
            HTTPException: lambda request, error: misled(request, error),
            ClientDisconnect: _hung_up,
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


async def _hung_up(_request: Request, _error: Exception) -> Response:
    """What nobody hears: who leaves in the middle of a request is no fault of the server's, and fills no log."""
    return Response(status_code=400)


def _grpc_door(serving: Serving) -> GrpcDoor:
    try:
        from everloop.server.inference.grpc.door import GrpcDoor
    except ImportError as error:
        raise Misconfigured(f"--grpc-port needs gRPC: {error}.", hint="pip install 'everloop[grpc]'") from None
    return GrpcDoor(serving.plane, serving.gate, serving.metrics, serving.new_id, serving.repository)
