"""Runs, pipelines and executions with their steps."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.pipelines.entities import Execution, PipelineDefinition, StepExecution
from everloop.server.pages import strips
from everloop.server.pages.site import Page, Visit
from everloop.server.pages.words import pretty
from everloop.tracking.entities import Experiment, Run

COLUMNS = 6
"""So many metrics and parameters are columns of the list of runs."""
LIMIT = 100


class RunsPage(msgspec.Struct, frozen=True):
    """Runs of an experiment, or of all, that meet a filter."""

    experiments: Sequence[Experiment]
    experiment: str
    where: str
    order: str
    runs: Sequence[Run]
    metrics: Sequence[str]
    parameters: Sequence[str]
    best: dict[str, float]
    problem: str
    hint: str


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


def runs(visit: Visit) -> Page:
    """The list of runs; `experiment`, `where` and `order` as the use case has them."""
    experiment, where = visit.query.get("experiment", ""), visit.query.get("where", "")
    order = visit.query.get("order", "")
    problem = hint = ""
    found: list[Run] = []
    try:
        found = visit.ask("runs.search", experiment=experiment, where=where, order=order, limit=LIMIT)
    except InvalidInput as error:
        problem, hint = error.message, error.hint
    metrics = _commonest([list(run.metrics) for run in found])
    it = RunsPage(
        experiments=visit.ask("experiments.list"),
        experiment=experiment,
        where=where,
        order=order,
        runs=found,
        metrics=metrics,
        parameters=_varying(found),
        best={key: value for key in metrics if (value := _best(found, key)) is not None},
        problem=problem,
        hint=hint,
    )
    return Page("runs.html", "Runs", it, status=400 if problem else 200)


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


def _commonest(listed: Sequence[Sequence[str]]) -> list[str]:
    """The names that most runs have; plain names go before those of slices."""
    counts: dict[str, int] = {}
    for names in listed:
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    ranked = sorted(counts, key=lambda name: ("[" in name, -counts[name], name))
    return sorted(ranked[:COLUMNS])


def _varying(runs: Sequence[Run]) -> list[str]:
    """The parameters in which runs differ."""
    values: dict[str, set[str]] = {}
    for run in runs:
        for name, value in run.parameters.items():
            values.setdefault(name, set()).add(value)
    differing = [name for name, held in values.items() if len(held) > 1 or len(runs) == 1]
    return sorted(differing)[:COLUMNS]


def _best(runs: Sequence[Run], key: str) -> float | None:
    """The best value of a metric, where more than one run has it; of losses and errors less is better."""
    values = [value for run in runs if (value := run.metrics.get(key)) is not None]
    if len(set(values)) < 2:
        return None
    return min(values) if any(word in key for word in ("loss", "error", "brier")) else max(values)
