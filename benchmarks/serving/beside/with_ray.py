"""Ray Serve with one replica."""

from __future__ import annotations

import signal
from typing import Any

import ray
from predicting import given, load, matrix
from ray import serve
from starlette.requests import Request

FOLDER, ENGINE, PORT = given()


@serve.deployment(num_replicas=1, max_ongoing_requests=100, ray_actor_options={"num_cpus": 1})
class Scores:
    """Rows in, scores out."""

    def __init__(self) -> None:
        self.model = load(FOLDER, ENGINE)

    async def __call__(self, request: Request) -> Any:
        """The scores."""
        return {"scores": self.model(matrix((await request.json())["rows"])).tolist()}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    serve.start(http_options={"host": "127.0.0.1", "port": PORT}, logging_config={"enable_access_log": False})
    serve.run(Scores.bind(), route_prefix="/")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
