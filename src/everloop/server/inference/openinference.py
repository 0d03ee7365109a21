"""The Open Inference Protocol over REST (`/v2`), with Triton's repository, statistics and configuration."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from everloop.governance.roles import require
from everloop.kernel.errors import InvalidInput, Refused
from everloop.kernel.usecase import Json
from everloop.server.answers import JSON, answer
from everloop.server.inference import oip
from everloop.server.inference.asking import asked
from everloop.server.inference.dataplane import DataPlane, decoded
from everloop.server.inference.invocations import live
from everloop.server.inference.repository import Repository, wanted_version
from everloop.server.inference.statistics import config_of, statistics_of
from everloop.server.inference.tensors import MALFORMED, columns_of

OCTETS = "application/octet-stream"
B = TypeVar("B")


class Unsupported(Refused):
    """A part of the protocol that this server has not."""

    status = 501


class Filter(msgspec.Struct):
    """The body of `POST /v2/repository/index`."""

    ready: bool = False


class Change(msgspec.Struct):
    """The body of a request to load or unload a model."""

    parameters: dict[str, Json] = {}


class OpenInferenceDoor:
    """Answers requests for what is served; versions have the same paths below `/versions/VERSION`."""

    def __init__(self, plane: DataPlane, repository: Repository) -> None:
        self._plane = plane
        self._repository = repository

    def routes(self) -> list[Route]:
        """All routes, the one that is asked most first."""
        model = "/v2/models/{name}"
        named = [
            Route(f"{path}{end}", door, methods=[method])
            for path in (model, f"{model}/versions/{{version}}")
            for end, door, method in (
                ("/infer", self.infer, "POST"),
                ("/ready", self.ready, "GET"),
                ("/config", self.configuration, "GET"),
                ("/stats", self.statistics, "GET"),
                ("", self.describe, "GET"),
            )
        ]
        change = "/v2/repository/models/{name}"
        return [
            named[0],
            Route("/v2/models/stats", self.statistics),
            *named[1:],
            Route("/v2", self.server),
            Route("/v2/health/live", live),
            Route("/v2/health/ready", self.healthy),
            Route("/v2/models", self.models),
            Route("/v2/repository/index", self.index, methods=["POST"]),
            Route(f"{change}/load", self.load, methods=["POST"]),
            Route(f"{change}/unload", self.unload, methods=["POST"]),
            *_shared_memory(),
        ]

    async def server(self, request: Request) -> Response:
        """What this server is."""
        require(request.state.principal, "endpoints:read")
        return answer(self._plane.describe())

    async def healthy(self, request: Request) -> Response:
        """Whether requests should come here; anybody may ask."""
        troubles = self._plane.troubles()
        if troubles:
            return answer({"ready": False, "error": " ".join(troubles)}, status=503)
        return await live(request)

    async def models(self, request: Request) -> Response:
        """The names of what is served, as KServe lists them."""
        require(request.state.principal, "endpoints:read")
        return answer({"models": self._plane.describe().models})

    async def ready(self, request: Request) -> Response:
        """The model is served."""
        require(request.state.principal, "endpoints:read")
        return answer({"name": self._plane.found(*named(request)).name, "ready": True})

    async def describe(self, request: Request) -> Response:
        """What the model takes and gives."""
        require(request.state.principal, "endpoints:read")
        return answer(self._plane.metadata(*named(request)))

    async def configuration(self, request: Request) -> Response:
        """How the model is configured."""
        require(request.state.principal, "endpoints:read")
        return answer(config_of(self._plane.found(*named(request))))

    async def statistics(self, request: Request) -> Response:
        """How often a model was asked, or all of them."""
        require(request.state.principal, "endpoints:read")
        name, version = request.path_params.get("name", ""), request.path_params.get("version", "")
        return answer({"model_stats": statistics_of(self._plane, name, version)})

    async def infer(self, request: Request) -> Response:
        """Predictions."""
        require(request.state.principal, "endpoints:predict")
        one = self._plane.found(*named(request))
        body = await request.body()
        question, tensors = await decoded(body, lambda: oip.decode(body, request.headers.get(oip.BINARY_HEADER, "")))
        oip.check_outputs(question.outputs, one.outputs)
        columns = columns_of(one.inputs, tensors)
        found = await self._plane.ask(one, asked(request, columns, question.parameters, question.id))
        response = oip.InferResponse(one.name, found.model_version, [], found.id)
        wishes = oip.with_beside(question.outputs, found.beside)
        content, head = oip.encode(response, found.all, wishes, oip.wants_binary(question))
        headers = {oip.BINARY_HEADER: str(head)} if head else None
        return Response(content, headers=headers, media_type=OCTETS if head else JSON)

    async def index(self, request: Request) -> Response:
        """What could be served, and what is."""
        require(request.state.principal, "endpoints:read")
        return answer(await self._repository.index((await _body(request, Filter)).ready))

    async def load(self, request: Request) -> Response:
        """Serve a model."""
        require(request.state.principal, "endpoints:deploy")
        change = await _body(request, Change)
        await self._repository.load(request.path_params["name"], wanted_version(change.parameters))
        return answer({})

    async def unload(self, request: Request) -> Response:
        """Serve a model no more."""
        require(request.state.principal, "endpoints:deploy")
        change = await _body(request, Change)
        await self._repository.unload(request.path_params["name"], wanted_version(change.parameters))
        return answer({})


def named(request: Request) -> tuple[str, str]:
    """The model and the version that a path names."""
    return request.path_params["name"], request.path_params.get("version", "")


def shared_memory_refused(kind: str) -> Unsupported:
    """What clients hear that would share memory with the server."""
    return Unsupported(f"{kind} shared memory is not supported here.", hint="Send tensors as binary data.")


def _shared_memory() -> list[Route]:
    """There is none: the status is empty, to unregister does nothing, to register is refused."""

    async def status(request: Request) -> Response:
        require(request.state.principal, "endpoints:read")
        return answer([])

    async def unregister(request: Request) -> Response:
        require(request.state.principal, "endpoints:read")
        return answer({})

    async def register(request: Request) -> Response:
        raise shared_memory_refused("CUDA" if "cuda" in request.url.path else "System")

    doors = (("/status", status, "GET"), ("/unregister", unregister, "POST"), ("/register", register, "POST"))
    return [
        Route(f"/v2/{kind}sharedmemory{where}{end}", door, methods=[method])
        for kind in ("system", "cuda")
        for where in ("", "/region/{name}")
        for end, door, method in doors
    ]


async def _body(request: Request, kind: type[B]) -> B:
    """A body that may be missing: Triton's clients send none where they have nothing to say."""
    body = await request.body()
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except MALFORMED as error:
        raise InvalidInput(f"The body is not what {request.url.path} takes: {error}.") from None
