"""The server: every HTTP door of a platform in one app."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from everloop.app.platform import Platform
from everloop.catalog.tables import ledger
from everloop.datasets.remotes.reach import Reach
from everloop.governance.roles import require
from everloop.kernel.errors import EverloopError, Problem
from everloop.server import health, process
from everloop.server.answers import crash, refusal, refusal_of
from everloop.server.authentication import authenticator, has_token
from everloop.server.callers import Callers
from everloop.server.metrics import CONTENT_TYPE, Measured, Metrics
from everloop.server.mlflow import collector, refusals
from everloop.server.mlflow.door import MlflowDoor, answers
from everloop.server.mlflow.fast import wired
from everloop.server.mlflow.files import takes_files
from everloop.server.pages.routes import site
from everloop.server.pages.site import Site, wants_page
from everloop.server.postman import Postman
from everloop.server.rest import PREFIX, RestDoor
from everloop.server.security import Authenticate, Gate, check_exposure, guard


def build_app(platform: Platform, metrics: Metrics | None = None, authenticate: Authenticate | None = None) -> ASGIApp:
    """The whole server as an ASGI app, behind its guard; `metrics` and `authenticate` are what others share with it."""
    private = platform.settings.values.private_sources
    platform.resources.ports.provide(Reach, lambda: Reach(private))
    metrics, pages = metrics or Metrics(), site(platform)
    metrics.gauge("everloop_ledger_entries", "Entries in the ledger.", lambda: _entries(platform))
    routes: list[BaseRoute] = [
        *health.routes(platform),
        *pages.routes(),
        Route("/metrics", lambda request: _scraped(request, metrics)),
        Mount(PREFIX, RestDoor(platform)),
    ]
    doors = Starlette(
        routes=routes,
        exception_handlers={
            EverloopError: lambda _, error: refusal_of(error),
            404: lambda request, _: _nothing_there(request, pages),
            Exception: lambda _, error: crash(error, platform.session().new_id()),
        },
    )
    security = (platform.settings.values, authenticate or authenticator(platform), platform.local_principal)
    ours = guard(doors, *security)
    mlflow = guard(MlflowDoor(platform), *security, refuse=refusals.refusal_of, takes_files=takes_files)

    spans = guard(collector.Collector(platform), *security, refuse=collector.refusal)

    async def by_path(scope: Scope, receive: Receive, send: Send) -> None:
        """Each protocol words its own refusals, so each has a guard of its own."""
        door = ours
        if scope["type"] == "http":
            path = scope["path"]
            door = spans if path == collector.PATH else mlflow if answers(path) else ours
        await door(scope, receive, send)

    return Measured(by_path, metrics)


def run_server(platform: Platform, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve every HTTP door until SIGTERM; `announce` is told the address as soon as the port is ours.

    Raises:
        Misconfigured: others could reach it and it would not ask who they are.
        Unavailable: the port is taken.
    """
    check_exposure(host, platform.settings.values, lambda: has_token(platform))
    listening = process.listen(host, port)
    announce(process.address_of(listening))
    gate = Gate(platform.settings.values, authenticator(platform), platform.local_principal)
    metrics, callers = Metrics(), Callers(gate)
    app = build_app(platform, metrics, callers)
    with Postman(platform):
        process.run(app, listening, protocol=wired(platform, gate, callers, metrics))


def _scraped(request: Request, metrics: Metrics) -> Response:
    require(request.state.principal, "metrics:read")
    return Response(metrics.text(), media_type=CONTENT_TYPE)


def _entries(platform: Platform) -> float:
    with platform.session().begin(write=False) as unit:
        return float(unit.connection.execute(select(func.count()).select_from(ledger)).scalar_one())


def _nothing_there(request: Request, pages: Site) -> Response:
    hint = f"The API is below {PREFIX}; {PREFIX}/openapi.json describes it."
    problem = Problem("not_found", f"There is nothing at {request.url.path}.", hint)
    return pages.problem(request, problem, 404) if wants_page(request) else refusal(problem, 404)
