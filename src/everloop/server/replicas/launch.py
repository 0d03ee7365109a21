"""What `everloop serve --workers` runs: a supervisor here, and the platform and its door in each worker."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter

from everloop.app import areas
from everloop.app.platform import Platform, open_platform
from everloop.app.settings import Loaded, Settings
from everloop.app.workers import ServingStatus, WorkerStatus, forget_status, write_status
from everloop.kernel.clock import SystemClock
from everloop.kernel.errors import EverloopError, Unavailable
from everloop.registry.watch import ModelWatch
from everloop.server import process
from everloop.server.inference.door import Where
from everloop.server.inference.main import serve_endpoint, serve_models
from everloop.server.replicas.supervisor import Care, Supervisor
from everloop.server.replicas.worker import Worker

SHARED = (
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.lifespan.on",
    "uvloop",
    "numpy",
    "everloop.serving.predictor",
)
"""What every worker needs: imported before they are forked, so that they share it and are there at once."""

Serve = Callable[[Platform, Worker], None]


def serve_with_workers(
    settings: Loaded,
    what: Sequence[str],
    host: str,
    port: int,
    announce: Callable[[str], None],
    grpc_port: int | None,
    workers: int,
) -> None:
    """Serve an endpoint, or registered models, from several processes on one port, until SIGTERM.

    `announce` is told the addresses when the first worker is ready.

    Raises:
        EverloopError: what a single process would raise.
    """
    kept = None if grpc_port is None else _reserved(host, grpc_port)
    taken = None if kept is None else int(kept.getsockname()[1])

    def serve(platform: Platform, worker: Worker) -> None:
        place = (host, port, _unheard, taken, worker)
        if all(word.startswith("models:/") for word in what):
            serve_models(platform, what, *place)
        else:
            serve_endpoint(platform, what[0], *place)

    def announced(address: str) -> None:
        announce(address)
        if taken is not None:
            announce(f"grpc://{f'[{host}]' if ':' in host else host}:{taken}")

    supervise(settings, serve, Where(host, port), care_of(settings.values, workers), " ".join(what), announced)


def supervise(
    settings: Loaded, serve: Serve, where: Where, care: Care, what: str, announce: Callable[[str], None]
) -> None:
    """Run `serve` in workers on one port until SIGTERM.

    Raises:
        Unavailable: the port is taken.
        EverloopError: what the first worker could not begin for.
    """
    listening = process.listen(where.host, where.port)
    address = process.address_of(listening)
    areas.load_all()
    for module in SHARED:
        with suppress(ImportError):
            importlib.import_module(module)
    home = Path(settings.values.home)
    supervisor = Supervisor(
        partial(_work, settings, serve), listening, care, lambda one: _told(home, what, address, one)
    )
    try:
        supervisor.run(lambda: announce(address))
    finally:
        forget_status(home, os.getpid())


def care_of(values: Settings, workers: int) -> Care:
    """How the settings want workers to be looked after."""
    return Care(workers, values.worker_hang_seconds, memory_mb=values.worker_memory_mb, crashes=values.worker_crashes)


def _work(settings: Loaded, serve: Serve, worker: Worker) -> None:
    platform = open_platform(settings)
    seed = settings.values.seed
    if seed is not None:  # Workers that drew the same numbers would give their predictions the same ids.
        platform.resources = replace(platform.resources, random=Random(f"{seed}/{os.getpid()}"))
    platform.resources.ports.provide(ModelWatch, lambda: worker.watch)
    try:
        serve(platform, worker)
    finally:
        platform.close()


def _reserved(host: str, port: int) -> socket.socket:
    """A socket that keeps a port for those who share it by `SO_REUSEPORT`, without listening itself."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kept = socket.socket(family)
    try:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind((host, port))
    except OSError as error:
        kept.close()
        raise Unavailable(
            f"Cannot listen on {host}:{port} for gRPC ({error}).",
            hint="Choose another port with --grpc-port; 0 takes a free one.",
        ) from None
    return kept


def _told(home: Path, what: str, address: str, supervisor: Supervisor) -> None:
    """Write down how the workers are."""
    now, clock = perf_counter(), SystemClock().now()
    workers = tuple(
        WorkerStatus(child.pid, child.state, child.memory_mb(), clock - timedelta(seconds=now - child.began))
        for child in supervisor.children.values()
    )
    status = ServingStatus(
        what,
        address,
        os.getpid(),
        supervisor.care.workers,
        workers,
        supervisor.restarts,
        supervisor.last_death,
        dict(supervisor.quarantined),
    )
    with suppress(OSError, EverloopError):
        write_status(home, status)


def _unheard(_address: str) -> None:
    """The supervisor announces."""
