"""The inference door: endpoints and registered models over HTTP, in a process of their own.

It speaks the Open Inference Protocol (`/v2`) and MLflow's scoring protocol (`/invocations`); every error is
`{"error": "what happened and what to do"}`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from time import perf_counter
from typing import TypeVar

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
from everloop.kernel.errors import EverloopError, InvalidInput, NotFound
from everloop.server import health, invocations, oip, process
from everloop.server.answers import JSON, log
from everloop.server.metrics import CONTENT_TYPE, Measured, Metrics
from everloop.server.security import authenticator, check_exposure, guard, has_token
from everloop.server.served import Answered, Served, ServedEndpoint, ServedModel
from everloop.server.tensors import MALFORMED, columns_of
from everloop.server.turns import Turns
from everloop.serving.direct import load_direct
from everloop.serving.entities import Label
from everloop.serving.predictor import EndpointPredictor, PredictionRequest

LARGE = 1 << 18
"""Bodies over this many bytes are decoded in a thread, so that others need not wait for it."""
KEY_HEADER = "idempotency-key"
"""The id of a request whose body has none."""


class Feedback(msgspec.Struct):
    """The body of `POST /feedback`."""

    labels: list[Label]


T = TypeVar("T")
_feedback = msgspec.json.Decoder(Feedback)


class InferenceDoor:
    """Answers requests for what is served; the first one is what `/invocations` asks."""

    def __init__(self, served: Sequence[Served], metrics: Metrics) -> None:
        self._served = list(served)
        self._turns = {id(one): Turns(one.answer_all) for one in served}
        self._rows = metrics.counter("everloop_predictions_total", "Rows answered.")
        self._seconds = metrics.histogram("everloop_predict_seconds", "Time from a parsed request to its answer.")

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
        found = {"name": "everloop", "version": version("everloop"), "extensions": ["binary_tensor_data"]}
        return _json(found | {"models": sorted({one.name for one in self._served})})

    async def ready(self, request: Request) -> Response:
        """The model is served."""
        require(request.state.principal, "endpoints:read")
        return _json({"name": self._found(request).name, "ready": True})

    async def describe(self, request: Request) -> Response:
        """What the model takes and gives."""
        require(request.state.principal, "endpoints:read")
        one = self._found(request)
        versions = tuple(version for other in self._served if other.name == one.name for version in other.versions)
        found = oip.ModelMetadata(one.name, versions, "everloop", oip.described(one.inputs), oip.described(one.outputs))
        return _json(found)

    async def infer(self, request: Request) -> Response:
        """Predictions by the Open Inference Protocol."""
        require(request.state.principal, "endpoints:predict")
        one = self._found(request)
        body = await request.body()
        asked, tensors = await _decoded(body, lambda: oip.decode(body, request.headers.get(oip.BINARY_HEADER, "")))
        columns = columns_of(one.inputs, tensors)
        known = {field.name for field in one.outputs}
        unknown = [wish.name for wish in asked.outputs if wish.name not in known]
        if unknown:
            raise InvalidInput(
                f"There is no output {', '.join(unknown)}.", hint=f"There are {', '.join(sorted(known))}."
            )
        answer = await self._ask(one, PredictionRequest(columns, asked.id or request.headers.get(KEY_HEADER, "")))
        outputs = oip.outputs_of(answer.values, [wish.name for wish in asked.outputs])
        return _json(oip.InferResponse(one.name, answer.model_version, outputs, answer.id))

    async def invoke(self, request: Request) -> Response:
        """Predictions by MLflow's scoring protocol."""
        require(request.state.principal, "endpoints:predict")
        one = self._served[0]
        body = await request.body()
        columns = await _decoded(body, lambda: invocations.decode(body, one.inputs))
        answer = await self._ask(one, PredictionRequest(columns, request.headers.get(KEY_HEADER, "")))
        found: dict[str, object] = {"predictions": answer.scores.tolist()}
        beside = {"model_version": answer.model_version, "prediction_ids": answer.values.get("prediction_id")}
        return _json(found | {name: value for name, value in beside.items() if value is not None})

    async def _ask(self, one: Served, request: PredictionRequest) -> Answered:
        started = perf_counter()
        answer = await self._turns[id(one)].ask(request)
        if isinstance(answer, EverloopError):
            raise answer
        self._seconds.observe(perf_counter() - started, model=one.name)
        self._rows.add(len(answer.scores), model=one.name, version=answer.model_version)
        return answer

    def _found(self, request: Request) -> Served:
        name, version = request.path_params["name"], request.path_params.get("version", "")
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

    def _names(self) -> list[str]:
        return sorted({one.name for one in self._served})


async def _decoded(body: bytes, decode: Callable[[], T]) -> T:
    return decode() if len(body) < LARGE else await run_in_threadpool(decode)


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


def serve_endpoint(platform: Platform, name: str, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve an endpoint until SIGTERM; `announce` is told the address as soon as the port is ours.

    Raises:
        NotFound: there is no such endpoint.
        Misconfigured: others could reach it and it would not ask who they are.
        Unavailable: the port is taken.
    """
    predictor = EndpointPredictor(platform.session(), name)
    _serve(platform, endpoint_app(platform, predictor), (host, port), announce)


def serve_models(
    platform: Platform, refs: Sequence[str], host: str, port: int, announce: Callable[[str], None]
) -> None:
    """Serve registered models (`models:/NAME@ALIAS`, `models:/NAME/VERSION`) until SIGTERM, each by its name.

    Of several versions of a model the first one answers requests that name no version.

    Raises:
        NotFound: there is no such model, version or alias.
        Misconfigured: others could reach it and it would not ask who they are.
        Unavailable: the port is taken.
    """
    served = [ServedModel(load_direct(platform.session(), ref)) for ref in refs]
    metrics = Metrics()
    routes = InferenceDoor(served, metrics).routes()
    _serve(platform, _app(platform, routes, metrics), (host, port), announce)


def endpoint_app(platform: Platform, predictor: EndpointPredictor) -> ASGIApp:
    """The app of an endpoint's process; it refreshes the predictor while it runs, and closes it at the end."""
    metrics = Metrics()
    metrics.gauge(
        "everloop_traffic_revision",
        "The revision of the traffic in force.",
        lambda: float(predictor.routing.endpoint.revision),
    )
    routes = [*InferenceDoor([ServedEndpoint(predictor)], metrics).routes(), *EndpointDoor(predictor).routes()]
    return _app(platform, routes, metrics, predictor)


def _app(
    platform: Platform, routes: Sequence[Route], metrics: Metrics, predictor: EndpointPredictor | None = None
) -> ASGIApp:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if predictor is not None:
            predictor.start()
        yield
        if predictor is not None:
            predictor.close()

    async def scraped(request: Request) -> Response:
        require(request.state.principal, "metrics:read")
        return Response(metrics.text(), media_type=CONTENT_TYPE)

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


def _serve(platform: Platform, app: ASGIApp, where: tuple[str, int], announce: Callable[[str], None]) -> None:
    check_exposure(where[0], platform.settings.values, lambda: has_token(platform))
    listening = process.listen(*where)
    announce(process.address_of(listening))
    process.run(app, listening)


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
