"""Trials whose process is gone: how they are found, failed, and tried again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from optuna.trial import TrialState, create_trial
from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.pipelines import lease
from everloop.pipelines.sweeps.known import KILLED, RETRIES, Draft
from everloop.pipelines.sweeps.tables import trials


def stale(session: Session, sweep: int, running: Mapping[int, str], grace: timedelta) -> list[int]:
    """Those of the running trials (number to lease) whose process is gone, by number."""
    gone = {held: lease.is_abandoned(session.home, held) for held in set(running.values()) if held}
    found = [number for number, held in running.items() if gone.get(held)]
    silent = select(trials.c.number).where(
        trials.c.project == session.project,
        trials.c.sweep == sweep,
        trials.c.number.in_([number for number, held in running.items() if held and not gone[held]] or [-1]),
        trials.c.beat < session.clock.now() - grace,
    )
    elsewhere = [number for number in session.scalars(silent) if not _is_here(session, running[number])]
    return sorted(found + elsewhere)


def fail(draft: Draft, numbers: Sequence[int], retries: int, at: datetime) -> None:
    """Fail trials, and add one for each that may be tried again, with the parameters that it had."""
    for number in numbers:
        if draft.trial(number).state.is_finished():
            continue
        trial = draft.open(number)
        trial.state, trial.datetime_complete = TrialState.FAIL, at
        trial.system_attrs = trial.system_attrs | {KILLED: True}
        draft.put(trial)
        history = [*trial.system_attrs.get(RETRIES, []), number]
        if len(history) <= retries:
            again = {key: value for key, value in trial.system_attrs.items() if key != KILLED}
            draft.add(
                create_trial(
                    state=TrialState.WAITING,
                    system_attrs=again | {"fixed_params": trial.params, "failed_trial": history[0], RETRIES: history},
                    user_attrs=trial.user_attrs,
                )
            )


def _is_here(session: Session, held: str) -> bool:
    """Whether a lease is one of this home: then whoever holds it lives, however long it says nothing."""
    return lease.is_of(session.home, held)
