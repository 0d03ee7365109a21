"""The runs of trials: each trial that runs is a run, a child of its sweep's, written with it in one transaction."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from everloop.catalog.lineage import link
from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.kernel.ids import NAME_PATTERN
from everloop.pipelines.sweeps import rows
from everloop.pipelines.sweeps.known import ERROR, KILLED, Aside
from everloop.tracking import experiments, runs, service
from everloop.tracking.code import revision_of
from everloop.tracking.entities import CodeRevision, Logged, MetricPoint, Run, RunStatus
from everloop.tracking.environment import capture
from everloop.tracking.points import points_of
from everloop.tracking.writes import write

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

REPORTED = "reported"
"""The metric of what a trial reports by step."""


@dataclass(frozen=True)
class Family:
    """What the runs of a sweep's trials share."""

    experiment: str
    parent: str
    group: str
    code: CodeRevision
    environment: str
    objectives: tuple[str, ...]


def family_of(session: Session, row: rows.SweepRow) -> Family:
    """What the runs of a sweep's trials share: the code and the environment of its run, or else of this process."""
    defined = row.defined
    count = len(row.directions)
    objectives = defined.objectives if defined else tuple(_numbered(count))
    if row.run:
        parent = runs.row_of(session, row.run)
        return Family(row.experiment, row.run, parent.group, parent.code, parent.environment, objectives)
    if experiments.first(session, row.experiment) is None:
        service.create_experiment(session, row.experiment)
    environment = service.keep_environment(session, capture())
    return Family(row.experiment, "", row.name[:128], revision_of(session.home, session.store), environment, objectives)


def experiment_named(study: str) -> str:
    """The experiment that the runs of a study of this name belong to."""
    if re.fullmatch(NAME_PATTERN, study):
        return study
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", study).strip("-.")[:100] or "studies"


def begin(session: Session, family: Family, trial: FrozenTrial) -> str:
    """A run for a trial that begins; its id."""
    id = session.new_id()
    name = f"trial {trial.number}"
    run = Run(
        id,
        family.experiment,
        name,
        "running",
        {},
        {"sweep.trial": str(trial.number)},
        {},
        (),
        family.code,
        family.environment,
        session.clock.now(),
        parent=family.parent,
        user=session.principal,
        group=family.group,
    )
    runs.add(session, run, family.code.revision)
    if family.parent:
        link(session, session.urn("run", id), session.urn("run", family.parent), "tried_by")
    return id


def tell(session: Session, family: Family, trial: FrozenTrial, aside: Aside) -> None:
    """Log to a trial's run what it does not have yet; when the trial has ended, its values too, and end the run."""
    now = session.clock.now()
    reported = list(trial.intermediate_values.items())
    points = [MetricPoint(REPORTED, value, step, now) for step, value in reported[aside.told :]]
    ended = trial.state.is_finished()
    tags: dict[str, str] = {}
    if ended:
        points += [
            MetricPoint(key, value, 0, now) for key, value in zip(family.objectives, trial.values or (), strict=False)
        ]
        tags = {"sweep.state": status_of(trial)}
        if ERROR in trial.system_attrs:
            tags["error"] = str(trial.system_attrs[ERROR])[:500]
    parameters = {name: str(value) for name, value in trial.params.items()} if ended or points else {}
    if points or tags or parameters:
        columns = points_of(tuple(points), micros(now)) if points else None
        write(session, Logged(aside.run, columns, parameters, tags))
    aside.told = len(reported)
    if ended and runs.row_of(session, aside.run).status == "running":
        runs.end(session, aside.run, _ENDS[status_of(trial)], now)


def status_of(trial: FrozenTrial) -> str:
    """The status of a trial, as we name it."""
    name = trial.state.name
    if name == "FAIL":
        return "killed" if KILLED in trial.system_attrs else "failed"
    return name.lower()


def _numbered(count: int) -> list[str]:
    return ["objective"] if count == 1 else [f"objective_{place}" for place in range(count)]


_ENDS: dict[str, RunStatus] = {"complete": "finished", "pruned": "finished", "failed": "failed", "killed": "killed"}
