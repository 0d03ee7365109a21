"""A worker of a sweep: it runs trial after trial, until the sweep's budget is used or somebody stops it."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import optuna
from optuna.exceptions import TrialPruned
from optuna.trial import TrialState

from everloop.catalog.session import Session, active_session
from everloop.kernel.errors import EverloopError, StepFailed
from everloop.pipelines import lease
from everloop.pipelines.declare import step
from everloop.pipelines.executor import place_of
from everloop.pipelines.sweeps import objective as objectives
from everloop.pipelines.sweeps import rows, searching
from everloop.pipelines.sweeps.beating import BEAT, beating
from everloop.pipelines.sweeps.budget import is_spent
from everloop.pipelines.sweeps.entities import SweepDefinition
from everloop.pipelines.sweeps.known import ERROR, KILLED, Exhausted
from everloop.pipelines.sweeps.recorder import TrialRecorder
from everloop.pipelines.sweeps.storage import OptunaStorage
from everloop.tracking.active import activated

if TYPE_CHECKING:
    from everloop.pipelines.sweeps.objective import Objective

WORKER = "EVERLOOP_SWEEP_WORKER"
"""Set in the processes of workers."""
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)


@step(remember=False)
def work(name: str, threads: int) -> int:
    """Be a worker of a sweep in this process, with so many threads; how many trials it ran."""
    os.environ |= dict.fromkeys(_THREADS, str(threads)) | {WORKER: name}
    limits = sys.modules.get("threadpoolctl")
    if limits is not None:
        limits.threadpool_limits(threads)
    return Worker(active_session(), name).run()


class Worker:
    """Runs trials of a sweep in this process."""

    def __init__(self, session: Session, name: str, objective: Objective | None = None) -> None:
        self._session = Session(session.resources, session.principal, session.project)
        self._storage = OptunaStorage(self._session)
        with self._session.begin(write=False) as unit:
            row = rows.named(unit, name)
        self._number = row.number
        self._driver = row.lease
        self.definition = row.defined or SweepDefinition("", "")
        self._objective = objective or objectives.found(self.definition)
        self._storage.limits[row.number] = self.definition.budget.trials
        definition = self.definition
        constraints = objectives.constraints_of(definition)
        self.study = optuna.load_study(
            study_name=name,
            storage=self._storage,
            sampler=searching.sampler_of(
                definition.search,
                definition.space,
                len(row.directions),
                constraints,  # type: ignore[arg-type]  # the user's function
            ),
            pruner=searching.pruner_of(definition.search),
        )
        self.study._thread_local.in_optimize_loop = True  # Samplers that have tried everything stop the study.
        self._failures = 0

    def run(self) -> int:
        """Run trials until there is nothing more to do; how many.

        Raises:
            StepFailed: too many in a row failed.
        """
        done = 0
        with beating(partial(self._storage.beat, self._number), BEAT):
            while not self._is_over():
                try:
                    trial = self.study.ask()
                except Exhausted:
                    break
                self._try(trial)
                done += 1
        self._storage.flush()
        return done

    def _is_over(self) -> bool:
        if self.study._stop_flag:
            return True
        with self._session.begin(write=False) as unit:
            row = rows.by_number(unit, self._number)
        if row is None or row.status != "running" or lease.is_abandoned(self._session.home, row.lease):
            return True
        trials = self._storage.get_all_trials(self._number, deepcopy=False)
        return is_spent(trials, self.definition, self.study.directions, self._session.clock.now())

    def _try(self, trial: optuna.Trial) -> None:
        recorder = TrialRecorder(self._session, self._storage.run_of(trial._trial_id))
        try:
            with activated(recorder), self._session.activate():
                values = objectives.called(self._session, self._objective, self.definition, trial)
        except TrialPruned:
            recorder.flush()
            self.study.tell(trial, state=TrialState.PRUNED)
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything
            recorder.flush()
            self._failed(trial, error)
            return
        except BaseException:
            self._end_badly(trial, KILLED, True)
            raise
        else:
            recorder.flush()
            self.study.tell(trial, values)
        self._failures = 0

    def _failed(self, trial: optuna.Trial, error: Exception) -> None:
        told = str(error) if isinstance(error, EverloopError) else f"{type(error).__name__}: {error}"
        self._end_badly(trial, ERROR, told[:2_000])
        self._failures += 1
        most = self.definition.budget.failures
        if most and self._failures >= most:
            raise StepFailed(
                f"{self._failures} trials in a row failed, the last, {trial.number}, at {place_of(error)}: {told}",
                hint="Mend the objective and resume the sweep, or let more fail: failures=0.",
            ) from error

    def _end_badly(self, trial: optuna.Trial, attribute: str, value: object) -> None:
        self._storage.set_trial_system_attr(trial._trial_id, attribute, value)
        self.study.tell(trial, state=TrialState.FAIL)
