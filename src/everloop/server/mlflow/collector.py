"""The door at `/v1/traces`, by OTLP over HTTP: MLflow's clients and OpenTelemetry's exporters send spans here."""

from __future__ import annotations

import zlib

import anyio
import anyio.to_thread
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from everloop.app.platform import Platform
from everloop.kernel.errors import EverloopError, InvalidInput, TooLarge
from everloop.server.answers import JSON, crash
from everloop.server.mlflow import otlp, runs
from everloop.server.mlflow.endpoint import Caller
from everloop.server.mlflow.otlp import Received
from everloop.server.mlflow.traces import open_experiment
from everloop.tracking.traces import writing

PATH = "/v1/traces"
PROTOBUF = "application/x-protobuf"
THREADS = 4
"""How many requests are worked on at once; each may hold a database connection."""
_WINDOWS = {"gzip": 31, "deflate": 15}
_EXPERIMENT = "x-mlflow-experiment-id"
_RUN = "x-mlflow-run-id"


class Unprocessable(InvalidInput):
    """The request can be read, and nothing in it can be kept."""

    status = 422


class Collector:
    """Takes spans in; a guard stands before it and says who calls."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._limiter = anyio.CapacityLimiter(THREADS)
        self._limit = platform.settings.values.max_body_mb << 20

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        request = Request(scope, receive)
        media = _media(request)
        try:
            response = await self._respond(request, media)
        except EverloopError as error:
            response = refusal(error, media)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the last line of defence: an answer without internals, and a log entry
            response = crash(error, self._platform.session().new_id())
        await response(scope, receive, send)

    async def _respond(self, request: Request, media: str) -> Response:
        if request.method != "POST":
            return Response(status_code=405, headers={"Allow": "POST"})
        if media not in (PROTOBUF, JSON):
            raise InvalidInput(f"Invalid Content-Type: {media[:80]!r}.", hint=f"Send {PROTOBUF} or {JSON}.")
        body = await request.body()
        return await anyio.to_thread.run_sync(lambda: self._keep(request, media, body), limiter=self._limiter)

    def _keep(self, request: Request, media: str, body: bytes) -> Response:
        experiment = request.headers.get(_EXPERIMENT, "")
        if not experiment:
            raise Unprocessable(f"The header {_EXPERIMENT} is missing.", hint="Set it to the id of an experiment.")
        plain = decompressed(body, request.headers.get("content-encoding", ""), self._limit)
        run = request.headers.get(_RUN, "")
        received = otlp.read_protobuf(plain, run) if media == PROTOBUF else otlp.read_json(plain, run)
        if not received.batches:
            raise Unprocessable(f"None of the {received.rejected} spans can be kept: {received.reason}")
        caller = Caller(self._platform, request.state.principal, request.headers.get("x-everloop-project", ""))
        with caller.unit("tracking:write") as unit:
            if run:
                runs.row_of(unit, run)
            writing.record(unit, open_experiment(unit, caller, experiment).name, received.batches)
        return _answer(received, media)


def decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    """A request's body as it was before it was compressed.

    Raises:
        InvalidInput: it is damaged, or compressed in a way that is not known here.
        TooLarge: it would grow beyond the limit.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOWS:
        raise InvalidInput(f"Unsupported Content-Encoding: {encoding[:40]!r}.", hint="Send gzip, or nothing.")
    inflater = zlib.decompressobj(_WINDOWS[encoding])
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidInput(f"Failed to decompress {encoding} payload ({error}).") from None
    if len(plain) > limit:
        raise TooLarge(f"The body has more than {limit >> 20} MB.", hint="Send fewer spans at once.")
    if not inflater.eof:
        raise InvalidInput(f"Failed to decompress {encoding} payload: it is cut off.")
    return plain


def refusal(error: EverloopError, media: str = JSON) -> Response:
    """An error as exporters read it: a `Status`, in the form of the request. 429 and 503 are sent again, others not."""
    status = error.status if 400 <= error.status < 600 else 500
    headers = {"WWW-Authenticate": 'Bearer realm="everloop", Basic realm="everloop"'} if status == 401 else None
    code = {400: 3, 401: 16, 403: 7, 404: 5, 409: 9, 413: 8, 422: 3, 429: 8, 503: 14}.get(status, 13)
    message = str(error)[:2_000]
    if media == PROTOBUF:
        content = _field(1, code) + _field(2, message.encode())
        return Response(content, status, headers, PROTOBUF)
    body = {"code": code, "message": message, "error_code": _WORDS.get(code, "INTERNAL_ERROR")}
    return Response(msgspec.json.encode(body), status, headers, JSON)


_WORDS = {3: "INVALID_PARAMETER_VALUE", 5: "RESOURCE_DOES_NOT_EXIST", 7: "PERMISSION_DENIED", 16: "UNAUTHENTICATED"}


def _answer(received: Received, media: str) -> Response:
    """That it is kept, and how many spans were none."""
    if media == PROTOBUF:
        partial = _field(1, received.rejected) + _field(2, received.reason.encode())
        return Response(_field(1, partial) if received.rejected else b"", media_type=PROTOBUF)
    said = {"partialSuccess": {"rejectedSpans": str(received.rejected), "errorMessage": received.reason}}
    return Response(msgspec.json.encode(said if received.rejected else {}), media_type=JSON)


def _field(number: int, value: int | bytes) -> bytes:
    """A field of a protobuf message: a number, or bytes with their length in front."""
    if isinstance(value, int):
        return bytes([number << 3]) + _varint(value)
    return bytes([number << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _media(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
