"""The inference door over gRPC: the same data plane, callers, limits and errors as over HTTP.

Browsers cannot speak gRPC, so there are no origins and hosts to check.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import unquote

import grpc
import grpc.aio
from google.protobuf.message import Message
from starlette.datastructures import Headers

from everloop.governance.entities import Principal
from everloop.governance.roles import require
from everloop.kernel.errors import EverloopError, PermissionDenied, Unavailable
from everloop.server.answers import log
from everloop.server.inference.dataplane import DataPlane, decoded
from everloop.server.inference.grpc import inference_pb2 as pb
from everloop.server.inference.grpc.messages import metadata_of, parsed, response_of, tensors_of
from everloop.server.inference.turns import MOST_WAITING
from everloop.server.metrics import Metrics
from everloop.server.security import Gate

if TYPE_CHECKING:
    Answer = Callable[["Call"], Awaitable[Message]]

SERVICE = "inference.GRPCInferenceService"
PUBLIC = frozenset({"ServerLive", "ServerReady"})
"""Methods that tell nothing but that the process lives, so that probes need no token."""
KEY = "idempotency-key"
"""The metadata with the id of a request that has none itself."""
GRACE_SECONDS = 3.0
"""How long calls may go on once HTTP has stopped."""
MOST_CALLS = 2 * MOST_WAITING
"""So many calls may be open; the rest are refused. Predictions are refused earlier, so that probes still get in."""
MOST_PENDING = 4 * MOST_CALLS
"""So many calls may arrive before they are looked at. What is over it is cancelled, which clients do not try again."""
LONGEST_MESSAGE = 2000
"""In bytes, which may become three times as many: clients take 8 kB, and an error may repeat what was sent."""
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ABORTED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.FAILED_PRECONDITION,
    503: grpc.StatusCode.UNAVAILABLE,
}
"""The code of an error, by the status that it has over HTTP; any other is INTERNAL."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has been let in: who asks, with what. Only public methods are called by nobody."""

    principal: Principal | None
    headers: Headers
    body: bytes

    def require(self, permission: str) -> None:
        """Let the caller through who has the permission.

        Raises:
            PermissionDenied: it has not.
        """
        if self.principal is None:
            raise PermissionDenied(f"Nobody may {permission}.", hint="Send a token.")
        require(self.principal, permission)


class GrpcDoor:
    """Answers calls in the event loop that serves HTTP: first `listen`, then `start`, at last `stop`."""

    def __init__(self, plane: DataPlane, gate: Gate, metrics: Metrics, new_id: Callable[[], str]) -> None:
        self._plane = plane
        self._gate = gate
        self._new_id = new_id
        self._server: grpc.aio.Server | None = None
        self._calls = metrics.counter("everloop_grpc_requests_total", "Calls answered.")
        self._seconds = metrics.histogram("everloop_grpc_request_seconds", "Time to the end of the answer.")

    async def listen(self, host: str, port: int) -> str:
        """Take the port, or a free one for 0; the address that it will answer under.

        Raises:
            Unavailable: the port is taken or the address is not ours.
        """
        limit = self._gate.settings.max_body_mb << 20
        server = grpc.aio.server(options=_options(limit), maximum_concurrent_rpcs=MOST_CALLS)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, self._methods()),))
        name = f"[{host}]" if ":" in host else host
        try:
            taken = server.add_insecure_port(f"{name}:{port}")
        except RuntimeError as error:
            raise Unavailable(
                f"Cannot listen on {name}:{port} for gRPC ({error}).",
                hint="Choose another port with --grpc-port; 0 takes a free one.",
            ) from None
        self._server = server
        return f"grpc://{name}:{taken}"

    async def start(self) -> None:
        """Answer calls from now on."""
        if self._server is not None:
            await self._server.start()

    async def stop(self) -> None:
        """Take no new calls, and let the running ones end."""
        if self._server is not None:
            await self._server.stop(GRACE_SECONDS)

    async def live(self, call: Call) -> Message:
        """The process lives."""
        return pb.ServerLiveResponse(live=True)

    async def ready(self, call: Call) -> Message:
        """What it serves is loaded."""
        return pb.ServerReadyResponse(ready=True)

    async def model_ready(self, call: Call) -> Message:
        """The model is served."""
        call.require("endpoints:read")
        asked = parsed(pb.ModelReadyRequest, call.body)
        self._plane.found(asked.name, asked.version)
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

    async def infer(self, call: Call) -> Message:
        """Predictions."""
        call.require("endpoints:predict")
        asked = await decoded(call.body, lambda: parsed(pb.ModelInferRequest, call.body))
        one = self._plane.found(asked.model_name, asked.model_version)
        tensors = await decoded(call.body, lambda: tensors_of(asked))
        wishes = [wish.name for wish in asked.outputs]
        answer = await self._plane.infer(one, tensors, wishes, asked.id or call.headers.get(KEY, ""))
        return response_of(one.name, answer, wishes, raw=bool(asked.raw_input_contents))

    def _methods(self) -> dict[str, grpc.RpcMethodAnswer]:
        """Bodies come as they are, so that who may not ask is refused before anything is parsed."""
        methods: dict[str, Answer] = {
            "ServerLive": self.live,
            "ServerReady": self.ready,
            "ModelReady": self.model_ready,
            "ServerMetadata": self.describe,
            "ModelMetadata": self.metadata,
            "ModelInfer": self.infer,
        }
        return {name: grpc.unary_unary_rpc_method_handler(self._door(name, answer)) for name, answer in methods.items()}

    def _door(self, method: str, answer: Answer) -> Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]:
        async def called(body: bytes, context: grpc.aio.ServicerContext) -> bytes:
            started = perf_counter()
            found: bytes | EverloopError | None = None
            try:
                found = await self._answered(method, answer, body, context)
            finally:
                code = "CANCELLED" if found is None else _code(found).name
                self._calls.add(method=method, code=code)
                self._seconds.observe(perf_counter() - started, method=method)
            if not isinstance(found, EverloopError):
                return found
            await context.abort(_code(found), _message(found))
            raise found  # Not reached: `abort` raises what ends the call.

        return called

    async def _answered(
        self, method: str, answer: Answer, body: bytes, context: grpc.aio.ServicerContext
    ) -> bytes | EverloopError:
        try:
            headers = _headers(context)
            principal = await self._gate.caller(headers, client_of(context.peer()), method in PUBLIC)
            response: bytes = (await answer(Call(principal, headers, body))).SerializeToString()
            return response
        except EverloopError as error:
            return error
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  # The log tells what the caller must not see.
            identity = self._new_id()
            log.error("error %s", identity, exc_info=error)
            return EverloopError(f"Something went wrong in the server; its log tells more under {identity}.")


def _options(limit: int) -> tuple[tuple[str, int], ...]:
    """The port is ours alone, and messages have a limit in bytes."""
    pending = ("grpc.server.max_pending_requests", "grpc.server.max_pending_requests_hard_limit")
    return (
        ("grpc.max_receive_message_length", limit),
        ("grpc.so_reuseport", 0),
        *((name, MOST_PENDING) for name in pending),
    )


def client_of(peer: str) -> str:
    """The IP address in what gRPC calls a peer, such as `ipv4:127.0.0.1:50000`; empty when it is none."""
    kind, _, address = unquote(peer).partition(":")
    return address.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""


def _headers(context: grpc.aio.ServicerContext) -> Headers:
    pairs = context.invocation_metadata() or ()
    return Headers(
        raw=[(key.encode(), value if isinstance(value, bytes) else value.encode("latin-1")) for key, value in pairs]
    )


def _message(error: EverloopError) -> str:
    return str(error).encode()[:LONGEST_MESSAGE].decode(errors="ignore")


def _code(found: bytes | EverloopError) -> grpc.StatusCode:
    if isinstance(found, EverloopError):
        return CODES.get(found.status, grpc.StatusCode.INTERNAL)
    return grpc.StatusCode.OK
