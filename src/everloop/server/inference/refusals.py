"""How the inference door words what it refuses: each protocol in its own form, at its own paths."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from everloop.kernel.errors import EverloopError, InvalidInput
from everloop.server.answers import JSON, log
from everloop.server.inference.admission import retry_after

SCORING = frozenset({"/invocations", "/score"})
"""The paths at which clients look for MLflow's `error_code` and `message`."""
_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "BAD_REQUEST",
    409: "RESOURCE_CONFLICT",
    413: "BAD_REQUEST",
    415: "BAD_REQUEST",
    422: "BAD_REQUEST",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""MLflow's code for each status; any other is INTERNAL_ERROR."""
Wording = Callable[[EverloopError], Response]


class UnknownContent(InvalidInput):
    """The body's content type is one that the door does not read."""

    status = 415


def refusal(error: EverloopError) -> Response:
    """An error as the Open Inference Protocol has it: `{"error": "…"}`."""
    return Response(msgspec.json.encode({"error": str(error)}), error.status, _headers(error), JSON)


def scoring_refusal(error: EverloopError) -> Response:
    """An error as MLflow's clients read it, `error_code` and `message`, and `error` for those that read that."""
    code = _CODES.get(error.status, "INTERNAL_ERROR")
    body = {"error_code": code, "message": str(error), "error": str(error)}
    return Response(msgspec.json.encode(body), error.status, _headers(error), JSON)


def wording(path: str) -> Wording:
    """How errors are worded at a path."""
    return scoring_refusal if path in SCORING else refusal


def misled(request: Request, error: HTTPException) -> Response:
    """What there is not at a path, or not with this method."""
    path = request.url.path
    found: EverloopError = InvalidInput(f"{request.method} {path}: {error.detail}.")
    if error.status_code == 404:
        found = InvalidInput(f"There is nothing at {path}. The models are at /v2/models/NAME.")
    response = wording(path)(found)
    response.status_code = error.status_code
    response.headers.update(error.headers or {})
    return response


def crashed(request: Request, error: Exception, identity: str) -> Response:
    """A response that tells nothing but an id; what happened goes to the log under that id."""
    log.error("error %s", identity, exc_info=error)
    found = EverloopError(f"Something went wrong in the server; its log tells more under {identity}.")
    return wording(request.url.path)(found)


def _headers(error: EverloopError) -> dict[str, str]:
    if error.status == 401:
        return {"WWW-Authenticate": 'Bearer realm="everloop"'}
    after = retry_after(error)
    return {"Retry-After": str(after)} if after else {}
