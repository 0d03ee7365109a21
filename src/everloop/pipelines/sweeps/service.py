"""What one can do with sweeps."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, Misconfigured
from everloop.kernel.progress import Progress
from everloop.kernel.usecase import Json, usecase
from everloop.pipelines.sweeps import rows
from everloop.pipelines.sweeps.entities import (
    Budget,
    Direction,
    Pictures,
    Sweep,
    SweepDefinition,
    SweepDeleted,
    SweepStopped,
    Trial,
    TrialStatus,
)
from everloop.tracking.importance import Importances

_MOST = 10_000


@usecase("sweeps.create", permission="pipelines:deploy", route="POST /sweeps", long=True)
def create(
    session: Session,
    name: str,
    definition: SweepDefinition,
    directions: tuple[Direction, ...] = ("minimize",),
    experiment: str = "",
    enqueue: tuple[dict[str, Json], ...] = (),
    warm_start: tuple[str, ...] = (),
) -> Sweep:
    """Keep a new sweep, checked whole; `sweeps.resume` begins it. Known points come first; earlier sweeps teach."""
    require_optuna()
    from everloop.pipelines.sweeps import making

    row = making.make(session, name, definition, directions, experiment)
    try:
        making.warm(session, row, warm_start)
        making.enqueue(session, row, enqueue)
    except BaseException:
        with session.begin() as unit:
            rows.remove(unit, row.number)
        raise
    return get(session, name)


@usecase("sweeps.resume", permission="pipelines:run", route="POST /sweeps/{name}/resume", long=True)
def resume(session: Session, name: str, trials: int = 0, seconds: float = 0.0) -> Sweep:
    """Drive a sweep until its budget is used: it begins, or goes on where it was. `trials` and `seconds` add to that.

    Trials whose process was killed are failed, and tried again if the sweep says so.
    """
    require_optuna()
    if trials or seconds:
        _extend(session, name, trials, seconds)
    return drive(session, name)


@usecase("sweeps.list", permission="pipelines:read", route="GET /sweeps")
def list_sweeps(session: Session) -> list[Sweep]:
    """Every sweep, the newest first, with those studies of Optuna's that are kept here."""
    require_optuna()
    from everloop.pipelines.sweeps import reading

    with session.begin(write=False) as unit:
        return [reading.sweep_of(unit, row) for row in rows.every(unit)]


@usecase("sweeps.get", permission="pipelines:read", route="GET /sweeps/{name}")
def get(session: Session, name: str) -> Sweep:
    """One sweep: how far it is, and its best trials."""
    require_optuna()
    from everloop.pipelines.sweeps import reading

    with session.begin(write=False) as unit:
        return reading.sweep_of(unit, rows.named(unit, name))


@usecase("sweeps.trials", permission="pipelines:read", route="GET /sweeps/{name}/trials")
def trials(session: Session, name: str, status: TrialStatus | None = None, limit: int = 1_000) -> list[Trial]:
    """The trials of a sweep by number, those of one status or all."""
    require_optuna()
    from everloop.pipelines.sweeps import reading

    with session.begin(write=False) as unit:
        known = reading.known_of(unit, rows.named(unit, name))
    shown = reading.trials_of(known.trials, known.asides)
    found = [trial for trial in shown if status is None or trial.status == status]
    return found[: max(0, min(limit, _MOST))]


@usecase("sweeps.best", permission="pipelines:read", route="GET /sweeps/{name}/best")
def best(session: Session, name: str) -> list[Trial]:
    """The best trial; with several objectives the Pareto front: those that no other is better than in all of them."""
    require_optuna()
    from everloop.pipelines.sweeps import pareto, reading

    with session.begin(write=False) as unit:
        row = rows.named(unit, name)
        known = reading.known_of(unit, row)
    return reading.trials_of(pareto.best(known.trials, reading.directions_of(row)), known.asides)


@usecase("sweeps.importance", permission="pipelines:read", route="GET /sweeps/{name}/importance")
def importance(session: Session, name: str, objective: int = 0) -> Importances:
    """Which parameters explain an objective (the first is 0), the most important first."""
    require_optuna()
    from everloop.pipelines.sweeps import pictures as drawn
    from everloop.pipelines.sweeps import reading

    with session.begin(write=False) as unit:
        row = rows.named(unit, name)
        return drawn.explained(reading.known_of(unit, row), max(0, min(objective, len(row.directions) - 1)))


@usecase("sweeps.pictures", permission="pipelines:read", route="GET /sweeps/{name}/pictures")
def pictures(session: Session, name: str) -> Pictures:
    """What is drawn of a sweep, as data: history, parallel coordinates, importance, Pareto front."""
    require_optuna()
    from everloop.pipelines.sweeps import pictures as drawn

    with session.begin(write=False) as unit:
        return drawn.pictures(unit, rows.named(unit, name))


@usecase("sweeps.stop", permission="pipelines:run", route="POST /sweeps/{name}/stop")
def stop(session: Session, name: str) -> Sweep:
    """Have a sweep end as soon as the trials have that run now; it can be resumed."""
    row = rows.named(session, name)
    if row.status == "running":
        rows.change(session, row.number, status="stopping")
        session.emit(SweepStopped(subject=session.urn("sweep", name)))
    return get(session, name)


@usecase("sweeps.delete", permission="pipelines:deploy", route="DELETE /sweeps/{name}")
def delete(session: Session, name: str) -> None:
    """Delete a sweep with its trials; their runs stay."""
    require_optuna()
    from everloop.pipelines.sweeps import reading

    row = rows.named(session, name)
    if reading.status_of(session, row) in ("running", "stopping"):
        raise Conflict(f"Sweep {name} is running.", hint="Stop it first.")
    rows.remove(session, row.number)
    session.emit(SweepDeleted(subject=session.urn("sweep", name)))


def drive(session: Session, name: str, objective: Callable[..., object] | None = None) -> Sweep:
    """Drive a sweep in this process and those of its workers; with the objective itself where it has no file."""
    from everloop.pipelines.sweeps import driving

    driving.drive(session, name, objective, session.ports.get(Progress))
    return get(session, name)


def _extend(session: Session, name: str, more: int, seconds: float) -> None:
    from everloop.pipelines.sweeps import making

    making.check_budget(Budget(more, seconds))
    with session.begin() as unit:
        row = rows.named(unit, name)
        definition = row.defined
        if definition is None:
            return
        budget = definition.budget
        budget = msgspec.structs.replace(
            budget,
            trials=budget.trials + more if budget.trials else 0,
            seconds=budget.seconds + seconds if budget.seconds else 0.0,
        )
        making.check_budget(budget)
        text = msgspec.json.encode(msgspec.structs.replace(definition, budget=budget)).decode()
        rows.change(unit, row.number, definition=text)


def require_optuna() -> None:
    """Refuse politely where Optuna is missing.

    Raises:
        Misconfigured: it is.
    """
    if find_spec("optuna") is None:
        raise Misconfigured("Sweeps need Optuna, which is not installed.", hint="pip install 'everloop[sweeps]'")
