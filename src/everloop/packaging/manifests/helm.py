"""Helm: a chart whose templates are the same for every model; only its values differ."""

from __future__ import annotations

from importlib.resources import files as resources_of

from everloop.packaging.manifests.container import LIVE, READY, arguments, resources
from everloop.packaging.manifests.documents import written
from everloop.packaging.manifests.entities import PORT, Release, Workload
from everloop.packaging.manifests.kubernetes import UTILIZATION, has_route, notes
from everloop.packaging.manifests.weights import reduced

_TEMPLATES = ("release.yaml", "route.yaml", "NOTES.txt")
_WHOLE_NUMBERS = "0.1.0"


def written_for(workload: Workload) -> tuple[dict[str, str], tuple[str, ...]]:
    """The chart; `helm template` gives the objects that the kind `kubernetes` gives."""
    folder = resources_of("everloop.packaging.manifests") / "chart"
    templates = {f"templates/{name}": (folder / name).read_text(encoding="utf-8") for name in _TEMPLATES}
    chart = {
        "apiVersion": "v2",
        "name": workload.name,
        "description": f"Serves {workload.asked}",
        "type": "application",
        "version": _WHOLE_NUMBERS,
        "appVersion": str(workload.stable.version),
    }
    schema = (folder / "values.schema.json").read_text(encoding="utf-8")
    own = {"Chart.yaml": written(chart), "values.yaml": written(values(workload)), "values.schema.json": schema}
    return own | templates, notes(workload)


def values(workload: Workload) -> dict[str, object]:
    """Everything that differs from model to model."""
    size, placement = workload.size, workload.placement
    return {
        "name": workload.name,
        "runtime": placement.runtime,
        "port": PORT,
        "replicas": size.replicas,
        "most": size.most,
        "utilization": UTILIZATION,
        "startSeconds": round(10 * size.start_seconds),
        "threads": max(1, size.cpu_limit // 1000),
        "resources": resources(size),
        "paths": {"ready": READY, "live": LIVE},
        "route": {"enabled": has_route(workload), "gateway": placement.gateway or "gateway", "host": placement.host},
        "releases": _releases(workload),
    }


def _releases(workload: Workload) -> list[dict[str, object]]:
    weights = reduced([release.weight for release in workload.answering])
    parts = {release.name: weight for release, weight in zip(workload.answering, weights, strict=True)}
    return [_release(workload, release, parts.get(release.name, 0)) for release in workload.releases]


def _release(workload: Workload, release: Release, weight: int) -> dict[str, object]:
    return {
        "name": release.name,
        "model": release.model,
        "version": release.version,
        "digest": str(release.digest),
        "image": release.image,
        "args": arguments(workload, release),
        "role": release.role,
        "weight": weight,
    }
