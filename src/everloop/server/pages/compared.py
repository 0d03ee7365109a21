"""Runs side by side: what differs, their charts over each other, and what their parameters have to do with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from everloop.kernel.errors import InvalidInput
from everloop.server.pages import plots
from everloop.server.pages.plots import Plot
from everloop.server.pages.site import Page, Visit
from everloop.server.pages.words import plain
from everloop.tracking.comparison import Aspect, Comparison
from everloop.tracking.entities import Run

MOST = 50
AXES = 14
"""So many parameters and metrics at most stand side by side in the picture of all runs."""
_OFFERED = 50
_ASPECTS: Mapping[Aspect, str] = {
    "parameter": "Parameters",
    "metric": "Metrics",
    "attribute": "Runs",
    "data": "Data",
    "code": "Code",
    "tag": "Tags",
    "environment": "Environment",
    "package": "Packages",
}


class Line(msgspec.Struct, frozen=True):
    """Something that differs: what each run has, None where it has none."""

    key: str
    values: Sequence[str | None]


class ComparePage(msgspec.Struct, frozen=True):
    """Runs side by side; or, where fewer than two are named, runs to choose from.

    `values` are the parameters and metrics in which they differ, as the script wants them.
    """

    runs: Sequence[Run]
    aspects: Sequence[tuple[str, Sequence[Line]]]
    same: int
    code: Sequence[tuple[Run, str]]
    plots: Sequence[Plot]
    values: str
    metrics: Sequence[str]
    experiment: str
    offered: Sequence[Run]


def compare(visit: Visit) -> Page:
    """The runs that the address names, each as `run=`."""
    ids = list(dict.fromkeys(id for id in visit.each("run") if id))
    if len(ids) < 2:
        offered = visit.ask("runs.search", limit=_OFFERED)
        return Page("compare.html", "Compare runs", ComparePage([], [], 0, [], [], "", [], "", offered))
    if len(ids) > MOST:
        raise InvalidInput(f"{len(ids)} runs are too many to look at.", hint=f"Choose two to {MOST} of them.")
    compared: Comparison = visit.ask("runs.compare", ids=tuple(ids), equal=True)
    runs: list[Run] = [visit.ask("runs.get", id=id) for id in compared.runs]
    experiments = {run.experiment for run in runs}
    it = ComparePage(
        runs=runs,
        aspects=list(_aspects(compared).items()),
        same=sum(each.equal for each in compared.differences),
        code=[(run, text) for run, text in zip(runs[1:], compared.code, strict=True) if text],
        plots=plots.of_runs(runs),
        values=msgspec.json.encode(_values(runs)).decode(),
        metrics=_metrics(runs),
        experiment=experiments.pop() if len(experiments) == 1 else "",
        offered=[],
    )
    return Page("compare.html", f"{len(runs)} runs side by side", it)


def _aspects(compared: Comparison) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for aspect, title in _ASPECTS.items():
        lines = [
            Line(each.key, [None if value is None else plain(value) for value in each.values])
            for each in compared.differences
            if each.aspect == aspect and not each.equal
        ]
        if lines:
            found[title] = lines
    return found


def _values(runs: Sequence[Run]) -> dict[str, object]:
    """Columns of what differs, parameters before metrics: numbers where all that a run has are numbers."""
    columns: dict[str, Sequence[float | str | None]] = {}
    for key in sorted({key for run in runs for key in run.parameters}):
        texts = [run.parameters.get(key) for run in runs]
        if _differ(texts):
            columns[key] = _numbers(texts) or texts
    measured: dict[str, Sequence[float | str | None]] = {}
    for key in _metrics(runs):
        values = [_finite(run.metrics.get(key)) for run in runs]
        if _differ(values):
            measured[f"{key} (metric)" if key in columns else key] = values
    few = dict(list(columns.items())[: AXES - min(len(measured), AXES // 2)])
    few |= dict(list(measured.items())[: AXES - len(few)])
    return {"names": [run.name for run in runs], "ids": [run.id for run in runs], "columns": few}


def _metrics(runs: Sequence[Run]) -> list[str]:
    """The metrics that training code logged, without those of slices and of the machine."""
    return sorted({key for run in runs for key in run.metrics if "[" not in key and not key.startswith(plots.SYSTEM)})


def _differ(values: Sequence[object]) -> bool:
    return len({value for value in values if value is not None}) > 1


def _numbers(texts: Sequence[str | None]) -> list[float | None]:
    """Texts as numbers; nothing where one is none."""
    try:
        return [None if text is None else _finite(float(text)) for text in texts]
    except ValueError:
        return []


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
