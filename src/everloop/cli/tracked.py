"""What people are told on the command line of runs, sweeps, traces and models: what one looks for stands first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everloop.pipelines.sweeps.entities import Sweep, Trial
    from everloop.registry.entities import ModelVersion
    from everloop.registry.search.entities import ModelPage, VersionPage
    from everloop.registry.webhooks.entities import Webhook
    from everloop.tracking.comparison import Comparison
    from everloop.tracking.entities import Experiment, Run
    from everloop.tracking.index.entities import RunPage, RunsTable
    from everloop.tracking.series.entities import Chart
    from everloop.tracking.traces.entities import Span, Trace, TracePage

_SHOWN, _WIDEST = 4, 32
"""So many values are told of where a thing is one line of many, each in so many characters."""
_ASKED = 60


def runs(found: Sequence[Run]) -> list[dict[str, object]]:
    """Runs, one a line, with as much of their values as can be read; `runs table` shows those that one names."""
    return [
        {
            "id": one.id,
            "name": one.name,
            "status": one.status,
            "metrics": some({key: number for key, number in one.metrics.items() if not key.startswith("system/")}),
            "experiment": one.experiment,
            "started": f"{one.started:%Y-%m-%d %H:%M}",
            "parameters": some(one.parameters),
        }
        for one in found
    ]


def run_page(found: RunPage) -> object:
    """The same, and how to go on."""
    told = {"runs": runs(found.runs), "of": found.total}
    return told | {"next page": f"--after {found.cursor}"} if found.cursor else told


def runs_table(found: RunsTable) -> object:
    """The chosen columns, a run a line, and how to go on."""
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    return {"runs": rows, "of": found.total, "next page": f"--after {found.cursor}"} if found.cursor else rows


def comparison(made: Comparison) -> list[dict[str, object]]:
    """What differs, a line each, with a column for each run, under the end of its id."""
    ends = [id[-8:] for id in made.runs]
    names = ends if len(set(ends)) == len(ends) else made.runs
    return [
        {"what": one.aspect, "key": one.key} | dict(zip(names, one.values, strict=True)) for one in made.differences
    ]


def charts(found: Sequence[Chart]) -> list[dict[str, object]]:
    """Charts, one a line; what is drawn of them is in their JSON."""
    return [
        {
            "run": one.run,
            "key": one.key,
            "axis": one.axis,
            "low": one.low,
            "high": one.high,
            "points": one.points,
            "drawn": f"{len(one.step):,} (--json)",
        }
        for one in found
    ]


def experiments(found: Sequence[Experiment]) -> list[dict[str, object]]:
    """Experiments, one a line."""
    return [
        {
            "name": one.name,
            "title": one.title if one.title != one.name else "",
            "since": f"{one.created:%Y-%m-%d}",
            "deleted": f"{one.deleted:%Y-%m-%d}" if one.deleted else "",
            "description": one.description,
            "tags": some(one.tags),
        }
        for one in found
    ]


def sweep(one: Sweep) -> dict[str, object]:
    """How far a sweep is, and what it has found."""
    search = one.definition.search if one.definition else None
    return {
        "name": one.name,
        "status": one.status,
        "trials": _counted(one),
        "best": _best(one),
        "searches by": f"{search.sampler}, pruner {search.pruner}, seed {search.seed}"
        if search
        else "Optuna's own study",
        "experiment": one.experiment,
        "run": one.run,
        "error": one.error or None,
    }


def sweeps(found: Sequence[Sweep]) -> list[dict[str, object]]:
    """Sweeps, one a line."""
    return [
        {
            "name": one.name,
            "status": one.status,
            "trials": _counted(one),
            "best": _best(one),
            "experiment": one.experiment,
            "began": f"{one.created:%Y-%m-%d %H:%M}",
        }
        for one in found
    ]


def trials(found: Sequence[Trial]) -> list[dict[str, object]]:
    """Trials, one a line: their values, and what they tried."""
    return [
        {
            "number": one.number,
            "status": one.status,
            "value": ", ".join("NaN" if value is None else f"{value:.6g}" for value in one.values),
            "parameters": some(one.parameters),
            "run": one.run,
            "error": one.error.strip().rpartition("\n")[2],
        }
        for one in found
    ]


def _counted(one: Sweep) -> str:
    return ", ".join(f"{count} {status}" for status, count in one.counts.items() if count) or "none yet"


def _best(one: Sweep) -> str:
    if len(one.best) == 1 and one.values:
        return f"{', '.join('NaN' if value is None else f'{value:.6g}' for value in one.values)} (trial {one.best[0]})"
    return f"{len(one.best)} trade-offs" if len(one.best) > 1 else ""


def traces(found: TracePage) -> object:
    """Traces, one a line, and how to go on."""
    rows = [
        {
            "id": one.id,
            "name": one.name,
            "state": one.state,
            "took": _took(one.milliseconds),
            "asked": _short(one.request or "", _ASKED),
            "experiment": one.experiment,
            "began": f"{one.started:%Y-%m-%d %H:%M}",
        }
        for one in found.traces
    ]
    return {"traces": rows, "next page": f"--after {found.next}"} if found.next else rows


def trace(one: Trace) -> dict[str, object]:
    """A trace with its spans as a tree; what each of them said is in the JSON."""
    return {
        "id": one.id,
        "name": one.name,
        "experiment": one.experiment,
        "run": one.run or None,
        "state": one.state,
        "began": one.started,
        "took": _took(one.milliseconds),
        "asked": one.request,
        "answered": one.response,
        "tags": some(one.tags) or None,
        "spans": _tree(one.spans),
    }


def _tree(spans: Sequence[Span]) -> list[dict[str, object]]:
    """Spans by their time, each as far in as it stands below its root."""
    known = {span.id: span for span in spans}

    def depth(span: Span) -> int:
        seen: set[str] = set()
        while span.parent in known and span.id not in seen:
            seen.add(span.id)
            span = known[span.parent]
        return len(seen)

    return [
        {
            "span": f"{'· ' * depth(span)}{span.name}",
            "took": _took((span.ended - span.started) / 1e6),
            "status": span.status,
            "message": _short(span.message, _ASKED),
        }
        for span in sorted(spans, key=lambda each: each.started)
    ]


def _took(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.4g} ms"


def versions(found: Sequence[ModelVersion]) -> list[dict[str, object]]:
    """Versions, one a line."""
    return [
        {
            "version": f"{one.model}@{one.version}",
            "flavor": one.trained.flavor,
            "stage": "" if one.stage == "None" else one.stage,
            "metrics": some({key: value for key, value in one.trained.metrics.items() if "[" not in key}),
            "author": one.author,
            "registered": f"{one.created:%Y-%m-%d %H:%M}",
            "digest": one.trained.digest,
            "run": one.run,
        }
        for one in found
    ]


def version_page(found: VersionPage) -> object:
    """The same, and how to go on."""
    rows = versions(found.versions)
    return {"versions": rows, "next page": f"--cursor {found.cursor}"} if found.cursor else rows


def model_page(found: ModelPage) -> object:
    """Models, one a line, and how to go on."""
    return {"models": found.models, "next page": f"--cursor {found.cursor}"} if found.cursor else found.models


def webhooks(found: Sequence[Webhook]) -> list[dict[str, object]]:
    """Webhooks, one a line."""
    return [
        {"id": one.id, "name": one.name, "active": one.active, "events": one.events, "url": one.url} for one in found
    ]


def some(values: Mapping[str, object]) -> str:
    """The first few of some values, each short: `auc 0.91, depth 6, … 12 more`."""
    told = [f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()]
    short = [_short(text, _WIDEST) for text in told[:_SHOWN]]
    return ", ".join([*short, f"… {len(told) - _SHOWN} more"] if len(told) > _SHOWN else short)


def _short(text: str, most: int) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= most else f"{one_line[: most - 1]}…"


TOLD: Mapping[str, Callable[[Any], object]] = {
    "runs.search": runs,
    "runs.page": run_page,
    "runs.table": runs_table,
    "runs.compare": comparison,
    "runs.charts": charts,
    "experiments.list": experiments,
    "sweeps.list": sweeps,
    "sweeps.get": sweep,
    "sweeps.create": sweep,
    "sweeps.resume": sweep,
    "sweeps.stop": sweep,
    "sweeps.trials": trials,
    "sweeps.best": trials,
    "traces.search": traces,
    "traces.get": trace,
    "models.versions": versions,
    "models.search": model_page,
    "models.search_versions": version_page,
    "webhooks.list": webhooks,
}
"""What is told of the answers of these use cases."""
