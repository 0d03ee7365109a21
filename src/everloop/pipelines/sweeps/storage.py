"""Optuna's storage in the catalog: changes of trials are committed together, and read by what changed since."""

from __future__ import annotations

import copy
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.study import Study, StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from everloop.catalog.session import Session
from everloop.pipelines import lease
from everloop.pipelines.executor import SessionOpener
from everloop.pipelines.sweeps import rows, settling, trialruns
from everloop.pipelines.sweeps.documents import (
    SHIFT,
    attributes_document,
    attributes_in,
    document_of,
    local,
    plain,
    utc,
)
from everloop.pipelines.sweeps.known import Aside, Change, Draft, Known
from everloop.pipelines.sweeps.rows import SweepRow

GRACE = timedelta(seconds=60)
_SOON = 0.02
"""So many seconds later at the latest is written what need not be durable at once."""
StaleCallback = Callable[[Study, FrozenTrial], None]


class OptunaStorage(BaseStorage, BaseHeartbeat):
    """A storage for Optuna's studies, in the catalog of a platform, in one project.

    What begins and ends a trial is durable when the call returns; its parameters, attributes and reported values are
    within 20 ms, and with the next of those. Calls of many threads share transactions. With `runs` each trial is a run.
    """

    def __init__(
        self,
        session: Session,
        *,
        runs: bool = True,
        heartbeat_interval: int | None = None,
        stale_callback: StaleCallback | None = None,
    ) -> None:
        self._idle = Session(session.resources, session.principal, session.project)
        self._options = {"runs": runs, "heartbeat_interval": heartbeat_interval, "stale_callback": stale_callback}
        self._runs = runs
        self._interval = heartbeat_interval
        self._stale_callback = stale_callback
        self.limits: dict[int, int] = {}
        """How many trials a sweep may have, by its number."""
        self._lock = threading.RLock()
        self._queue: deque[Change] = deque()
        self._known: dict[int, Known] = {}
        self._families: dict[int, trialruns.Family] = {}
        self._soon: threading.Timer | None = None
        self._lease = ""
        self._process = 0

    def __getstate__(self) -> dict[str, Any]:
        opener = self._idle.ports.get(SessionOpener)
        return {"opened": (opener, self._idle.principal, self._idle.project), "options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        opener, principal, project = state["opened"]
        self.__init__(opener(principal, project), **state["options"])  # type: ignore[misc]  # as new, over there

    # Studies

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """A new study; its number."""
        name = f"no-name-{self._idle.new_id()}" if study_name is None else study_name
        with self._idle.begin() as unit:
            if rows.by_name(unit, name) is not None:
                raise DuplicatedStudyError(f"There is a study {name!r} already.")
            empty = attributes_document({"user": {}, "system": {}})
            at, experiment = unit.clock.now(), trialruns.experiment_named(name)
            kinds = tuple(direction.value for direction in directions)
            made = rows.add(unit, SweepRow(0, name, kinds, "study", experiment, "", at, None, "", "", "", empty))
        return made.number

    def delete_study(self, study_id: int) -> None:
        """Delete a study with its trials."""
        with self._lock, self._idle.begin() as unit:
            self._row(unit, study_id)
            rows.remove(unit, study_id)
            self._known.pop(study_id, None)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute of the user's."""
        self._set_attribute(study_id, "user", key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute of Optuna's."""
        self._set_attribute(study_id, "system", key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        """The number of a study."""
        with self._idle.begin(write=False) as unit:
            found = rows.by_name(unit, study_name)
        if found is None:
            raise KeyError(f"There is no study {study_name!r}.")
        return found.number

    def get_study_name_from_id(self, study_id: int) -> str:
        """The name of a study."""
        return self._read_row(study_id).name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Whether each objective is minimised or maximised."""
        return [StudyDirection(number) for number in self._read_row(study_id).directions]

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """The attributes of the user's."""
        return attributes_in(self._read_row(study_id).attributes)["user"]

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """The attributes of Optuna's."""
        return attributes_in(self._read_row(study_id).attributes)["system"]

    def get_all_studies(self) -> list[FrozenStudy]:
        """Every study, the oldest first."""
        with self._idle.begin(write=False) as unit:
            return [_frozen(row) for row in reversed(rows.every(unit))]

    # Trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """A new trial; its id."""
        limit = self.limits.get(study_id, 0) if template_trial is None else 0
        now = local(self._idle.clock.now())
        trial = _begun(now) if template_trial is None else copy.deepcopy(template_trial)
        number = self._now(study_id, lambda draft: draft.add(trial, limit))
        return (study_id << SHIFT) | int(str(number))

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Set a parameter."""

        def apply(draft: Draft) -> None:
            trial = draft.open(number)
            draft.check(param_name, distribution)
            trial.params = trial.params | {param_name: distribution.to_external_repr(param_value_internal)}
            trial.distributions = trial.distributions | {param_name: distribution}
            draft.put(trial)

        study, number = _split(trial_id)
        self._later(study, apply)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Move a trial to a state; whether that was done: only one process begins a trial that waits."""
        study, number = _split(trial_id)
        at = local(self._idle.clock.now())
        return bool(self._now(study, partial(_moved, number=number, state=state, values=values, at=at)))

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Set what a trial reports of a step."""

        def apply(draft: Draft) -> None:
            trial = draft.open(number)
            trial.intermediate_values = trial.intermediate_values | {step: intermediate_value}
            draft.put(trial)

        study, number = _split(trial_id)
        self._later(study, apply)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of the user's."""
        self._set_trial_attribute(trial_id, "user_attrs", key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of Optuna's."""
        self._set_trial_attribute(trial_id, "system_attrs", key, value)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """The id of a trial."""
        self._fresh(study_id).trial(trial_number)
        return (study_id << SHIFT) | trial_number

    def get_trial_number_from_id(self, trial_id: int) -> int:
        """The number of a trial."""
        return self.get_trial(trial_id).number

    def get_trial_param(self, trial_id: int, param_name: str) -> float:
        """A parameter, as Optuna counts it."""
        trial = self.get_trial(trial_id)
        return float(trial.distributions[param_name].to_internal_repr(trial.params[param_name]))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial. One that runs in this process, or has ended, is known without asking the database."""
        study, number = _split(trial_id)
        with self._lock:
            known = self._known.get(study)
            if known is not None and number < len(known.trials):
                trial, mine = known.trials[number], known.asides[number].lease
                if trial.state.is_finished() or (mine and mine == self._lease):
                    return trial
        return self._fresh(study).trial(number)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials of a study, by number."""
        with self._lock:
            wanted = None if states is None else [state for state in TrialState if state in states]
            found = self._fresh(study_id).in_states(wanted)
        return copy.deepcopy(found) if deepcopy else found

    def run_of(self, trial_id: int) -> str:
        """The id of the run of a trial that this process runs; empty if it has none."""
        study, number = _split(trial_id)
        with self._lock:
            return self._known[study].asides[number].run

    def asides(self, study_id: int) -> list[Aside]:
        """What is kept of each trial of a study besides, by number."""
        with self._lock:
            return self._fresh(study_id).asides[:]

    # Trials whose process is gone

    def record_heartbeat(self, trial_id: int) -> None:
        """Say that this process lives."""
        self.beat(trial_id >> SHIFT)

    def beat(self, study_id: int) -> None:
        """Say that this process lives, of all trials of a study that it runs."""
        with self._idle.begin() as unit:
            rows.beat(unit, study_id, self._lease, unit.clock.now())

    def get_heartbeat_interval(self) -> int | None:
        """How often Optuna's own loop says so, in seconds; None: it does not, and fails no trial of others."""
        return self._interval

    def get_heartbeat_stale_trial_callback(self) -> StaleCallback | None:
        """What Optuna's own loop calls for each trial that it failed."""
        return self._stale_callback

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        return [(study_id << SHIFT) | number for number in self.stale(study_id)]

    def stale(self, study_id: int) -> list[int]:
        """The running trials whose process is gone: on this machine at once, elsewhere a minute after its last sign."""
        with self._lock, self._idle.begin(write=False) as unit:
            known = self._fresh(study_id)
            running = {number: known.asides[number].lease for number in known.running}
            return settling.stale(unit, study_id, running, GRACE)

    def settle(self, study_id: int, retries: int) -> list[int]:
        """Fail the trials whose process is gone, and let each be tried again up to so often; their numbers."""
        found = self.stale(study_id)
        at = local(self._idle.clock.now())
        if found:
            self._now(study_id, partial(settling.fail, numbers=found, retries=retries, at=at))
        return found

    def flush(self) -> None:
        """Write what waits to be written."""
        with self._lock:
            self._drain()

    # How changes are committed

    def _now(self, study_id: int, apply: Callable[[Draft], object]) -> object:
        """Have a change committed, with all that wait; what it gives."""
        change = Change(study_id, apply)
        self._queue.append(change)
        with self._lock:
            if not change.is_done:  # Another thread may have taken it along.
                self._drain()
        if change.error is not None:
            raise change.error
        return change.result

    def _later(self, study_id: int, apply: Callable[[Draft], object]) -> None:
        """Do a change to what is known, and have it committed soon."""
        with self._lock:
            known = self._known.get(study_id) or self._fresh(study_id)
            try:
                draft = Draft(known)
                apply(draft)
            except KeyError:
                draft = Draft(self._fresh(study_id))
                apply(draft)
            for number, trial in draft.changed.items():
                known.put(number, trial, known.asides[number])
            self._queue.append(Change(study_id, apply))
            if self._soon is None:
                self._soon = threading.Timer(_SOON, _flush, (weakref.ref(self),))
                self._soon.daemon = True
                self._soon.start()

    def _drain(self) -> None:
        changes = []
        while self._queue:
            changes.append(self._queue.popleft())
        soon, self._soon = self._soon, None
        if soon is not None:
            soon.cancel()
        if not changes:
            return
        try:
            self._commit(changes)
        except BaseException as error:
            self._known.clear()  # What is known may be ahead of the database.
            for change in changes:
                change.error, change.is_done = error if isinstance(error, Exception) else None, True
            raise

    def _commit(self, changes: Sequence[Change]) -> None:
        """Commit changes in one transaction; one that is refused changes nothing and has its error."""
        drafts: dict[int, Draft] = {}
        written: list[tuple[Known, int, FrozenTrial, Aside, int]] = []
        with self._idle.begin() as unit:
            for change in changes:
                try:
                    if change.sweep not in drafts:
                        drafts[change.sweep] = Draft(self._read(unit, change.sweep))
                    change.result = change.apply(drafts[change.sweep])
                except Exception as error:  # noqa: BLE001 - whoever asked for it is told
                    change.error = error
            for study, draft in drafts.items():
                written += self._write(unit, study, draft)
        for known, number, trial, aside, changed in written:
            known.put(number, trial, aside)
            known.changed = max(known.changed, changed)
        for change in changes:
            change.is_done = True

    def _write(self, unit: Session, study: int, draft: Draft) -> list[tuple[Known, int, FrozenTrial, Aside, int]]:
        known = draft.known
        fresh: list[dict[str, object]] = []
        old: list[dict[str, object]] = []
        written = []
        for place, (number, trial) in enumerate(sorted(draft.changed.items())):
            is_new = number >= len(known.trials)
            aside = Aside() if is_new else copy.copy(known.asides[number])
            self._attend(unit, study, trial, aside)
            changed = known.changed + 1 + place
            (fresh if is_new else old).append(_row_of(unit, study, trial, aside, changed))
            written.append((known, number, trial, aside, changed))
        rows.add_trials(unit, fresh)
        rows.write_trials(unit, old)
        return written

    def _attend(self, unit: Session, study: int, trial: FrozenTrial, aside: Aside) -> None:
        """Note who runs a trial, and tell its run."""
        if trial.state is TrialState.RUNNING and not aside.lease:
            aside.lease = self._held()
            if self._runs:
                aside.run = trialruns.begin(unit, self._family(unit, study), trial)
        if aside.run:
            trialruns.tell(unit, self._family(unit, study), trial, aside)

    def _family(self, unit: Session, study: int) -> trialruns.Family:
        if study not in self._families:
            self._families[study] = trialruns.family_of(unit, self._row(unit, study))
        return self._families[study]

    def _held(self) -> str:
        """The lease by which others know that this process lives."""
        if self._process != os.getpid():
            stack = ExitStack()
            self._lease = stack.enter_context(lease.held(self._idle.home, self._idle.new_id()))
            self._process = os.getpid()
            weakref.finalize(self, stack.close)
        return self._lease

    # How rows are read

    def _fresh(self, study_id: int) -> Known:
        """What is known of a study, read again."""
        with self._lock:
            if self._queue:
                self._drain()
            with self._idle.begin(write=False) as unit:
                return self._read(unit, study_id)

    def _read(self, unit: Session, study_id: int) -> Known:
        known = self._known.get(study_id)
        if known is None or unit.writes:
            self._row(unit, study_id)
            known = self._known.setdefault(study_id, Known(study_id))
        known.read(unit)
        return known

    def _read_row(self, study_id: int) -> SweepRow:
        with self._idle.begin(write=False) as unit:
            return self._row(unit, study_id)

    def _row(self, unit: Session, study_id: int) -> SweepRow:
        found = rows.by_number(unit, study_id)
        if found is None:
            self._known.pop(study_id, None)
            raise KeyError(f"There is no study {study_id}.")
        return found

    def _set_attribute(self, study_id: int, kind: str, key: str, value: Any) -> None:
        kept = plain(key, value)
        with self._idle.begin() as unit:
            attributes = attributes_in(self._row(unit, study_id).attributes)
            attributes[kind][key] = kept
            rows.change(unit, study_id, attributes=attributes_document(attributes))

    def _set_trial_attribute(self, trial_id: int, kind: str, key: str, value: Any) -> None:
        def apply(draft: Draft) -> None:
            trial = draft.open(number)
            setattr(trial, kind, getattr(trial, kind) | {key: kept})
            draft.put(trial)

        kept = plain(key, value)
        study, number = _split(trial_id)
        self._later(study, apply)


def _begun(now: Any) -> FrozenTrial:
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=now,
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def _moved(draft: Draft, number: int, state: TrialState, values: Iterable[float] | None, at: Any) -> bool:
    trial = draft.open(number)
    if state is TrialState.RUNNING and trial.state is not TrialState.WAITING:
        return False
    trial.state = state
    if values is not None:
        trial.values = list(values)
    if state is TrialState.RUNNING:
        trial.datetime_start = at
    if state.is_finished():
        trial.datetime_complete = at
    draft.put(trial)
    return True


def _row_of(unit: Session, study: int, trial: FrozenTrial, aside: Aside, changed: int) -> dict[str, object]:
    return {
        "project": unit.project,
        "sweep": study,
        "number": trial.number,
        "changed": changed,
        "state": trial.state.value,
        "run": aside.run,
        "lease": aside.lease,
        "beat": unit.clock.now() if trial.state is TrialState.RUNNING else None,
        "started": utc(trial.datetime_start),
        "ended": utc(trial.datetime_complete),
        "document": document_of(trial, aside.told),
    }


def _frozen(row: SweepRow) -> FrozenStudy:
    attributes = attributes_in(row.attributes)
    return FrozenStudy(
        study_name=row.name,
        direction=None,
        directions=[StudyDirection(number) for number in row.directions],
        user_attrs=attributes["user"],
        system_attrs=attributes["system"],
        study_id=row.number,
    )


def _split(trial_id: int) -> tuple[int, int]:
    return trial_id >> SHIFT, trial_id & ((1 << SHIFT) - 1)


def _flush(known: weakref.ref[OptunaStorage]) -> None:
    storage = known()
    if storage is not None:
        storage.flush()
