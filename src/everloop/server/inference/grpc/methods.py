"""What each method of the gRPC door answers: the same as the REST door, asked of the same data plane."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from google.protobuf.message import Message
from starlette.datastructures import Headers

from everloop.governance.entities import Principal
from everloop.governance.roles import require
from everloop.kernel.errors import EverloopError, InvalidInput, NotFound, PermissionDenied
from everloop.server.inference import oip
from everloop.server.inference.admission import deadline_of
from everloop.server.inference.asking import KEY_HEADER
from everloop.server.inference.dataplane import DataPlane, decoded
from everloop.server.inference.grpc import inference_pb2 as pb
from everloop.server.inference.grpc.messages import (
    config_message,
    metadata_of,
    parameters_of,
    parsed,
    response_of,
    statistics_message,
    tensors_of,
    wishes_of,
)
from everloop.server.inference.openinference import shared_memory_refused
from everloop.server.inference.repository import Repository, wanted_version
from everloop.server.inference.statistics import config_of, statistics_of
from everloop.server.inference.tensors import columns_of
from everloop.serving.request import PredictionRequest


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has been let in: who asks, with what, and for how many more seconds (None: as long as it takes).

    Only public methods are called by nobody.
    """

    principal: Principal | None
    headers: Headers
    body: bytes
    seconds: float | None = None

    def require(self, permission: str) -> Principal:
        """Let the caller through who has the permission.

        Raises:
            PermissionDenied: it has not.
        """
        if self.principal is None:
            raise PermissionDenied(f"Nobody may {permission}.", hint="Send a token.")
        require(self.principal, permission)
        return self.principal


Method = Callable[[Call], Awaitable[Message]]


class Methods:
    """The methods, by name in `unary`; `stream` answers each request of a stream."""

    def __init__(self, plane: DataPlane, repository: Repository) -> None:
        self._plane = plane
        self._repository = repository
        self.unary: Mapping[str, Method] = {
            "ServerLive": self.live,
            "ServerReady": self.ready,
            "ModelReady": self.model_ready,
            "ServerMetadata": self.describe,
            "ModelMetadata": self.metadata,
            "ModelInfer": self.infer,
            "ModelConfig": self.configuration,
            "ModelStatistics": self.statistics,
            "RepositoryIndex": self.index,
            "RepositoryModelLoad": self.load,
            "RepositoryModelUnload": self.unload,
            "SystemSharedMemoryRegister": self.share_memory,
            "CudaSharedMemoryRegister": self.share_memory,
        }

    async def live(self, call: Call) -> Message:
        """The process lives."""
        return pb.ServerLiveResponse(live=True)

    async def ready(self, call: Call) -> Message:
        """What it serves is loaded, and neither hangs nor is quarantined."""
        return pb.ServerReadyResponse(ready=not self._plane.troubles())

    async def model_ready(self, call: Call) -> Message:
        """Whether the model is served, if there is such a model."""
        call.require("endpoints:read")
        asked = parsed(pb.ModelReadyRequest, call.body)
        try:
            self._plane.found(asked.name, asked.version)
        except NotFound:
            if asked.version or not await self._repository.is_known(asked.name):
                raise
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def describe(self, call: Call) -> Message:
        """What this server is."""
        call.require("endpoints:read")
        found = self._plane.describe()
        return pb.ServerMetadataResponse(name=found.name, version=found.version, extensions=found.extensions)

    async def metadata(self, call: Call) -> Message:
        """What the model takes and gives."""
        call.require("endpoints:read")
        asked = parsed(pb.ModelMetadataRequest, call.body)
        return metadata_of(self._plane.metadata(asked.name, asked.version))

    async def configuration(self, call: Call) -> Message:
        """How the model is configured."""
        call.require("endpoints:read")
        asked = parsed(pb.ModelConfigRequest, call.body)
        return config_message(config_of(self._plane.found(asked.name, asked.version)))

    async def statistics(self, call: Call) -> Message:
        """How often a model was asked, or all of them."""
        call.require("endpoints:read")
        asked = parsed(pb.ModelStatisticsRequest, call.body)
        return statistics_message(statistics_of(self._plane, asked.name, asked.version))

    async def infer(self, call: Call) -> Message:
        """Predictions."""
        principal = call.require("endpoints:predict")
        asked = await decoded(call.body, lambda: parsed(pb.ModelInferRequest, call.body))
        one = self._plane.found(asked.model_name, asked.model_version)
        tensors = await decoded(call.body, lambda: tensors_of(asked))
        wishes = wishes_of(asked)
        oip.check_outputs(wishes, one.outputs)
        parameters = parameters_of(asked.parameters)
        request = PredictionRequest(
            columns_of(one.inputs, tensors),
            asked.id or call.headers.get(KEY_HEADER, ""),
            client=principal.name,
            deadline=0.0 if call.seconds is None else deadline_of(call.seconds * 1e3),
            explain=parameters.get("explain") is True,
            parameters=parameters,
        )
        found = await self._plane.ask(one, request)
        names = [wish.name for wish in oip.with_beside(wishes, found.beside)] or list(found.all)
        return response_of(one.name, found, names, raw=bool(asked.raw_input_contents))

    async def stream(self, call: Call, bodies: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        """The answer to each request, or why there is none; the stream goes on."""
        call.require("endpoints:predict")
        async for body in bodies:
            response = pb.ModelStreamInferResponse()
            try:
                response.infer_response.CopyFrom(await self.infer(Call(call.principal, call.headers, body)))
            except EverloopError as error:
                response.error_message = str(error)
                response.infer_response.id = _id_of(body)
            yield response

    async def index(self, call: Call) -> Message:
        """What could be served, and what is."""
        call.require("endpoints:read")
        asked = parsed(pb.RepositoryIndexRequest, call.body)
        response = pb.RepositoryIndexResponse()
        for one in await self._repository.index(asked.ready):
            response.models.add(name=one.name, version=one.version, state=one.state, reason=one.reason)
        return response

    async def load(self, call: Call) -> Message:
        """Serve a model."""
        call.require("endpoints:deploy")
        asked = parsed(pb.RepositoryModelLoadRequest, call.body)
        name = asked.model_name or asked.repository_name
        await self._repository.load(name, wanted_version(parameters_of(asked.parameters)))
        return pb.RepositoryModelLoadResponse(model_name=name, isLoaded=True)

    async def unload(self, call: Call) -> Message:
        """Serve a model no more."""
        call.require("endpoints:deploy")
        asked = parsed(pb.RepositoryModelUnloadRequest, call.body)
        name = asked.model_name or asked.repository_name
        await self._repository.unload(name, wanted_version(parameters_of(asked.parameters)))
        return pb.RepositoryModelUnloadResponse(model_name=name, isUnloaded=True)

    async def share_memory(self, call: Call) -> Message:
        """There is no shared memory."""
        raise shared_memory_refused("System and CUDA")


def _id_of(body: bytes) -> str:
    """The id of a request that was refused, if it is one."""
    try:
        return parsed(pb.ModelInferRequest, body).id
    except InvalidInput:
        return ""
