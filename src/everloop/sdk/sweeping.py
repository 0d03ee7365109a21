"""`everloop.sweep(…)` tries many parameters of an objective; `everloop.optuna_storage()` keeps studies of Optuna's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from everloop.catalog.session import Session, active_session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.usecase import Json
from everloop.pipelines.sweeps import service
from everloop.pipelines.sweeps.entities import (
    Budget,
    Direction,
    Search,
    Space,
    Sweep,
    SweepDefinition,
)

if TYPE_CHECKING:
    from everloop.pipelines.sweeps.storage import OptunaStorage
    from everloop.sdk.platform import Everloop


def sweep(
    objective: Callable[..., object],
    space: Mapping[str, Space] | None = None,
    *,
    name: str = "",
    trials: int = 0,
    seconds: float = 0.0,
    patience: int = 0,
    failures: int = 3,
    directions: Direction | Sequence[Direction] = "minimize",
    objectives: Sequence[str] = (),
    sampler: str = "tpe",
    sampler_options: Mapping[str, Json] | None = None,
    pruner: str = "none",
    pruner_options: Mapping[str, Json] | None = None,
    seed: int = 0,
    workers: int = 1,
    executor: str = "local",
    retries: int = 0,
    arguments: Mapping[str, Json] | None = None,
    constraints: Callable[..., object] | None = None,
    enqueue: Sequence[Mapping[str, Json]] = (),
    warm_start: Sequence[str] = (),
    experiment: str = "",
    resume: bool = False,
    platform: Everloop | None = None,
) -> Sweep:
    """Search for the best parameters of a function, a step or a pipeline; the sweep as it has ended.

    With a `space` the objective takes each parameter by name; without, it takes a trial of Optuna's and asks it. It
    gives a number, one for each of the `directions`, or a mapping that holds the `objectives`. Each trial is a run.
    With several `workers` trials run in processes (`executor="ray"`: on Ray), so the objective must stand at the top
    level of a file. Without any budget it makes 100 trials. `resume=True` goes on with the sweep of that name.

    Raises:
        InvalidInput: something makes no sense; nothing has run then.
        Conflict: there is a sweep of that name, and it is not to be resumed.
        StepFailed: the objective raised several times in a row.
    """
    from everloop.pipelines.sweeps import objective as placed

    service.require_optuna()
    kinds: tuple[Direction, ...] = (directions,) if isinstance(directions, str) else tuple(directions)
    folder, target = placed.place_of(objective)
    definition = SweepDefinition(
        target=target,
        folder=folder,
        space=dict(space or {}),
        arguments=dict(arguments or {}),
        objectives=tuple(objectives) or _named(len(kinds)),
        constraints=placed.place_of(constraints)[1] if constraints is not None else "",
        search=Search(sampler, dict(sampler_options or {}), pruner, dict(pruner_options or {}), seed),
        budget=Budget(trials if trials or seconds or patience else 100, seconds, patience, failures),
        workers=workers,
        executor=executor if workers == 1 or executor != "local" else "processes",
        retries=retries,
    )
    with _session(platform) as session:
        called = name or target.rpartition(":")[2].rpartition(".")[2]
        if not (resume and _is_there(session, called)):
            known = tuple(dict(point) for point in enqueue)
            service.create(session, called, definition, kinds, experiment, known, tuple(warm_start))
        return service.drive(session, called, objective if workers == 1 and executor == "local" else None)


def optuna_storage(*, platform: Everloop | None = None, runs: bool = True, **options: Any) -> OptunaStorage:
    """A storage for `optuna.create_study(storage=…)`: its trials are kept here, and each is a run unless `runs=False`.

    `heartbeat_interval` and `stale_callback` are those of Optuna's own storages.

    Raises:
        NotFound: no platform is active, and none is handed in.
    """
    service.require_optuna()
    from everloop.pipelines.sweeps.storage import OptunaStorage

    return OptunaStorage(platform.session() if platform is not None else active_session(), runs=runs, **options)


def _named(count: int) -> tuple[str, ...]:
    return ("objective",) if count == 1 else tuple(f"objective_{place}" for place in range(count))


def _is_there(session: Session, name: str) -> bool:
    try:
        found = service.get(session, name)
    except NotFound:
        return False
    if found.definition is None:
        raise Conflict(f"{name} is a study of Optuna's own.", hint="Choose another name.")
    return True


@contextmanager
def _session(platform: Everloop | None) -> Iterator[Session]:
    """A session on the platform that is handed in, the active one, or the one of the settings."""
    if platform is not None:
        yield platform.session()
        return
    try:
        active = active_session()
    except NotFound:
        from everloop.app.platform import open_platform

        opened = open_platform()
        try:
            yield opened.session()
        finally:
            opened.close()
        return
    if active.writes:
        raise InvalidInput("A sweep cannot run inside of a transaction.", hint="Call it outside of session.begin().")
    yield Session(active.resources, active.principal, active.project)
