"""`/invocations`: where MLflow's and SageMaker's clients ask for predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from everloop.governance.roles import require
from everloop.kernel.version import VERSION
from everloop.registry import forms
from everloop.registry.entities import Field
from everloop.server.answers import JSON, answer
from everloop.server.inference import scoring
from everloop.server.inference.asking import asked
from everloop.server.inference.dataplane import DataPlane, decoded
from everloop.server.inference.served import EXPLANATION, Answered, Served, Values

BESIDE = ("prediction_id", "model_version")
"""Outputs of an endpoint that are no predictions: what they can be traced by."""
CSV = "text/csv"
LINES = "application/jsonlines"
Read = Callable[[bytes, Sequence[Field], str], scoring.Asked]
Word = Callable[[Answered], Response]


class ScoringDoor:
    """Answers MLflow's scoring protocol, for what is served first."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def routes(self) -> list[Route]:
        """The routes that MLflow's scoring server has."""
        alive = [Route(path, live) for path in ("/ping", "/health")]
        return [Route("/invocations", self.invoke, methods=["POST"]), *alive, Route("/version", told)]

    async def invoke(self, request: Request) -> Response:
        """Predictions, as JSON or as the Accept header says: CSV, lines of JSON."""
        return await invoked(request, self._plane, self._plane.first)


async def invoked(
    request: Request, plane: DataPlane, one: Served, read: Read = scoring.decode, word: Word | None = None
) -> Response:
    """The response to a scoring request: `read` makes columns of its body, `word` a response of the answer."""
    require(request.state.principal, "endpoints:predict")
    body = await request.body()
    header = request.headers.get("content-type", "")
    question = await decoded(body, lambda: read(body, one.inputs, header))
    found = await plane.ask(one, asked(request, question.columns, question.parameters))
    return word(found) if word else _worded(found, one.outputs, request.headers.get("accept", ""))


async def live(request: Request) -> Response:
    """The process lives, and what it serves is loaded."""
    return answer({"live": True, "ready": True})


async def told(request: Request) -> Response:
    """The version of Everloop."""
    return PlainTextResponse(VERSION)


def predictions_of(values: Values, outputs: Sequence[Field]) -> list[object]:
    """A value for each row: a number or text, a list of numbers for several scores, a record for several outputs.

    Texts that stand for more, as the outputs say, are given as what they stand for. An answer out of the log may have
    other outputs than the model of today.
    """
    own = {name: found for name, found in values.items() if name not in BESIDE}
    own |= {field.name: forms.shown(field, own[field.name]) for field in outputs if field.form and field.name in own}
    columns: list[list[object]] = [f.tolist() if isinstance(f, np.ndarray) else list(f) for f in own.values()]
    if len(columns) == 1:
        return columns[0]
    rows = zip(*columns, strict=True)
    if all(isinstance(found, np.ndarray) and found.dtype.kind == "f" and found.ndim == 1 for found in own.values()):
        return [list(row) for row in rows]
    return [dict(zip(own, row, strict=True)) for row in rows]


def _worded(found: Answered, outputs: Sequence[Field], accept: str) -> Response:
    media = accept.partition(",")[0].partition(";")[0].strip().lower()
    predictions = predictions_of(found.values, outputs)
    if media == CSV:
        return Response("".join(f"{_line(row)}\n" for row in predictions), media_type=CSV)
    if media == LINES:
        return Response(b"".join(msgspec.json.encode(row) + b"\n" for row in predictions), media_type=LINES)
    body: dict[str, object] = {"predictions": predictions, "model_version": found.model_version}
    if "prediction_id" in found.values:
        body["prediction_ids"] = found.values["prediction_id"]
    if found.beside:
        body |= _beside(found.beside)
    return answer(body, JSON)


def _beside(values: Values) -> dict[str, object]:
    """What comes beside the predictions; explanations together, by input."""
    plain = {name: one.tolist() if isinstance(one, np.ndarray) else list(one) for name, one in values.items()}
    moved = {name.removeprefix(EXPLANATION): one for name, one in plain.items() if name.startswith(EXPLANATION)}
    rest: dict[str, object] = {name: one for name, one in plain.items() if not name.startswith(EXPLANATION)}
    return rest | ({"explanations": moved} if moved else {})


def _line(row: object) -> str:
    """A row of CSV; texts are quoted where they must be."""
    cells: object = list(row.values()) if isinstance(row, Mapping) else row
    return ",".join(_cell(cell) for cell in (cells if isinstance(cells, list) else [cells]))


def _cell(cell: object) -> str:
    if not isinstance(cell, str):
        return msgspec.json.encode(cell).decode()
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set(',"\r\n') else cell
