"""Sweeps: the list, and one with its trials, its history, and what its trials reported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeGuard

import msgspec
from markupsafe import Markup

from everloop.governance.roles import allows
from everloop.kernel.errors import Misconfigured
from everloop.pipelines.sweeps.entities import Sweep, Trial, TrialStatus
from everloop.server.pages.charts import Chart, Point, Series, line_chart
from everloop.server.pages.site import Page, Visit
from everloop.server.pages.words import number, plain

SHOWN = 200
"""So many trials stand in the table, the best or the newest ones."""
LINES = 400
"""So many of the newest trials are lines in the picture of parameters, and in that of what they reported."""
STEPS = 100
_TONES = {"pruned": "pruned", "one": "a trial", "chosen": "the best"}
_STATUSES: Sequence[TrialStatus] = ("running", "waiting", "complete", "pruned", "failed", "killed")


class Listed(msgspec.Struct, frozen=True):
    """A sweep in the list, with how many of its trials have ended in which way."""

    sweep: Sweep
    counts: Sequence[tuple[TrialStatus, int]]


class SweepsPage(msgspec.Struct, frozen=True):
    """Every sweep; `problem` says why there are none to see."""

    listed: Sequence[Listed]
    problem: str = ""
    hint: str = ""


class Row(msgspec.Struct, frozen=True):
    """A trial in the table; `values` has a text for each objective."""

    trial: Trial
    parameters: Sequence[str]
    values: Sequence[str]
    is_best: bool
    note: str


class SweepPage(msgspec.Struct, frozen=True):
    """A sweep. `values` are the trials as the script wants them; `order` is what the table is ordered by.

    `parameters` tells of each whether its values are numbers.
    """

    sweep: Sweep
    urn: str
    counts: Sequence[tuple[TrialStatus, int]]
    budget: int
    done: int
    best: Sequence[Trial]
    objectives: Sequence[str]
    history: Markup | None
    front: Markup | None
    reported: Markup | None
    complete: int
    values: str
    parameters: Mapping[str, bool]
    rows: Sequence[Row]
    total: int
    order: str
    may_run: bool


def sweeps(visit: Visit) -> Page:
    """The list of sweeps."""
    try:
        found: list[Sweep] = visit.ask("sweeps.list")
    except Misconfigured as error:  # Optuna is an extra; the page says how to get it.
        return Page("sweeps.html", "Sweeps", SweepsPage([], error.message, error.hint))
    return Page("sweeps.html", "Sweeps", SweepsPage([Listed(each, _counts(each)) for each in found]))


def sweep(visit: Visit) -> Page:
    """A sweep; `?order=number` shows the newest trials first instead of the best."""
    name = visit.path["name"]
    found: Sweep = visit.ask("sweeps.get", name=name)
    trials: list[Trial] = visit.ask("sweeps.trials", name=name, limit=10_000)
    complete = [trial for trial in trials if trial.status == "complete" and None not in trial.values]
    objectives = _objectives(found)
    parameters = list(dict.fromkeys(key for trial in trials for key in trial.parameters))
    order = "number" if visit.query.get("order") == "number" or len(found.directions) > 1 else "value"
    it = SweepPage(
        sweep=found,
        urn=f"run:{visit.project}/{found.run}" if found.run else "",
        counts=_counts(found),
        budget=found.definition.budget.trials if found.definition else 0,
        done=sum(count for status, count in found.counts.items() if status not in ("running", "waiting")),
        best=[trial for trial in trials if trial.number in found.best],
        objectives=objectives,
        history=_history(found, complete, objectives[0]) if complete and len(objectives) == 1 else None,
        front=_front(found, complete, objectives) if complete and len(objectives) > 1 else None,
        reported=_reported(found, trials),
        complete=len(complete),
        values=msgspec.json.encode(_values(complete[-LINES:], parameters, objectives)).decode(),
        parameters={key: all(_is_number(trial.parameters.get(key)) for trial in trials) for key in parameters},
        rows=[_row(trial, found, parameters) for trial in _ordered(trials, found, order)[:SHOWN]],
        total=len(trials),
        order=order,
        may_run=allows(visit.principal.roles, "pipelines:run"),
    )
    return Page("sweep.html", f"Sweep {found.name}", it)


def _counts(sweep: Sweep) -> list[tuple[TrialStatus, int]]:
    return [(status, sweep.counts[status]) for status in _STATUSES if sweep.counts.get(status)]


def _objectives(sweep: Sweep) -> Sequence[str]:
    """What the objectives are called; those of a study of Optuna's own have numbers."""
    if sweep.definition is not None:
        return sweep.definition.objectives
    several = len(sweep.directions) > 1
    return [f"objective {place}" if several else "objective" for place in range(len(sweep.directions))]


def _history(sweep: Sweep, complete: Sequence[Trial], objective: str) -> Markup:
    """Each trial's value, and the best one so far as a line."""
    values = [(trial.number, _value(trial, 0)) for trial in complete]
    better = max if sweep.directions[0] == "maximize" else min
    best = zip(values, accumulate((value for _, value in values), better), strict=True)
    dots = [Point(at, value, f"trial {at}: {number(value)}") for at, value in values]
    line = [Point(at, value, f"the best at {at}: {number(value)}") for (at, _), value in best]
    ticks = [(float(at), f"trial {at}") for at in sorted({values[0][0], values[-1][0]})]
    series = [Series("best so far", line), Series("a trial", dots, faint=True)]
    return line_chart(Chart(title=objective, series=series, ticks=ticks))


def _front(sweep: Sweep, complete: Sequence[Trial], objectives: Sequence[str]) -> Markup:
    """The first two objectives against each other; those trials that no other beats are a line."""

    def points(some: Sequence[Trial]) -> list[Point]:
        told = [(each, f"trial {each.number}: {', '.join(map(number, each.values))}") for each in some]
        return sorted((Point(_value(each, 0), _value(each, 1), text) for each, text in told), key=lambda each: each.x)

    finest = points([trial for trial in complete if trial.number in sweep.best])
    others = points([trial for trial in complete if trial.number not in sweep.best])
    reach = [_value(trial, 0) for trial in complete]
    ticks = [(x, f"{objectives[0]} {number(x)}") for x in sorted({min(reach), max(reach)})]
    series = [Series("best trade-offs", finest), Series("a trial", others, faint=True)]
    return line_chart(Chart(title=f"{objectives[1]} over {objectives[0]}", series=series, ticks=ticks))


def _value(trial: Trial, place: int) -> float:
    value = trial.values[place] if place < len(trial.values) else None
    return math.nan if value is None else value


def _reported(sweep: Sweep, trials: Sequence[Trial]) -> Markup | None:
    """What trials reported while they went on; the best ones in front, the pruned ones as far as they came."""
    told = [trial for trial in trials if len(trial.reported) > 1][-LINES:]
    if not told:
        return None
    tones = {trial.number: _tone(trial, sweep) for trial in told}
    told.sort(key=lambda trial: tuple(_TONES).index(tones[trial.number]))
    named: dict[str, int] = {}
    series = []
    for trial in told:
        tone = tones[trial.number]
        name = _TONES[tone] if named.setdefault(tone, trial.number) == trial.number else ""
        steps = sorted(trial.reported)[:: max(1, len(trial.reported) // STEPS)]
        points = [Point(float(step), value) for step in steps if (value := trial.reported[step]) is not None]
        series.append(Series(name, points, tone=tone, told=f"trial {trial.number}, {trial.status}"))
    across = [point.x for line in series for point in line.points]
    ticks = [(step, f"step {step:.0f}") for step in sorted({min(across), max(across)})] if across else []
    return line_chart(Chart(title="What trials reported", series=series, ticks=ticks))


def _tone(trial: Trial, sweep: Sweep) -> str:
    return "chosen" if trial.number in sweep.best else "pruned" if trial.status == "pruned" else "one"


def _values(complete: Sequence[Trial], parameters: Sequence[str], objectives: Sequence[str]) -> dict[str, object]:
    """Columns of trials, the objectives behind the parameters; only what differs tells something."""
    columns: dict[str, list[Any]] = {}
    for key in parameters:
        columns[key] = [_told(trial.parameters.get(key)) for trial in complete]
    for place, objective in enumerate(objectives):
        columns[objective] = [None if math.isnan(value := _value(trial, place)) else value for trial in complete]
    differing = {key: held for key, held in columns.items() if len({value for value in held if value is not None}) > 1}
    names = [f"trial {trial.number}" for trial in complete]
    return {"names": names, "ids": [trial.run for trial in complete], "columns": differing}


def _told(value: object) -> float | str | None:
    return value if _is_number(value) else plain(value)


def _is_number(value: object) -> TypeGuard[float | None]:
    """Whether it is one that can be drawn; what is not there does not spoil the others."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value))


def _ordered(trials: Sequence[Trial], sweep: Sweep, order: str) -> list[Trial]:
    """The newest first, or the best: then those that have no value follow, the newest first."""
    newest = sorted(trials, key=lambda trial: -trial.number)
    if order == "number":
        return newest
    sign = -1 if sweep.directions[0] == "maximize" else 1

    def rank(trial: Trial) -> tuple[bool, bool, float]:
        value = trial.values[0] if trial.values else None
        return trial.status != "complete", value is None, 0.0 if value is None else sign * value

    return sorted(newest, key=rank)


def _row(trial: Trial, sweep: Sweep, parameters: Sequence[str]) -> Row:
    cells = [plain(trial.parameters[key]) if key in trial.parameters else "" for key in parameters]
    values = [number(value) for value in trial.values] or [""] * len(sweep.directions)
    note = trial.error.strip().splitlines()[-1] if trial.error.strip() else ""
    if trial.status == "pruned" and trial.reported:
        note = f"after step {max(trial.reported)}"
    if trial.retried is not None:
        note = f"again, for trial {trial.retried}. {note}".strip()
    return Row(trial, cells, values, trial.number in sweep.best, note)
