"""The inference door over gRPC: the same data plane, callers, limits and errors as over HTTP.

Browsers cannot speak gRPC, so there are no origins and hosts to check.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter
from urllib.parse import unquote

import grpc
import grpc.aio
from starlette.datastructures import Headers

from everloop.kernel.errors import EverloopError, Unavailable
from everloop.server.answers import log
from everloop.server.inference.dataplane import DataPlane
from everloop.server.inference.grpc.methods import Call, Method, Methods
from everloop.server.inference.repository import Repository
from everloop.server.metrics import Metrics
from everloop.server.security import Gate

SERVICE = "inference.GRPCInferenceService"
PUBLIC = frozenset({"ServerLive", "ServerReady"})
"""Methods that tell nothing but that the process lives, so that probes need no token."""
STREAM = "ModelStreamInfer"
GRACE_SECONDS = 3.0
"""How long calls may go on once HTTP has stopped."""
MOST_CALLS = 2048
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
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""The code of an error, by the status that it has over HTTP; any other is INTERNAL."""


class GrpcDoor:
    """Answers calls in the event loop that serves HTTP: first `listen`, then `start`, at last `stop`."""

    def __init__(
        self,
        plane: DataPlane,
        gate: Gate,
        metrics: Metrics,
        new_id: Callable[[], str],
        repository: Repository | None = None,
    ) -> None:
        self.plane = plane
        self._answers = Methods(plane, repository or Repository(plane))
        self._gate = gate
        self._new_id = new_id
        self._server: grpc.aio.Server | None = None
        self._calls = metrics.counter("everloop_grpc_requests_total", "Calls answered.")
        self._seconds = metrics.histogram("everloop_grpc_request_seconds", "Time to the end of the answer.")

    async def listen(self, host: str, port: int, *, shared: bool = False) -> str:
        """Take the port, or a free one for 0; the address that it will answer under. Others may share it if `shared`.

        Raises:
            Unavailable: the port is taken or the address is not ours.
        """
        limit = self._gate.settings.max_body_mb << 20
        server = grpc.aio.server(options=_options(limit, shared), maximum_concurrent_rpcs=MOST_CALLS)
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

    def _methods(self) -> dict[str, grpc.RpcMethodAnswer]:
        """Bodies come as they are, so that who may not ask is refused before anything is parsed."""
        unary = {
            name: grpc.unary_unary_rpc_method_handler(self._door(name, answer))
            for name, answer in self._answers.unary.items()
        }
        return {**unary, STREAM: grpc.stream_stream_rpc_method_handler(self._stream)}

    async def _stream(self, bodies: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        started, code = perf_counter(), "CANCELLED"
        refused: EverloopError | None = None
        try:
            headers = _headers(context)
            principal = await self._gate.caller(headers, client_of(context.peer()), public=False)
            async for response in self._answers.stream(Call(principal, headers, b""), bodies):
                body: bytes = response.SerializeToString()
                yield body
            code = grpc.StatusCode.OK.name
        except EverloopError as error:
            refused = error
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  # The log tells what the caller must not see.
            refused = self._crashed(error)
        finally:
            code = _code(refused).name if refused else code
            self._calls.add(method=STREAM, code=code)
            self._seconds.observe(perf_counter() - started, method=STREAM)
        if refused:
            await context.abort(_code(refused), _message(refused))

    def _door(self, method: str, answer: Method) -> Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]:
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
        self, method: str, answer: Method, body: bytes, context: grpc.aio.ServicerContext
    ) -> bytes | EverloopError:
        try:
            headers = _headers(context)
            principal = await self._gate.caller(headers, client_of(context.peer()), method in PUBLIC)
            response: bytes = (
                await answer(Call(principal, headers, body, context.time_remaining()))
            ).SerializeToString()
            return response
        except EverloopError as error:
            return error
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  # The log tells what the caller must not see.
            return self._crashed(error)

    def _crashed(self, error: Exception) -> EverloopError:
        identity = self._new_id()
        log.error("error %s", identity, exc_info=error)
        return EverloopError(f"Something went wrong in the server; its log tells more under {identity}.")


def _options(limit: int, shared: bool) -> tuple[tuple[str, int], ...]:
    """The port is ours alone unless it is shared, and messages have a limit in bytes."""
    pending = ("grpc.server.max_pending_requests", "grpc.server.max_pending_requests_hard_limit")
    return (
        ("grpc.max_receive_message_length", limit),
        ("grpc.so_reuseport", int(shared)),
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
