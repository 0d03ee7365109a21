"""The pages by their paths."""

from __future__ import annotations

from everloop.app.platform import Platform
from everloop.server.pages import (
    access,
    artifacts,
    compared,
    data,
    experiments,
    governing,
    ledger,
    models,
    overview,
    recorded,
    runs,
    serving,
    sweeps,
    traces,
    training,
    watching,
)
from everloop.server.pages.site import Site, View

VIEWS: dict[str, View] = {
    "/": overview.overview,
    "/datasets": data.datasets,
    "/datasets/{name}": data.dataset,
    "/features": data.features,
    "/features/views/{name}": data.view,
    "/features/{name}": data.service,
    "/pipelines": training.pipelines,
    "/executions/{id}": training.execution,
    "/runs": runs.runs,
    "/runs/compare": compared.compare,
    "/runs/{id}": recorded.run,
    "/runs/{id}/files/{file:path}": artifacts.artifact,
    "/experiments": experiments.experiments,
    "/sweeps": sweeps.sweeps,
    "/sweeps/{name}": sweeps.sweep,
    "/traces": traces.traces,
    "/traces/{id}": traces.trace,
    "/models": models.models,
    "/models/{name}": models.model,
    "/models/{name}/comparison": models.comparison,
    "/models/{name}/versions/{version}": models.version,
    "/policies": governing.policies,
    "/webhooks": governing.webhooks,
    "/packages/{name}/{version}": models.package,
    "/endpoints": serving.endpoints,
    "/endpoints/{name}": serving.endpoint,
    "/endpoints/{name}/predictions": serving.predictions,
    "/endpoints/{name}/predictions/{id}": serving.prediction,
    "/rollouts/{id}": serving.rollout,
    "/monitors": watching.monitors,
    "/monitors/{name}": watching.monitor,
    "/alerts/{id}": watching.alert,
    "/loops": watching.loops,
    "/loops/{name}": watching.loop,
    "/loops/{name}/candidates/{number}": watching.candidate,
    "/ledger": ledger.timeline,
    "/lineage": ledger.lineage,
    "/trace": ledger.trace,
    "/access": access.access,
}


def site(platform: Platform) -> Site:
    """The pages of a platform."""
    return Site(platform, VIEWS)
