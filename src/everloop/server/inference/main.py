"""What a platform serves for predictions: an endpoint, or registered models, in a process of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from everloop.app.platform import Platform
from everloop.registry import service as models
from everloop.server import health
from everloop.server.authentication import authenticator, has_token
from everloop.server.inference.dataplane import DataPlane, slo_seconds
from everloop.server.inference.door import Serving, Where, serve
from everloop.server.inference.feedback import EndpointDoor
from everloop.server.inference.following import Following
from everloop.server.inference.repository import Repository
from everloop.server.inference.served import ServedEndpoint, ServedModel
from everloop.server.metrics import Metrics
from everloop.server.security import Gate, check_exposure
from everloop.serving.reference import load_version

if TYPE_CHECKING:
    from everloop.server.replicas.worker import Worker
    from everloop.serving.predictor import EndpointPredictor


def serve_endpoint(
    platform: Platform,
    name: str,
    host: str,
    port: int,
    announce: Callable[[str], None],
    grpc_port: int | None = None,
    worker: Worker | None = None,
) -> None:
    """Serve an endpoint until SIGTERM; `announce` is told each address when all ports are ours, HTTP's first.

    A `worker` is one of several processes that do so.

    Raises:
        NotFound: there is no such endpoint.
        Misconfigured: others could reach it and it would not ask who they are, or gRPC is not installed.
        Unavailable: a port is taken.
    """
    from everloop.serving.predictor import EndpointPredictor  # Arrow, which models that are served alone do without.

    predictor = EndpointPredictor(platform.session(), name)
    metrics = Metrics() if worker is None else worker.metrics
    if worker is not None:
        worker.refresh, worker.revision = lambda: float(predictor.refresh()), lambda: float(_revision(predictor))
    metrics.gauge(
        "everloop_traffic_revision",
        "The revision of the traffic in force.",
        lambda: float(_revision(predictor)),
    )
    seconds = predictor.routing.stable.configuration.slo_ms / 1e3 or slo_seconds(platform.settings.values)
    plane = DataPlane([ServedEndpoint(predictor)], metrics, seconds)

    def checks() -> Sequence[health.Check]:
        return (*_workers(worker)(), *_runs(predictor))

    plane.troubles = lambda: _troubles(checks())
    serving = Serving(
        plane,
        metrics,
        _gate(platform),
        platform.session().new_id,
        (
            *health.routes(platform, checks),
            *EndpointDoor(predictor, worker).routes(),
        ),
        predictor.start,
        predictor.close,
        worker=worker,
    )
    _serve(platform, serving, Where(host, port, grpc_port), announce)


def serve_models(
    platform: Platform,
    refs: Sequence[str],
    host: str,
    port: int,
    announce: Callable[[str], None],
    grpc_port: int | None = None,
    worker: Worker | None = None,
) -> None:
    """Serve registered models (`models:/NAME@ALIAS`, `models:/NAME/VERSION`) until SIGTERM, each by its name.

    Of several versions of a model the first one answers requests that name no version. Aliases are followed: when one
    moves, the version that it names now is loaded beside the one before, and answers from then on. A `worker` is one of
    several processes that do so.

    Raises:
        NotFound: there is no such model, version or alias.
        Misconfigured: others could reach it and it would not ask who they are, or gRPC is not installed.
        Unavailable: a port is taken.
    """
    following = Following(platform.session(), refs)
    metrics = Metrics() if worker is None else worker.metrics
    plane = DataPlane(following.served(), metrics, slo_seconds(platform.settings.values))
    plane.troubles = lambda: _troubles(_workers(worker)())
    repository = _repository(platform, plane)
    if worker is not None:
        worker.refresh = following.look
    serving = Serving(
        plane,
        metrics,
        _gate(platform),
        platform.session().new_id,
        health.routes(platform, _workers(worker)),
        partial(following.start, repository),
        following.close,
        repository,
        worker,
    )
    _serve(platform, serving, Where(host, port, grpc_port), announce)


def _repository(platform: Platform, plane: DataPlane) -> Repository:
    """The registry, of which models may be loaded while the process runs."""

    def known() -> list[tuple[str, str]]:
        with platform.session().begin(write=False) as unit:
            return [(model.name, str(model.latest)) for model in models.list_models(unit) if model.latest]

    def load(name: str, version: str) -> ServedModel:
        return ServedModel(load_version(platform.session(), name, int(version or 0)))

    return Repository(plane, known, load)


def _revision(predictor: EndpointPredictor) -> int:
    return predictor.routing.endpoint.revision


def _runs(predictor: EndpointPredictor) -> Sequence[health.Check]:
    """What `/readyz` tells of models that hang: their runs cannot be stopped, only the process can."""
    return [health.Check("models", False, f"{predictor.hung} runs of models hang.")] if predictor.hung else ()


def _troubles(checks: Sequence[health.Check]) -> list[str]:
    return [check.message for check in checks if not check.ok]


def _workers(worker: Worker | None) -> Callable[[], Sequence[health.Check]]:
    """What `/readyz` tells of the workers: one that is missing is no fault, since whoever answers takes requests."""

    def checks() -> Sequence[health.Check]:
        if worker is None:
            return ()
        ready, wanted = worker.states()
        told = [health.Check("workers", True, f"{ready} of {wanted} take requests.")]
        reasons = worker.notice().reasons
        if reasons:
            told.append(health.Check("quarantine", not worker.watch.refuses(reasons), " ".join(reasons.values())))
        return told

    return checks


def _gate(platform: Platform) -> Gate:
    return Gate(platform.settings.values, authenticator(platform), platform.local_principal)


def _serve(platform: Platform, serving: Serving, where: Where, announce: Callable[[str], None]) -> None:
    check_exposure(where.host, platform.settings.values, lambda: has_token(platform))
    serve(serving, where, announce)
