"""Pipelines and executions with their steps."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from everloop.kernel.usecase import Json
from everloop.pipelines.entities import Execution, PipelineDefinition, StepExecution
from everloop.server.pages import strips
from everloop.server.pages.site import Page, Visit
from everloop.server.pages.words import pretty

LIMIT = 100


class PipelinesPage(msgspec.Struct, frozen=True):
    """Pipelines and their executions."""

    pipelines: Sequence[PipelineDefinition]
    chosen: str
    executions: Sequence[Execution]


class Stepped(msgspec.Struct, frozen=True):
    """A step with its bar on the execution's axis of time."""

    step: StepExecution
    span: Markup


class ExecutionPage(msgspec.Struct, frozen=True):
    """An execution, step by step."""

    execution: Execution
    urn: str
    steps: Sequence[Stepped]
    seconds: float
    hits: int
    arguments: dict[str, Json]
    output: str


def pipelines(visit: Visit) -> Page:
    """Pipelines and the newest executions; `?pipeline=` chooses one."""
    chosen = visit.query.get("pipeline", "")
    executions = visit.ask("pipelines.executions", pipeline=chosen, limit=LIMIT)
    return Page("pipelines.html", "Pipelines", PipelinesPage(visit.ask("pipelines.list"), chosen, executions))


def execution(visit: Visit) -> Page:
    """An execution."""
    found: Execution = visit.ask("pipelines.execution", id=visit.path["id"])
    at, rows = 0.0, []
    for step in found.steps:
        rows.append((at, step.seconds, "bad" if step.error else "hit" if step.hit else ""))
        at += step.seconds
    spans = strips.spans(rows)
    it = ExecutionPage(
        execution=found,
        urn=f"execution:{visit.project}/{found.id}",
        steps=[Stepped(step, span) for step, span in zip(found.steps, spans, strict=True)],
        seconds=at,
        hits=sum(step.hit for step in found.steps),
        arguments=found.arguments,
        output="" if found.output is None else pretty(found.output),
    )
    return Page("execution.html", f"{found.pipeline}, execution …{found.id[-8:]}", it)
