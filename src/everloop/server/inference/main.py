"""What a platform serves for predictions: an endpoint, or registered models, in a process of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from everloop.app.platform import Platform
from everloop.registry import service as models
from everloop.server import health
from everloop.server.authentication import authenticator, has_token
from everloop.server.inference.dataplane import DataPlane, slo_seconds
from everloop.server.inference.door import Serving, Where, serve
from everloop.server.inference.feedback import EndpointDoor
from everloop.server.inference.repository import Repository
from everloop.server.inference.served import ServedEndpoint, ServedModel
from everloop.server.metrics import Metrics
from everloop.server.security import Gate, check_exposure
from everloop.serving.reference import load_direct, load_version


def serve_endpoint(
    platform: Platform,
    name: str,
    host: str,
    port: int,
    announce: Callable[[str], None],
    grpc_port: int | None = None,
) -> None:
    """Serve an endpoint until SIGTERM; `announce` is told each address when all ports are ours, HTTP's first.

    Raises:
        NotFound: there is no such endpoint.
        Misconfigured: others could reach it and it would not ask who they are, or gRPC is not installed.
        Unavailable: a port is taken.
    """
    from everloop.serving.predictor import EndpointPredictor  # Arrow, which models that are served alone do without.

    predictor = EndpointPredictor(platform.session(), name)
    metrics = Metrics()
    metrics.gauge(
        "everloop_traffic_revision",
        "The revision of the traffic in force.",
        lambda: float(predictor.routing.endpoint.revision),
    )
    plane = DataPlane([ServedEndpoint(predictor)], metrics, slo_seconds(platform.settings.values))
    serving = Serving(
        plane,
        metrics,
        _gate(platform),
        platform.session().new_id,
        (*health.routes(platform), *EndpointDoor(predictor).routes()),
        predictor.start,
        predictor.close,
    )
    _serve(platform, serving, Where(host, port, grpc_port), announce)


def serve_models(
    platform: Platform,
    refs: Sequence[str],
    host: str,
    port: int,
    announce: Callable[[str], None],
    grpc_port: int | None = None,
) -> None:
    """Serve registered models (`models:/NAME@ALIAS`, `models:/NAME/VERSION`) until SIGTERM, each by its name.

    Of several versions of a model the first one answers requests that name no version.

    Raises:
        NotFound: there is no such model, version or alias.
        Misconfigured: others could reach it and it would not ask who they are, or gRPC is not installed.
        Unavailable: a port is taken.
    """
    served = [ServedModel(load_direct(platform.session(), ref)) for ref in refs]
    metrics = Metrics()
    plane = DataPlane(served, metrics, slo_seconds(platform.settings.values))
    serving = Serving(
        plane,
        metrics,
        _gate(platform),
        platform.session().new_id,
        health.routes(platform),
        repository=_repository(platform, plane),
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


def _gate(platform: Platform) -> Gate:
    return Gate(platform.settings.values, authenticator(platform), platform.local_principal)


def _serve(platform: Platform, serving: Serving, where: Where, announce: Callable[[str], None]) -> None:
    check_exposure(where.host, platform.settings.values, lambda: has_token(platform))
    serve(serving, where, announce)
