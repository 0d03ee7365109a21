"""The controller's process: it ticks every loop in turn, keeps online features fresh, and tells who asks how it is."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from time import perf_counter

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from everloop.app.platform import Platform
from everloop.governance.roles import require
from everloop.kernel.errors import Conflict, EverloopError
from everloop.server import health, process
from everloop.server.answers import log, refusal_of
from everloop.server.authentication import authenticator
from everloop.server.metrics import CONTENT_TYPE, Measured, Metrics
from everloop.server.security import guard
from everloop.serving.freshness import FeatureKeeper

RETENTION_EVERY = timedelta(hours=1)
HOST = "127.0.0.1"
"""Only this machine asks a controller how it is."""


class Heart:
    """Ticks every loop of the project, one after the other, every `interval` seconds, in a thread of its own.

    Then it brings the features that endpoints read to what is known by now.

    A tick that fails is logged and comes again: everything that it does can be taken up where it was left.
    """

    def __init__(self, platform: Platform, interval: float, metrics: Metrics) -> None:
        self._platform = platform
        self._interval = interval
        self._features = FeatureKeeper(platform.session())
        self._retained: datetime | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="controller", daemon=True)
        self._ticks = metrics.counter("everloop_ticks_total", "Ticks of the loops.")
        self._seconds = metrics.histogram("everloop_tick_seconds", "Time of a tick.")

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the tick that is running, or in the middle of it when that takes too long."""
        self._stopping.set()
        self._thread.join(process.GRACE_SECONDS)

    def beat(self) -> None:
        """Tick every loop once, look after the online features, and, every hour, after what runs keep."""
        for loop in self._platform.call("loops.list", {}):
            if self._stopping.is_set():
                return
            self._tick(loop.name)
        self._keep_fresh()
        now = self._platform.resources.clock.now()
        if self._retained is None or now - self._retained >= RETENTION_EVERY:
            self._retained = now
            self._apply_retention()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.beat()
            except EverloopError as error:
                log.error("controller: %s", error)
            except Exception:  # noqa: BLE001 - a heart that stopped for good would look alive
                log.exception("controller: the loops could not be listed")
            self._stopping.wait(self._interval)

    def _keep_fresh(self) -> None:
        try:
            self._features.keep()
        except EverloopError as error:
            log.error("online features: %s", error)
        except Exception:  # noqa: BLE001 - stale features must not stop the loops
            log.exception("online features: they could not be brought to now")

    def _apply_retention(self) -> None:
        try:
            self._platform.call("retention.apply", {"dry_run": False})
        except EverloopError as error:
            log.error("retention: %s", error)
        except Exception:  # noqa: BLE001 - what is kept too long must not stop the loops
            log.exception("retention: the policies could not be applied")

    def _tick(self, name: str) -> None:
        started = perf_counter()
        outcome = "failed"
        try:
            self._platform.call("loops.tick", {"name": name})
            outcome = "done"
        except Conflict as error:
            outcome = "moved"  # Somebody else ticks this loop too, a command perhaps: the next beat goes on from there.
            log.info("loop %s: %s", name, error)
        except EverloopError as error:
            log.error("loop %s: %s", name, error)
        except Exception:  # noqa: BLE001 - whatever one loop does, the others go on
            log.exception("loop %s: the tick failed", name)
        self._ticks.add(loop=name, outcome=outcome)
        self._seconds.observe(perf_counter() - started, loop=name)


def run_controller(platform: Platform, interval: float, port: int, announce: Callable[[str], None]) -> None:
    """Tick the loops until SIGTERM; `announce` is told where `/healthz`, `/readyz` and `/metrics` answer.

    Raises:
        Unavailable: the port is taken.
    """
    listening = process.listen(HOST, port)
    announce(process.address_of(listening))
    process.run(controller_app(platform, interval), listening)


def controller_app(platform: Platform, interval: float) -> ASGIApp:
    """What the process answers; the heart beats as long as it runs."""
    metrics = Metrics()
    heart = Heart(platform, interval, metrics)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        heart.start()
        yield
        await run_in_threadpool(heart.stop)

    async def scraped(request: Request) -> Response:
        require(request.state.principal, "metrics:read")
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    doors = Starlette(
        routes=[*health.routes(platform), Route("/metrics", scraped)],
        exception_handlers={EverloopError: lambda _, error: refusal_of(error)},
        lifespan=lifespan,
    )
    guarded = guard(doors, platform.settings.values, authenticator(platform), platform.local_principal)
    return Measured(guarded, metrics)
