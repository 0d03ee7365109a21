"""Driving a sweep: its workers are started, watched and replaced, and what came of it is written down."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from pathlib import Path

import msgspec
import optuna

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, StepFailed
from everloop.kernel.progress import SILENT, Progress
from everloop.pipelines import lease
from everloop.pipelines.executor import Executor, ExecutorOpener, StepCall, StepOutcome
from everloop.pipelines.sweeps import reading, rows
from everloop.pipelines.sweeps.entities import SweepDefinition, SweepEnded, SweepStarted, SweepStatus
from everloop.pipelines.sweeps.known import KILLED
from everloop.pipelines.sweeps.objective import Objective
from everloop.pipelines.sweeps.pareto import best
from everloop.pipelines.sweeps.storage import OptunaStorage
from everloop.pipelines.sweeps.worker import WORKER, Worker, work
from everloop.tracking import runs
from everloop.tracking import service as tracking
from everloop.tracking.code import revision_of
from everloop.tracking.entities import CodeRevision, Logged, MetricPoint, RunStatus
from everloop.tracking.environment import capture
from everloop.tracking.writes import write

_WATCH = 0.25
_MOST_DEATHS = 5
"""So many workers may die one after another without a trial being ended."""


def drive(session: Session, name: str, objective: Objective | None = None, progress: Progress = SILENT) -> None:
    """Drive a sweep until its budget is used, or somebody stops it; one that was killed goes on where it was.

    Raises:
        Conflict: another process drives it.
        StepFailed: its objective fails.
    """
    if WORKER in os.environ:
        raise Conflict(
            "A worker of a sweep imported a file that starts a sweep.",
            hint='Put it below `if __name__ == "__main__":`.',
        )
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # Its errors are ours, and told by us.
    with lease.held(session.home, session.new_id()) as held:
        row = _begin(session, name, held)
        storage = OptunaStorage(session)
        definition = row.defined or SweepDefinition("", "")
        storage.settle(row.number, definition.retries)
        try:
            with _told(storage, row, definition, progress) as tell:
                if definition.workers == 1 and definition.executor == "local":
                    Worker(session, name, objective).run()
                else:
                    _work(session, row, definition, storage, tell)
        except BaseException as error:
            _end(session, row, "failed" if isinstance(error, Exception) else "killed", str(error))
            raise
        _end(session, row, "finished")


def _begin(session: Session, name: str, held: str) -> rows.SweepRow:
    """Take a sweep over, with its run: begun, or going on."""
    code = revision_of(Path.cwd(), session.store)
    with session.begin() as unit:
        row = rows.named(unit, name)
        if row.defined is None:
            raise Conflict(f"{name} is a study of Optuna's own.", hint="Go on with it by optuna.load_study(…).")
        if row.status in ("running", "stopping") and not lease.is_abandoned(session.home, row.lease):
            raise Conflict(f"Sweep {name} is being driven by another process.", hint="Stop it first.")
        if row.run:
            tracking.resume(unit, row.run)
            run = row.run
        else:
            run = _run(unit, row, code)
        rows.change(unit, row.number, status="running", lease=held, run=run, error="", ended=None)
        unit.emit(
            SweepStarted(subject=unit.urn("sweep", name), target=row.defined.target, run=run, resumed=bool(row.run))
        )
        return msgspec.structs.replace(row, run=run, lease=held, status="running")


def _run(unit: Session, row: rows.SweepRow, code: CodeRevision) -> str:
    definition = row.defined or SweepDefinition("", "")
    group = row.name[:128]
    more = msgspec.structs.replace(tracking.ELSEWHERE, group=group, environment=capture())
    run = tracking.begin(unit, row.experiment, row.name, code, more=more)
    texts = {
        "target": definition.target,
        "sampler": definition.search.sampler,
        "pruner": definition.search.pruner,
        "seed": str(definition.search.seed),
        **{f"space.{name}": msgspec.json.encode(kind).decode() for name, kind in definition.space.items()},
    }
    write(unit, Logged(run.id, None, texts, {"sweep": row.name}))
    return run.id


def _work(
    session: Session,
    row: rows.SweepRow,
    definition: SweepDefinition,
    storage: OptunaStorage,
    tell: Callable[[], int],
) -> None:
    """Have workers run the trials; one that dies is replaced, and its trial settled at once."""
    opener = session.ports.get(ExecutorOpener)
    shared = definition.executor not in ("processes", "local")
    kind = definition.executor if shared else "processes"
    count = 1 if shared else definition.workers
    executors = [opener(kind, definition.workers if shared else 1) for _ in range(count)]
    call = _call(session, row, definition)
    waiting = {_submitted(executors, place, call): place for place in range(definition.workers)}
    deaths, ended = 0, tell()
    try:
        while waiting:
            done, _ = wait(waiting, timeout=_WATCH, return_when=FIRST_COMPLETED)
            now_ended = tell()
            deaths, ended = (deaths if now_ended == ended else 0), now_ended
            for future in done:
                place = waiting.pop(future)
                if not isinstance(future.exception(), StepFailed):
                    _check(future.result())
                    continue
                deaths += 1
                storage.settle(row.number, definition.retries)
                if deaths >= _MOST_DEATHS:
                    raise StepFailed(f"{deaths} workers of sweep {row.name} died one after another.") from None
                waiting[_submitted(executors, place, call)] = place
    except BaseException:
        _stop(session, row)
        raise
    finally:
        for executor in executors:
            executor.close()


def _call(session: Session, row: rows.SweepRow, definition: SweepDefinition) -> StepCall:
    threads = max(1, (os.cpu_count() or 1) // definition.workers)
    return StepCall(
        name=f"worker of sweep {row.name}",
        target=work.target,
        folder=Path(definition.folder),
        function=work.function,
        arguments={"name": row.name, "threads": threads},
        run=row.run,
        seed=definition.search.seed,
        session=session,
    )


def _submitted(executors: list[Executor], place: int, call: StepCall) -> Future[StepOutcome]:
    return executors[place % len(executors)].submit(call)


def _check(outcome: StepOutcome) -> None:
    if outcome.error:
        raise StepFailed(outcome.error.removeprefix("StepFailed: "), hint=outcome.hint)


def _stop(session: Session, row: rows.SweepRow) -> None:
    """Have the other workers stop after the trials that they run."""
    with session.begin() as unit:
        rows.change(unit, row.number, status="stopping")


@contextmanager
def _told(
    storage: OptunaStorage, row: rows.SweepRow, definition: SweepDefinition, progress: Progress
) -> Iterator[Callable[[], int]]:
    """Something that tells how many trials have ended, and gives how many of them by themselves."""

    def tell() -> int:
        trials = storage.get_all_trials(row.number, deepcopy=False)
        ended = sum(trial.state.is_finished() for trial in trials)
        finest = best(trials, reading.directions_of(row))
        said = f", best {finest[0].values[0]:.6g}" if finest and finest[0].values else ""
        progress.advance(ended, definition.budget.trials or None, f"{row.name}{said}", "trials")
        return sum(trial.state.is_finished() and KILLED not in trial.system_attrs for trial in trials)

    began = time.perf_counter()
    yield tell
    if time.perf_counter() - began > _WATCH:
        tell()


def _end(session: Session, row: rows.SweepRow, status: SweepStatus, error: str = "") -> None:
    """Write down what came of a sweep, and note its best trials on its run."""
    with session.begin() as unit:
        if rows.by_number(unit, row.number) is None:
            return  # It was deleted meanwhile.
        known = reading.known_of(unit, row)
        finest = best(known.trials, reading.directions_of(row))
        numbers = tuple(trial.number for trial in finest)
        rows.change(unit, row.number, status=status, error=error[:2_000], ended=unit.clock.now())
        unit.emit(
            SweepEnded(
                subject=unit.urn("sweep", row.name), status=status, trials=len(known.trials), best=numbers, error=error
            )
        )
        if runs.row_of(unit, row.run).status != "running":
            return
        if finest:
            _note(unit, row, [(trial, known.asides[trial.number].run) for trial in finest])
        tracking.finish(unit, row.run, _ENDS[status])


def _note(unit: Session, row: rows.SweepRow, finest: list[tuple[optuna.trial.FrozenTrial, str]]) -> None:
    trial, run = finest[0]
    objectives = (row.defined or SweepDefinition("", "")).objectives
    tags = {"sweep.best": ",".join(str(trial.number) for trial, _ in finest)[:500], "sweep.best_run": run}
    points: tuple[MetricPoint, ...] = ()
    if len(finest) == 1 and len(row.directions) == 1:
        now = unit.clock.now()
        points = tuple(
            MetricPoint(f"best.{key}", value, trial.number, now)
            for key, value in zip(objectives, trial.values or (), strict=False)
        )
    tracking.log(unit, row.run, points, tags=tags)
    lines = [f"| {name} | {value} |" for name, value in trial.params.items()]
    values = ", ".join(f"{value:.6g}" for value in trial.values or ())
    text = "\n".join([f"Best trial: {trial.number}, {values}", "", "| parameter | value |", "|---|---|", *lines])
    tracking.describe(unit, row.run, text)


_ENDS: dict[str, RunStatus] = {"finished": "finished", "failed": "failed", "killed": "killed"}
