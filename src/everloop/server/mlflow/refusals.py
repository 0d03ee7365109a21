"""Errors in MLflow's form: `{"error_code", "message"}`, with a status on which its clients do not try again in vain."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from everloop.kernel.errors import (
    Conflict,
    EverloopError,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Refused,
    StepFailed,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

_CODES: dict[type[EverloopError], tuple[str, int]] = {
    TooLarge: ("INVALID_PARAMETER_VALUE", 413),
    InvalidInput: ("INVALID_PARAMETER_VALUE", 400),
    NotFound: ("RESOURCE_DOES_NOT_EXIST", 404),
    Conflict: ("INVALID_PARAMETER_VALUE", 400),
    Refused: ("INVALID_STATE", 400),
    StepFailed: ("INVALID_STATE", 400),
    Unauthenticated: ("UNAUTHENTICATED", 401),
    PermissionDenied: ("PERMISSION_DENIED", 403),
    Unavailable: ("TEMPORARILY_UNAVAILABLE", 503),
}


class AlreadyExists(Conflict):
    """The name is taken: the one conflict for which MLflow has a code of its own."""


def refusal(error_code: str, message: str, status: int, headers: dict[str, str] | None = None) -> Response:
    """An error as MLflow's clients read it."""
    body = msgspec.json.encode({"error_code": error_code, "message": message})
    return Response(body, status, headers, "application/json")


def refusal_of(error: EverloopError) -> Response:
    """The response that an error's class stands for."""
    told = f"{error.problem.message} {error.problem.hint}".strip()
    if isinstance(error, AlreadyExists):
        return refusal("RESOURCE_ALREADY_EXISTS", told, 400)
    known = next((found for kind, found in _CODES.items() if isinstance(error, kind)), ("INTERNAL_ERROR", error.status))
    headers = {"WWW-Authenticate": 'Bearer realm="everloop", Basic realm="everloop"'} if error.status == 401 else None
    return refusal(known[0], told, known[1], headers)
