"""KServe's and TensorFlow Serving's first protocol (`/v1`): instances in, predictions out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from everloop.governance.roles import require
from everloop.server.answers import answer
from everloop.server.inference import scoring
from everloop.server.inference.asking import asked
from everloop.server.inference.dataplane import DataPlane, decoded
from everloop.server.inference.invocations import predictions_of
from everloop.server.inference.openinference import named


class KserveDoor:
    """Answers requests for what is served; errors are `{"error": "…"}` here too."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def routes(self) -> list[Route]:
        """All routes, the predictions first: a model's path would take them for its name."""
        model = "/v1/models/{name}"
        paths = (f"{model}/versions/{{version}}", model)
        return [
            *(Route(f"{path}:predict", self.predict, methods=["POST"]) for path in paths),
            *(Route(path, self.ready) for path in paths),
            Route("/v1/models", self.models),
        ]

    async def models(self, request: Request) -> Response:
        """The names of what is served."""
        require(request.state.principal, "endpoints:read")
        return answer({"models": self._plane.describe().models})

    async def ready(self, request: Request) -> Response:
        """The model is served, in the words of both."""
        require(request.state.principal, "endpoints:read")
        one = self._plane.found(*named(request))
        status = {"error_code": "OK", "error_message": ""}
        versions = [{"version": version, "state": "AVAILABLE", "status": status} for version in one.versions]
        return answer({"name": one.name, "ready": True, "model_version_status": versions})

    async def predict(self, request: Request) -> Response:
        """A prediction for each instance: a record, a list of the inputs in their order, or a value if there is one."""
        require(request.state.principal, "endpoints:predict")
        one = self._plane.found(*named(request))
        body = await request.body()
        question = await decoded(body, lambda: scoring.decode(body, one.inputs))
        found = await self._plane.ask(one, asked(request, question.columns, question.parameters))
        return answer({"predictions": predictions_of(found.values, one.outputs)})
