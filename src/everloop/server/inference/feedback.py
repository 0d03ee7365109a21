"""What an endpoint's process answers beside predictions: labels, and a new look at the traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from everloop.governance.roles import require
from everloop.kernel.errors import InvalidInput
from everloop.server.answers import answer
from everloop.server.inference.tensors import MALFORMED
from everloop.serving.entities import Label

if TYPE_CHECKING:
    from everloop.server.replicas.worker import Worker
    from everloop.serving.predictor import EndpointPredictor


class Feedback(msgspec.Struct):
    """The body of `POST /feedback`."""

    labels: list[Label]


_feedback = msgspec.json.Decoder(Feedback)


class EndpointDoor:
    """The door of an endpoint's own routes."""

    def __init__(self, predictor: EndpointPredictor, worker: Worker | None = None) -> None:
        self._predictor = predictor
        self._worker = worker

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
        return answer(await run_in_threadpool(self._predictor.feedback, labels))

    async def refresh(self, request: Request) -> Response:
        """Look up the traffic now; the revision that is in force, in every worker, when this answers."""
        require(request.state.principal, "endpoints:deploy")
        return answer({"revision": await run_in_threadpool(self._refreshed)})

    def _refreshed(self) -> int:
        revision = self._predictor.refresh()
        if self._worker is not None:
            self._worker.spread(float(revision))
        return revision
