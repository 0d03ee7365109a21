"""Is the process alive, and can it work: what supervisors and load balancers ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from everloop.app.platform import Platform
from everloop.kernel.errors import EverloopError
from everloop.server.answers import answer

_PROBE = b"everloop is ready"


class Check(msgspec.Struct, frozen=True):
    """One thing that was tried."""

    name: str
    ok: bool
    message: str = ""


class Readiness(msgspec.Struct, frozen=True):
    """Whether every check went well."""

    ready: bool
    checks: tuple[Check, ...]


def readiness(platform: Platform, more: Callable[[], Sequence[Check]] = tuple) -> Readiness:
    """Try the database and the store, a query, and bytes that go in and come out again; then do what is more."""
    checks = (_tried("database", lambda: _query(platform)), _tried("store", lambda: _round_trip(platform)), *more())
    return Readiness(all(check.ok for check in checks), checks)


def routes(platform: Platform, more: Callable[[], Sequence[Check]] = tuple) -> list[Route]:
    """`/healthz` and `/readyz`; `more` gives checks beside the platform's own."""

    async def healthz(request: Request) -> Response:
        return answer({"alive": True})

    def readyz(request: Request) -> Response:
        found = readiness(platform, more)
        return answer(found, status=200 if found.ready else 503)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def _tried(name: str, attempt: Callable[[], None]) -> Check:
    try:
        attempt()
    except (EverloopError, SQLAlchemyError, OSError) as error:
        return Check(name, False, str(error))
    return Check(name, True)


def _query(platform: Platform) -> None:
    with platform.session().begin(write=False) as unit:
        unit.connection.execute(text("SELECT 1"))


def _round_trip(platform: Platform) -> None:
    store = platform.resources.store
    store.get(store.put(_PROBE))
