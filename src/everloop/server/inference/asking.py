"""A request for predictions out of what HTTP says beside its body: its id, who asks, and how long they wait."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from starlette.requests import Request

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.server.inference.admission import deadline_of
from everloop.serving.request import PredictionRequest

KEY_HEADER = "idempotency-key"
"""The id of a request whose body has none."""
TIMEOUT_HEADER = "x-request-timeout-ms"
"""So many milliseconds the client waits for its answer."""


def asked(
    request: Request, columns: Mapping[str, np.ndarray], parameters: Mapping[str, Json], id: str = ""
) -> PredictionRequest:
    """The request for predictions. `explain` is a parameter.

    Raises:
        InvalidInput: the header with the time is no number.
    """
    return PredictionRequest(
        columns,
        id or request.headers.get(KEY_HEADER, ""),
        client=request.state.principal.name,
        deadline=deadline_of(_milliseconds(request.headers.get(TIMEOUT_HEADER, ""))),
        explain=parameters.get("explain") is True,
        parameters=parameters,
    )


def _milliseconds(header: str) -> float:
    if not header:
        return 0.0
    if not header.isdecimal() or len(header) > 12:
        raise InvalidInput(f"The header {TIMEOUT_HEADER} is {header[:40]!r}.", hint="Send whole milliseconds.")
    return float(header)
