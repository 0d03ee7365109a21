"""Datasets, their snapshots, and what features are made of them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from everloop.datasets.entities import ColumnProfile, Dataset, Profile, Snapshot, SnapshotDiff
from everloop.datasets.history.entities import Branch, Tag
from everloop.datasets.quality.entities import CheckReport, CheckResult, Suite
from everloop.datasets.quality.words import sentence_of
from everloop.features.entities import AppliedService, AppliedView, Materialization
from everloop.kernel.errors import NotFound
from everloop.server.pages.site import Page, Visit


class Listed(msgspec.Struct, frozen=True):
    """A dataset in the list, with its newest snapshot and the last check of it."""

    dataset: Dataset
    newest: Snapshot
    check: CheckReport | None


class DatasetsPage(msgspec.Struct, frozen=True):
    """Every dataset."""

    listed: Sequence[Listed]


class Judged(msgspec.Struct, frozen=True):
    """An expectation in words, and how it fared."""

    what: str
    severity: str
    result: CheckResult


class DatasetPage(msgspec.Struct, frozen=True):
    """A snapshot with everything that is known of it."""

    snapshot: Snapshot
    urn: str
    latest: int
    description: str
    profile: Profile
    columns: Sequence[tuple[ColumnProfile, bool]]
    report: CheckReport | None
    judged: Sequence[Judged]
    expected: Sequence[str]
    checked: bool
    gates: Sequence[str]
    log: Sequence[Snapshot]
    branches: Sequence[Branch]
    names: dict[int, list[str]]
    diff: SnapshotDiff | None


class FeaturesPage(msgspec.Struct, frozen=True):
    """Services, views and materializations."""

    services: Sequence[AppliedService]
    views: Sequence[AppliedView]
    materializations: Sequence[Materialization]


class ServicePage(msgspec.Struct, frozen=True):
    """A feature service: what a model that uses it is fed with."""

    service: AppliedService
    urn: str
    newest: int
    views: dict[str, int]
    models: Sequence[str]


class ViewPage(msgspec.Struct, frozen=True):
    """A feature view."""

    view: AppliedView
    urn: str
    versions: Sequence[int]


def datasets(visit: Visit) -> Page:
    """The list of datasets."""
    known: list[Dataset] = visit.ask("datasets.list")
    listed = [Listed(each, _newest(visit, each), _last_check(visit, each.name)) for each in known]
    return Page("datasets.html", "Data", DatasetsPage(listed))


def dataset(visit: Visit) -> Page:
    """A snapshot; `?version=` chooses, the newest otherwise."""
    name = visit.path["name"]
    snapshot: Snapshot = visit.ask("datasets.get", name=name, version=visit.query.get("version", "0"))
    log: list[Snapshot] = visit.ask("datasets.log", name=name)
    profile = (
        visit.ask("datasets.profile", name=name, version=snapshot.version)
        if snapshot.kind == "table"
        else Profile(snapshot.rows, ())
    )
    reports: list[CheckReport] = visit.ask("datasets.checks", name=name)
    report = next((each for each in reports if each.version == snapshot.version), None)
    nullable = {column.name: column.nullable for column in snapshot.columns}
    known: list[Dataset] = visit.ask("datasets.list")
    branches: list[Branch] = visit.ask("datasets.branches", name=name)
    tags: list[Tag] = visit.ask("datasets.tags", name=name)
    suite: Suite | None = visit.asked_or(None, "datasets.expectations", name=name)
    it = DatasetPage(
        snapshot=snapshot,
        urn=f"dataset:{visit.project}/{name}@{snapshot.version}",
        latest=max(each.version for each in log),
        description=next((each.description for each in known if each.name == name), ""),
        profile=profile,
        columns=[(column, nullable.get(column.name, True)) for column in profile.columns],
        report=report,
        judged=[_judged(result) for result in report.results] if report else [],
        expected=[sentence_of(each) for each in suite.expectations] if suite and not report else [],
        checked=bool(reports),
        gates=visit.ask("datasets.gates", name=name).gates if suite else (),
        log=log,
        branches=branches,
        names={each.version: [*_at(branches, each.version), *_at(tags, each.version)] for each in log},
        diff=visit.ask("datasets.diff", name=name, before=snapshot.base[0], after=snapshot.version)
        if snapshot.base
        else None,
    )
    return Page("dataset.html", f"{name} @ {snapshot.version}", it)


def features(visit: Visit) -> Page:
    """Feature services and views."""
    it = FeaturesPage(
        visit.ask("features.services"), visit.ask("features.views"), visit.ask("features.materializations")
    )
    return Page("features.html", "Features", it)


def service(visit: Visit) -> Page:
    """A feature service; `?version=` chooses, the newest otherwise."""
    name, version = visit.path["name"], visit.query.get("version", "0") or "0"
    visit.ask("features.service", name=name, version=version)
    held: list[AppliedService] = [each for each in visit.ask("features.services") if each.name == name]
    newest = max(each.version for each in held)
    found = next((each for each in held if str(each.version) == version), None)
    if found is None and version not in ("0", ""):
        found = AppliedService(
            name, int(version), visit.ask("features.service", name=name, version=version), held[0].created
        )
    chosen = found or max(held, key=lambda each: each.version)
    views = {each.name: each.version for each in visit.ask("features.views")}
    it = ServicePage(
        chosen, f"feature_service:{visit.project}/{name}@{chosen.version}", newest, views, _users(visit, name)
    )
    return Page("service.html", f"{name} @ {chosen.version}", it)


def view(visit: Visit) -> Page:
    """A feature view."""
    name, version = visit.path["name"], visit.query.get("version", "")
    held: list[AppliedView] = [each for each in visit.ask("features.views") if each.name == name]
    if not held:
        raise NotFound(f"There is no feature view {name!r}.", hint="everloop features views lists what there is.")
    chosen = next((each for each in held if str(each.version) == version), max(held, key=lambda each: each.version))
    it = ViewPage(chosen, f"feature_view:{visit.project}/{name}@{chosen.version}", [each.version for each in held])
    return Page("view.html", f"{name} @ {chosen.version}", it)


def _at(named: Sequence[Branch] | Sequence[Tag], version: int) -> list[str]:
    """The branches or tags that stand at a version."""
    return [each.name for each in named if each.version == version]


def _users(visit: Visit, service: str) -> list[str]:
    """The endpoints that read a service online."""
    return [each.name for each in visit.ask("endpoints.list") if each.features == service]


def _newest(visit: Visit, dataset: Dataset) -> Snapshot:
    """The newest of main, or the newest at all when nobody pulled main."""
    main: Snapshot | None = visit.asked_or(None, "datasets.get", name=dataset.name)
    found: Snapshot = main or visit.ask("datasets.get", name=dataset.name, version=dataset.latest)
    return found


def _last_check(visit: Visit, name: str) -> CheckReport | None:
    reports: list[CheckReport] = visit.ask("datasets.checks", name=name)
    return reports[0] if reports else None


def _judged(result: CheckResult) -> Judged:
    return Judged(sentence_of(result.expectation), result.expectation.severity, result)
