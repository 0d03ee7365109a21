"""The inference door: endpoints and registered models over HTTP, in a process of their own.

It speaks the Open Inference Protocol (`/v2`) and MLflow's scoring protocol (`/invocations`); every error is
`{"error": "what happened and what to do"}`. Where a port is given for it, gRPC asks the same data plane beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from everloop.app.platform import Platform
from everloop.governance.roles import require
from everloop.kernel.errors import EverloopError, InvalidInput, Misconfigured
from everloop.server import health, process
from everloop.server.answers import JSON, log
from everloop.server.authentication import authenticator, has_token
from everloop.server.inference import oip, scoring
from everloop.server.inference.dataplane import DataPlane, decoded
from everloop.server.inference.served import ServedEndpoint, ServedModel
from everloop.server.inference.tensors import MALFORMED
from everloop.server.metrics import CONTENT_TYPE, Measured, Metrics
from everloop.server.security import Gate, check_exposure, guard
from everloop.serving.entities import Label
from everloop.serving.predictor import EndpointPredictor
from everloop.serving.reference import load_direct
from everloop.serving.request import PredictionRequest

if TYPE_CHECKING:
    from everloop.server.inference.grpc.door import GrpcDoor

KEY_HEADER = "idempotency-key"
"""The id of a request whose body has none."""


class Feedback(msgspec.Struct):
    """The body of `POST /feedback`."""

    labels: list[Label]


_feedback = msgspec.json.Decoder(Feedback)


class InferenceDoor:
    """Answers requests for what is served; the first one is what `/invocations` asks."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def routes(self) -> list[Route]:
        """The routes of both protocols."""
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
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.live),
            Route("/invocations", self.invoke, methods=["POST"]),
            Route("/ping", self.live),
        ]

    async def live(self, request: Request) -> Response:
        """The process lives, and what it serves is loaded."""
        return _json({"live": True, "ready": True})

    async def server(self, request: Request) -> Response:
        """What this server is."""
        require(request.state.principal, "endpoints:read")
        return _json(self._plane.describe())

    async def ready(self, request: Request) -> Response:
        """The model is served."""
        require(request.state.principal, "endpoints:read")
        return _json({"name": self._plane.found(*_named(request)).name, "ready": True})

    async def describe(self, request: Request) -> Response:
        """What the model takes and gives."""
        require(request.state.principal, "endpoints:read")
        return _json(self._plane.metadata(*_named(request)))

    async def infer(self, request: Request) -> Response:
        """Predictions by the Open Inference Protocol."""
        require(request.state.principal, "endpoints:predict")
        one = self._plane.found(*_named(request))
        body = await request.body()
        asked, tensors = await decoded(body, lambda: oip.decode(body, request.headers.get(oip.BINARY_HEADER, "")))
        wishes = [wish.name for wish in asked.outputs]
        answer = await self._plane.infer(one, tensors, wishes, asked.id or request.headers.get(KEY_HEADER, ""))
        outputs = oip.outputs_of(answer.values, wishes)
        return _json(oip.InferResponse(one.name, answer.model_version, outputs, answer.id))

    async def invoke(self, request: Request) -> Response:
        """Predictions by MLflow's scoring protocol."""
        require(request.state.principal, "endpoints:predict")
        one = self._plane.first
        body = await request.body()
        columns = await decoded(body, lambda: scoring.decode(body, one.inputs))
        answer = await self._plane.ask(one, PredictionRequest(columns, request.headers.get(KEY_HEADER, "")))
        found: dict[str, object] = {"predictions": answer.scores.tolist()}
        beside = {"model_version": answer.model_version, "prediction_ids": answer.values.get("prediction_id")}
        return _json(found | {name: value for name, value in beside.items() if value is not None})


def _named(request: Request) -> tuple[str, str]:
    return request.path_params["name"], request.path_params.get("version", "")


class EndpointDoor:
    """What an endpoint's process answers beside predictions: labels, and a new look at the traffic."""

    def __init__(self, predictor: EndpointPredictor) -> None:
        self._predictor = predictor

    def routes(self) -> list[Route]:
        """The two routes."""
        return [
            Route("/feedback", self.feedback, methods=["POST"]),
            Route("/refresh", self.refresh, methods=["POST"]),
        ]

    async def feedback(self, request: Request) -> Response:
        """Keep labels: `{"labels": [{"key", "value", "at"}]}`."""
        require(request.state.principal, "endpoints:predict")
        try:
            labels = _feedback.decode(await request.body()).labels
        except MALFORMED as error:
            raise InvalidInput(
                f"The body holds no labels: {error}.", hint='Send {"labels": [{"key": "…", "value": 1.0}]}.'
            ) from None
        return _json(await run_in_threadpool(self._predictor.feedback, labels))

    async def refresh(self, request: Request) -> Response:
        """Look up the traffic now; the revision that is in force when this answers."""
        require(request.state.principal, "endpoints:deploy")
        return _json({"revision": await run_in_threadpool(self._predictor.refresh)})


@dataclass(frozen=True, eq=False, slots=True)
class _Process:
    """What a process serves, with the predictor that lives as long as it does."""

    platform: Platform
    plane: DataPlane
    metrics: Metrics
    predictor: EndpointPredictor | None = None


@dataclass(frozen=True, slots=True)
class _Where:
    host: str
    port: int
    grpc_port: int | None


def serve_endpoint(
    platform: Platform,
    name: str,
    host: str,
    port: int,
    announce: Callable[[str], None],
    grpc_port: int | None = None,
) -> None:
    """Serve an endpoint until SIGTERM; `announce` is told each address when all ports are ours, HTTP's first.

    Raises:
        NotFound: there is no such endpoint.
        Misconfigured: others could reach it and it would not ask who they are, or gRPC is not installed.
        Unavailable: a port is taken.
    """
    predictor = EndpointPredictor(platform.session(), name)
    metrics = Metrics()
    metrics.gauge(
        "everloop_traffic_revision",
        "The revision of the traffic in force.",
        lambda: float(predictor.routing.endpoint.revision),
    )
    plane = DataPlane([ServedEndpoint(predictor)], metrics)
    _serve(_Process(platform, plane, metrics, predictor), _Where(host, port, grpc_port), announce)


def serve_models(
    platform: Platform,
    refs: Sequence[str],
    host: str,
    port: int,
    announce: Callable[[str], None],
    grpc_port: int | None = None,
) -> None:
    """Serve registered models (`models:/NAME@ALIAS`, `models:/NAME/VERSION`) until SIGTERM, each by its name.

    Of several versions of a model the first one answers requests that name no version.

    Raises:
        NotFound: there is no such model, version or alias.
        Misconfigured: others could reach it and it would not ask who they are, or gRPC is not installed.
        Unavailable: a port is taken.
    """
    served = [ServedModel(load_direct(platform.session(), ref)) for ref in refs]
    metrics = Metrics()
    _serve(_Process(platform, DataPlane(served, metrics), metrics), _Where(host, port, grpc_port), announce)


def _app(serving: _Process, beside: GrpcDoor | None) -> ASGIApp:
    platform, metrics, predictor = serving.platform, serving.metrics, serving.predictor

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if predictor is not None:
            predictor.start()
        if beside is not None:
            await beside.start()
        yield
        if beside is not None:
            await beside.stop()
        if predictor is not None:
            predictor.close()

    async def scraped(request: Request) -> Response:
        require(request.state.principal, "metrics:read")
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    routes = [*InferenceDoor(serving.plane).routes(), *(EndpointDoor(predictor).routes() if predictor else ())]
    doors = Starlette(
        routes=[*routes, *health.routes(platform), Route("/metrics", scraped)],
        exception_handlers={
            EverloopError: lambda _, error: refusal(error),
            HTTPException: lambda request, error: _json({"error": _missing(request, error)}, error.status_code),
            Exception: lambda _, error: _crashed(error, platform),
        },
        lifespan=lifespan,
    )
    values = platform.settings.values
    return Measured(guard(doors, values, authenticator(platform), platform.local_principal, refusal), metrics)


def refusal(error: EverloopError) -> Response:
    """An error as the inference protocols have it: `{"error": "…"}`."""
    headers = {"WWW-Authenticate": 'Bearer realm="everloop"'} if error.status == 401 else None
    return _json({"error": str(error)}, error.status, headers)


def _serve(serving: _Process, where: _Where, announce: Callable[[str], None]) -> None:
    platform = serving.platform
    check_exposure(where.host, platform.settings.values, lambda: has_token(platform))
    beside = None if where.grpc_port is None else _grpc_door(serving)
    listening = process.listen(where.host, where.port)

    async def listen() -> None:
        addresses = [process.address_of(listening)]
        if beside is not None and where.grpc_port is not None:
            addresses.append(await beside.listen(where.host, where.grpc_port))
        for address in addresses:
            announce(address)

    process.run(_app(serving, beside), listening, listen)


def _grpc_door(serving: _Process) -> GrpcDoor:
    try:
        from everloop.server.inference.grpc.door import GrpcDoor
    except ImportError as error:
        raise Misconfigured(f"--grpc-port needs gRPC: {error}.", hint="pip install 'everloop[grpc]'") from None
    platform = serving.platform
    gate = Gate(platform.settings.values, authenticator(platform), platform.local_principal)
    return GrpcDoor(serving.plane, gate, serving.metrics, platform)


def _missing(request: Request, error: HTTPException) -> str:
    if error.status_code == 404:
        return f"There is nothing at {request.url.path}. The models are at /v2/models/NAME."
    return f"{request.method} {request.url.path}: {error.detail}."


def _crashed(error: Exception, platform: Platform) -> Response:
    identity = platform.session().new_id()
    log.error("error %s", identity, exc_info=error)
    return _json({"error": f"Something went wrong in the server; its log tells more under {identity}."}, 500)


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, JSON)
