"""Registered models, their versions with gates and decisions, and packages."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from everloop.loop.entities import AppliedLoop, Candidate
from everloop.packaging.entities import Package
from everloop.packaging.manifests.entities import Manifests
from everloop.packaging.sizing.entities import ModelProfile
from everloop.registry.compilation.entities import Compilation
from everloop.registry.entities import Alias, Approval, ModelVersion, RegisteredModel
from everloop.registry.trust.entities import Trust
from everloop.server.pages.charts import Chart, Point, Series, line_chart
from everloop.server.pages.markdown import html
from everloop.server.pages.site import Page, Visit
from everloop.serving.entities import Deployment, Endpoint

_SLICE = re.compile(r"(?P<metric>[^\[\]]+)\[(?P<column>[^=\[\]]+)=(?P<value>[^\[\]]*)\]")


class ListedModel(msgspec.Struct, frozen=True):
    """A model in the list."""

    model: RegisteredModel
    aliases: Sequence[Alias]


class ModelsPage(msgspec.Struct, frozen=True):
    """Every model, and every package."""

    listed: Sequence[ListedModel]
    packages: Sequence[Package]


class ListedVersion(msgspec.Struct, frozen=True):
    """A version in the list: its aliases, and what became of it as a candidate."""

    version: ModelVersion
    aliases: Sequence[str]
    candidate: Candidate | None
    decision: str


class ModelPage(msgspec.Struct, frozen=True):
    """A model with its versions."""

    model: RegisteredModel
    aliases: Sequence[Alias]
    listed: Sequence[ListedVersion]
    metrics: Sequence[str]
    chart: Markup | None
    packages: Sequence[Package]


class VersionPage(msgspec.Struct, frozen=True):
    """A version with everything that is known of it."""

    version: ModelVersion
    urn: str
    latest: int
    aliases: Sequence[str]
    approvals: Sequence[Approval]
    candidate: Candidate | None
    deployments: Sequence[Deployment]
    packages: Sequence[Package]
    compilation: Compilation | None
    trusted: Sequence[Trust]
    profile: ModelProfile | None
    metrics: dict[str, float]
    slices: int
    card: Markup


class PackagePage(msgspec.Struct, frozen=True):
    """A package, what is in it, and how Kubernetes would run the version."""

    package: Package
    kubernetes: dict[str, str]


def models(visit: Visit) -> Page:
    """The list of models and packages."""
    known: list[RegisteredModel] = visit.ask("models.list")
    listed = [ListedModel(each, visit.ask("models.aliases", name=each.name)) for each in known]
    return Page("models.html", "Models", ModelsPage(listed, visit.ask("packages.list")))


def model(visit: Visit) -> Page:
    """A model with its versions."""
    name = visit.path["name"]
    found: RegisteredModel = visit.ask("models.get", name=name)
    versions: list[ModelVersion] = visit.ask("models.versions", name=name)
    aliases: list[Alias] = visit.ask("models.aliases", name=name)
    candidates = _candidates(visit, name)
    metrics = sorted({key for each in versions for key in each.trained.metrics if "[" not in key})[:5]
    it = ModelPage(
        model=found,
        aliases=aliases,
        listed=[_listed(visit, each, aliases, candidates) for each in versions],
        metrics=metrics,
        chart=_chart(versions) if len(versions) > 1 else None,
        packages=visit.ask("packages.list", model=name),
    )
    return Page("model.html", name, it)


def version(visit: Visit) -> Page:
    """A version of a model."""
    name, number = visit.path["name"], visit.path["version"]
    found: ModelVersion = visit.ask("models.version", name=name, version=number)
    approvals: list[Approval] = visit.ask("models.approvals", name=name, version=found.version)
    model: RegisteredModel = visit.ask("models.get", name=name)
    aliases: list[Alias] = visit.ask("models.aliases", name=name)
    packages: list[Package] = visit.ask("packages.list", model=name)
    it = VersionPage(
        version=found,
        urn=f"model:{visit.project}/{name}@{found.version}",
        latest=model.latest,
        aliases=[each.alias for each in aliases if each.version == found.version],
        approvals=approvals,
        candidate=_candidates(visit, name).get(found.version),
        deployments=_deployments(visit, name, found.version),
        packages=[each for each in packages if each.version == found.version],
        compilation=visit.asked_or(None, "models.compilation", name=name, version=found.version),
        trusted=visit.asked_or([], "models.trusted", name=name, version=found.version),
        profile=visit.asked_or(None, "packages.profile", model=name, version=found.version),
        metrics={key: value for key, value in sorted(found.trained.metrics.items()) if not _SLICE.fullmatch(key)},
        slices=sum(1 for key in found.trained.metrics if _SLICE.fullmatch(key)),
        card=html(visit.ask("models.card", name=name, version=found.version), top=3),
    )
    return Page("version.html", f"{name}, version {found.version}", it)


def package(visit: Visit) -> Page:
    """A package of a version."""
    name, number = visit.path["name"], visit.path["version"]
    found: Package = visit.ask("packages.get", model=name, version=number)
    kubernetes: Manifests = visit.ask("packages.manifest", model=name, version=number)
    return Page("package.html", f"Package of {name} v{found.version}", PackagePage(found, kubernetes.files))


def _candidates(visit: Visit, model: str) -> dict[int, Candidate]:
    """The candidates of a model by the version that they became."""
    loops: list[AppliedLoop] = visit.asked_or([], "loops.list")
    return {
        candidate.version: candidate
        for loop in loops
        if loop.declaration.model == model
        for candidate in visit.ask("loops.candidates", name=loop.name, limit=1000)
        if candidate.version
    }


def _listed(
    visit: Visit, version: ModelVersion, aliases: Sequence[Alias], candidates: dict[int, Candidate]
) -> ListedVersion:
    decisions: list[Approval] = visit.ask("models.approvals", name=version.model, version=version.version)
    return ListedVersion(
        version,
        [each.alias for each in aliases if each.version == version.version],
        candidates.get(version.version),
        decisions[0].decision if decisions else "",
    )


def _deployments(visit: Visit, model: str, version: int) -> list[Deployment]:
    endpoints: list[Endpoint] = [each for each in visit.asked_or([], "endpoints.list") if each.model == model]
    return [
        deployment
        for endpoint in endpoints
        for deployment in visit.ask("endpoints.deployments", name=endpoint.name)
        if deployment.version == version
    ]


def _chart(versions: Sequence[ModelVersion]) -> Markup | None:
    """The ROC AUC of each version on its own holdout."""
    points = [
        Point(float(each.version), value, f"version {each.version}: {value:.4f}")
        for each in reversed(versions)
        if (value := each.trained.metrics.get("roc_auc")) is not None
    ]
    if len(points) < 2:
        return None
    ticks = [(point.x, f"v{point.x:.0f}") for point in points]
    return line_chart(
        Chart(title="ROC AUC of each version on its own holdout", series=[Series("", points)], ticks=ticks)
    )
