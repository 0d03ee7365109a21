"""Registered models, their versions with gates and decisions, and packages."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from everloop.governance.roles import allows
from everloop.loop.entities import AppliedLoop, Candidate
from everloop.packaging.entities import Package
from everloop.packaging.manifests.entities import Manifests
from everloop.packaging.sizing.entities import ModelProfile
from everloop.registry.comparison.entities import Comparison
from everloop.registry.compilation.entities import Compilation
from everloop.registry.entities import Alias, Approval, ModelVersion, RegisteredModel
from everloop.registry.notes.entities import CardRevision
from everloop.registry.policies.entities import Policy
from everloop.registry.service import CHAMPION
from everloop.registry.trust.entities import Trust
from everloop.server.pages.charts import Chart, Point, Series, line_chart
from everloop.server.pages.markdown import bare, html
from everloop.server.pages.site import Page, Visit
from everloop.server.pages.words import pretty
from everloop.serving.entities import Deployment, Endpoint

_LONGEST_EXAMPLE = 20_000
_SLICE = re.compile(r"(?P<metric>[^\[\]]+)\[(?P<column>[^=\[\]]+)=(?P<value>[^\[\]]*)\]")


class ListedModel(msgspec.Struct, frozen=True):
    """A model in the list."""

    model: RegisteredModel
    aliases: Sequence[Alias]
    about: str


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
    description: Markup
    tags: dict[str, str]
    policy: Policy | None
    champion: int


class ComparisonPage(msgspec.Struct, frozen=True):
    """Two versions of a model side by side, and the numbers of all that there are."""

    compared: Comparison
    versions: Sequence[int]


class Slice(msgspec.Struct, frozen=True):
    """A metric of one slice."""

    name: str
    metric: str
    value: float


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
    slices: Sequence[Slice]
    card: Markup
    card_text: str
    revisions: Sequence[CardRevision]
    note: Markup
    tags: dict[str, str]
    example: str
    lacks: dict[str, Sequence[str]]
    champion: int
    may_approve: bool
    may_deploy: bool
    may_write: bool


class PackagePage(msgspec.Struct, frozen=True):
    """A package, what is in it, and how Kubernetes would run the version."""

    package: Package
    kubernetes: dict[str, str]


def models(visit: Visit) -> Page:
    """The list of models and packages."""
    known: list[RegisteredModel] = visit.ask("models.list")
    listed = [ListedModel(each, visit.ask("models.aliases", name=each.name), bare(each.description)) for each in known]
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
        description=html(found.description, top=3),
        tags=visit.ask("models.tags", name=name),
        policy=_policy(visit, name),
        champion=next((each.version for each in aliases if each.alias == CHAMPION), 0),
    )
    return Page("model.html", found.called, it)


def comparison(visit: Visit) -> Page:
    """Two versions of a model; without numbers the newest beside the champion."""
    name, query = visit.path["name"], visit.query
    numbers = {which: query.get(which, "0") for which in ("champion", "challenger")}
    found: Comparison = visit.ask("models.compare", name=name, **numbers)
    versions: list[ModelVersion] = visit.ask("models.versions", name=name)
    it = ComparisonPage(found, [each.version for each in versions])
    return Page("comparison.html", f"{name}: version {found.challenger} beside {found.champion}", it)


def version(visit: Visit) -> Page:
    """A version of a model."""
    name, number = visit.path["name"], visit.path["version"]
    found: ModelVersion = visit.ask("models.version", name=name, version=number)
    approvals: list[Approval] = visit.ask("models.approvals", name=name, version=found.version)
    model: RegisteredModel = visit.ask("models.get", name=name)
    aliases: list[Alias] = visit.ask("models.aliases", name=name)
    packages: list[Package] = visit.ask("packages.list", model=name)
    card: str = visit.ask("models.card", name=name, version=found.version)
    revisions: list[CardRevision] = visit.ask("models.card_revisions", name=name, version=found.version)
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
        slices=_slices(found),
        card=html(card, top=3),
        card_text=revisions[0].text if revisions else found.card,
        revisions=revisions,
        note=html(found.note, top=3),
        tags=visit.ask("models.tags", name=name, version=found.version),
        example=_example(visit, found),
        lacks=_lacks(visit, found),
        champion=next((each.version for each in aliases if each.alias == CHAMPION), 0),
        may_approve=allows(visit.principal.roles, "models:approve"),
        may_deploy=allows(visit.principal.roles, "models:deploy"),
        may_write=allows(visit.principal.roles, "models:write"),
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


def _policy(visit: Visit, model: str) -> Policy | None:
    """The policy that counts for a model: its own, or that of every model."""
    known: list[Policy] = visit.ask("models.policies")
    return next((each for each in reversed(known) if each.model in (model, "")), None)


def _lacks(visit: Visit, version: ModelVersion) -> dict[str, Sequence[str]]:
    """What the version lacks before each guarded alias may name it."""
    policy, name, number = _policy(visit, version.model), version.model, version.version
    guarded = policy.aliases if policy else ()
    return {alias: visit.ask("models.lacks", name=name, version=number, alias=alias) for alias in guarded}


def _slices(version: ModelVersion) -> list[Slice]:
    found = [(_SLICE.fullmatch(key), value) for key, value in sorted(version.trained.metrics.items())]
    return [Slice(f"{it['column']} = {it['value']}", it["metric"], value) for it, value in found if it]


def _example(visit: Visit, version: ModelVersion) -> str:
    found = visit.asked_or(None, "models.example", name=version.model, version=version.version)
    return "" if found is None else pretty(found)[:_LONGEST_EXAMPLE]


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
