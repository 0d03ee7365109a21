"""A project of a user: the declarations in its module, and how they are applied together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from everloop.app.platform import Platform
from everloop.app.settings import FILE
from everloop.catalog.session import Session
from everloop.datasets.quality.suites import service as suites
from everloop.datasets.quality.suites.entities import AppliedSuite, SuiteDeclaration
from everloop.features import service as features
from everloop.features.entities import AppliedService, FeatureService
from everloop.governance.retaining import service as retention
from everloop.governance.retaining.entities import Policy
from everloop.governance.roles import require
from everloop.kernel.errors import Conflict, InvalidInput, Misconfigured
from everloop.kernel.usecase import published
from everloop.loop import service as loops
from everloop.loop.entities import AppliedLoop, Loop
from everloop.pipelines import service as pipelines
from everloop.pipelines.declare import Pipeline
from everloop.pipelines.entities import PipelineDefinition
from everloop.pipelines.project import load_module
from everloop.serving import service as endpoints
from everloop.serving.entities import AppliedEndpoint, EndpointDeclaration

T = TypeVar("T")
_APPLIES = ("datasets.apply_suites", "features.apply", "pipelines.apply", "endpoints.apply", "loops.apply")


class Declarations(msgspec.Struct, frozen=True):
    """What a project's module declares."""

    services: tuple[FeatureService, ...]
    pipelines: tuple[PipelineDefinition, ...]
    loops: tuple[Loop, ...]
    suites: tuple[SuiteDeclaration, ...] = ()
    endpoints: tuple[EndpointDeclaration, ...] = ()


class AppliedProject(msgspec.Struct, frozen=True):
    """What is in force after a project was applied."""

    services: list[AppliedService]
    pipelines: list[PipelineDefinition]
    loops: list[AppliedLoop]
    suites: list[AppliedSuite] = []
    endpoints: list[AppliedEndpoint] = []
    retention: list[Policy] = []


NOTHING = Declarations((), (), ())
"""What a project declares that has no module: at most what stands in its settings."""


def collect(folder: Path, module: str) -> Declarations:
    """The declarations in a module: what stands in its names, or in lists in its names.

    Raises:
        Misconfigured: no module is named.
        NotFound: there is no such module.
        InvalidInput: it declares nothing.
        Conflict: it declares two things of one kind under one name.
        StepFailed: importing it raises.
    """
    if not module:
        raise Misconfigured(
            "No module with declarations is named.",
            hint=f'Write module = "myproject.project" into {FILE}; everloop init makes one.',
        )
    values = list(_flat(vars(load_module(folder, module)).values()))
    definitions = [_definition(pipeline, folder) for pipeline in _of(Pipeline, values)]
    found = Declarations(
        _once(_of(FeatureService, values), module),
        _once(definitions, module),
        _once(_of(Loop, values), module),
        _once(_of(SuiteDeclaration, values), module, "dataset"),
        _once(_of(EndpointDeclaration, values), module),
    )
    if not (found.suites or found.services or found.pipelines or found.loops or found.endpoints):
        raise InvalidInput(
            f"{module} declares no suite, no feature service, no pipeline, no endpoint and no loop.",
            hint="Name them at the top of the module.",
        )
    return found


def apply(platform: Platform, declared: Declarations) -> AppliedProject:
    """Put declarations in force, all of them in one unit of work; what is in force already stays as it is.

    Raises:
        InvalidInput: a declaration cannot be right; then nothing was changed.
    """
    for name in _APPLIES:
        require(platform.local_principal, published()[name].permission)
    with platform.session().begin() as unit, unit.activate():
        in_force = (
            suites.apply_suites(unit, **_bound("datasets.apply_suites", declared=declared.suites))
            if declared.suites
            else []
        )
        return AppliedProject(
            features.apply(unit, **_bound("features.apply", services=declared.services)) if declared.services else [],
            pipelines.apply(unit, **_bound("pipelines.apply", definitions=declared.pipelines))
            if declared.pipelines
            else [],
            [loops.apply(unit, **_bound("loops.apply", loop=loop)) for loop in declared.loops],
            in_force,
            [endpoints.apply(unit, **_bound("endpoints.apply", endpoint=one)) for one in declared.endpoints],
            _keep(platform, unit),
        )


def _keep(platform: Platform, unit: Session) -> list[Policy]:
    """Put the retention policies in force that the settings declare, where they do or did so."""
    declared = platform.settings.values.retention
    if not declared and not any(policy.declared for policy in retention.list_policies(unit)):
        return []
    require(platform.local_principal, published()["retention.declare"].permission)
    return retention.declare(unit, **_bound("retention.declare", policies=declared))


def _bound(usecase: str, **arguments: object) -> dict[str, Any]:
    """The arguments of a use case (of whatever types), checked as they are at every door."""
    return published()[usecase].bind(arguments)


def _flat(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        yield from value if isinstance(value, (list, tuple)) else (value,)


def _of(kind: type[T], values: Iterable[object]) -> list[T]:
    return [value for value in values if isinstance(value, kind)]


def _once(declared: Iterable[T], module: str, field: str = "name") -> tuple[T, ...]:
    by_name: dict[str, T] = {}
    for one in declared:
        name = str(getattr(one, field, ""))
        if by_name.setdefault(name, one) != one:
            raise Conflict(f"{module} declares two different things called {name!r}.", hint="Rename one of them.")
    return tuple(by_name.values())


def _definition(pipeline: Pipeline[..., object], folder: Path) -> PipelineDefinition:
    return PipelineDefinition(pipeline.name, pipeline.target, str(folder), pipeline.parameters)
