"""Simulation: policies go through the same history, with the triggers, the pipeline and the gates of production.

Predictions are scored in batches. A challenger that passes the gates takes over after the time that its rollout would
take; guards are not simulated, since they judge what both versions really answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter

import numpy as np

from everloop.catalog.session import Session
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import InvalidInput, NotFound, StepFailed
from everloop.loop.driftwatch import DriftWatch
from everloop.loop.entities import (
    Drift,
    Loop,
    Policy,
    SimulatedMonth,
    SimulatedPolicy,
    SimulatedRetrain,
    SimulationReport,
)
from everloop.loop.examination import Examination
from everloop.loop.history import History, months_of, read_history
from everloop.loop.limits import held_back
from everloop.loop.metrics import Outcomes
from everloop.loop.policies import policy_of
from everloop.loop.references import reference_of
from everloop.loop.reproduction import model_of
from everloop.loop.triggers import Observation, first_fired
from everloop.monitoring.entities import Reference
from everloop.monitoring.performance import performance_of
from everloop.pipelines import service as pipelines
from everloop.registry.entities import Model
from everloop.registry.save import load_model
from everloop.rollouts.entities import Canary, Strategy

STEP = timedelta(days=1)
"""How often triggers are asked."""
AHEAD = timedelta(days=15)
"""So far ahead predictions are scored at a time; what a new champion makes obsolete is scored again."""


def simulate(
    session: Session, loop: Loop, span: tuple[datetime, datetime], policies: Sequence[str], timezone: str
) -> SimulationReport:
    """Let each policy go through [start, end), beginning with a model of what was known at its start.

    Raises:
        InvalidInput: a policy, the time zone or the span is wrong, or the loop's label names no history.
        StepFailed: the first model cannot be trained.
    """
    start, end = span
    if start >= end:
        raise InvalidInput(f"The end {end:%Y-%m-%d} is not after the start {start:%Y-%m-%d}.", hint="Swap them.")
    chosen = [policy_of(text, loop) for text in policies]
    months = list(months_of(start, end, timezone))
    school = School(session, loop)
    first = school.train(start).model
    history = read_history(session, loop, first, start, end)
    courses = [Course(school, history, policy, start, end) for policy in chosen]
    for course in courses:
        course.run(first)
    return SimulationReport(
        loop.name,
        start,
        end,
        tuple(course.whole() for course in courses),
        tuple(course.month(*month) for course in courses for month in months),
        tuple(retrain for course in courses for retrain in course.retrains),
    )


@dataclass(frozen=True)
class Trained:
    """A model, and how long its pipeline took here: a moment, when the memo had it."""

    model: Model
    seconds: float


class School:
    """Trains and examines for all policies of a simulation; what two of them ask for happens once."""

    def __init__(self, session: Session, loop: Loop) -> None:
        self.session = session
        self.loop = loop
        self._trained: dict[datetime, Trained] = {}
        self._verdicts: dict[tuple[str, str], str] = {}
        self._references: dict[str, Reference] = {}
        with session.begin(write=False) as unit:
            self._folder = Path(pipelines.get(unit, loop.pipeline).folder)

    def train(self, until: datetime) -> Trained:
        """The model of what was known at a time.

        Raises:
            StepFailed: the pipeline raised.
        """
        if until not in self._trained:
            began = perf_counter()
            execution = pipelines.run(self.session, self.loop.pipeline, {"until": until.isoformat()})
            self._trained[until] = Trained(model_of(execution), perf_counter() - began)
        return self._trained[until]

    def reference(self, model: Model) -> Reference:
        """What windows are compared with while a model is the champion."""
        if model.digest not in self._references:
            self._references[model.digest] = reference_of(self.session, self.loop, model)
        return self._references[model.digest]

    def refusal(self, challenger: Model, champion: Model) -> str:
        """What the gates have against a challenger; nothing when it may pass."""
        key = (challenger.digest, champion.digest)
        if key not in self._verdicts:
            results = self._examination(challenger, champion).results(self.loop.gates)
            self._verdicts[key] = " ".join(result.message for result in results if not result.passed)
        return self._verdicts[key]

    def measured(self, model: Model) -> dict[str, float]:
        """What a model's later performance is compared with: its metrics on its holdout."""
        return self._examination(model, None).measured

    def _examination(self, challenger: Model, champion: Model | None) -> Examination:
        return Examination(self.session, challenger, lambda alias: champion, self._folder)


@dataclass
class Reign:
    """The time of a champion: since when it serves, and with which metrics it was promoted."""

    model: Model
    since: datetime
    reference: dict[str, float]


class Course:
    """A policy's way through the history."""

    def __init__(self, school: School, history: History, policy: Policy, start: datetime, end: datetime) -> None:
        self._school = school
        self._history = history
        self._policy = policy
        self._clock = SimulatedClock(start)
        self._end = end
        self._scores = np.full(len(history.at), np.nan)
        self._last = start
        self._scored = 0
        self._next: tuple[datetime, Model] | None = None
        self._seconds = 0.0
        self.retrains: list[SimulatedRetrain] = []

    def run(self, first: Model) -> None:
        """Go from the start to the end, a day at a time."""
        self._enthrone(first, self._clock.now())
        while self._clock.now() < self._end:
            self._clock.advance(min(self._clock.now() + STEP, self._end))
            now = self._clock.now()
            self._score_until(now)
            if self._next is not None and self._next[0] <= now:
                self._enthrone(self._next[1], self._next[0])
                self._next = None
            elif self._next is None and now < self._end:
                self._ask(now)

    def whole(self) -> SimulatedPolicy:
        """How it fared in all."""
        figures = self._figures(slice(0, len(self._history.at)))
        promoted = sum(one.promoted for one in self.retrains)
        return SimulatedPolicy(self._policy.name, *figures, len(self.retrains), promoted, self._seconds)

    def month(self, month: str, start: datetime, end: datetime) -> SimulatedMonth:
        """How it fared in a month."""
        figures = self._figures(self._history.between(start, end))
        mine = [one for one in self.retrains if start <= one.at < end]
        return SimulatedMonth(self._policy.name, month, *figures, len(mine), sum(one.promoted for one in mine))

    def _enthrone(self, model: Model, now: datetime) -> None:
        self._champion = Reign(model, now, self._school.measured(model))
        self._predictor = load_model(self._school.session, model)
        self._scored = self._history.between(now, now).start
        self._drift = DriftWatch(self._history, self._school.reference(model), now) if self._watches_drift else None

    def _ask(self, now: datetime) -> None:
        """Let the triggers look, and train and examine a challenger when one fires."""
        if not self._policy.triggers:
            return
        trigger, reason = first_fired(self._policy.triggers, self._seen(now))
        attempts = [one.at for one in self.retrains]
        if not reason or held_back(self._policy.limits, now, attempts):
            return
        self._last = now
        try:
            trained = self._school.train(now)
        except (StepFailed, NotFound) as error:
            self.retrains.append(SimulatedRetrain(self._policy.name, now, trigger, reason, False, error.message))
            return
        self._seconds += trained.seconds
        refusal = self._school.refusal(trained.model, self._champion.model)
        if not refusal:
            self._next = (now + span_of(self._school.loop.rollout), trained.model)
        told = refusal or "Every gate let it through."
        self.retrains.append(SimulatedRetrain(self._policy.name, now, trigger, reason, not refusal, told))

    def _seen(self, now: datetime) -> Observation:
        return Observation(
            now=now,
            since=self._last,
            champion_since=self._champion.since,
            windows=self._drift.until(now, self._scores) if self._drift else (),
            outcomes=self._outcomes,
            mature=self._school.loop.label.within,
            reference=self._champion.reference,
        )

    def _outcomes(self, start: datetime, end: datetime) -> Outcomes:
        rows = self._history.between(start, end)
        at, score, truth = self._history.at[rows], self._scores[rows], self._history.truth[rows]
        known = np.isfinite(truth)
        return Outcomes(at[known], score[known], truth[known])

    def _score_until(self, end: datetime) -> None:
        """Score the champion's predictions up to a time, some days ahead at once."""
        if self._history.between(end, end).start <= self._scored:
            return
        rows = slice(self._scored, self._history.between(end, end + AHEAD).stop)
        given = {name: values[rows] for name, values in self._history.columns.items()}
        self._scores[rows] = self._predictor.predict(given)
        self._scored = rows.stop

    @property
    def _watches_drift(self) -> bool:
        return any(isinstance(trigger, Drift) for trigger in self._policy.triggers)

    def _figures(self, rows: slice) -> tuple[int, float, float, float]:
        """Labelled predictions, ROC AUC, log loss and calibration error; NaN of no predictions."""
        truth, score = self._history.truth[rows], self._scores[rows]
        known = np.isfinite(truth)
        if not known.any():
            return 0, float("nan"), float("nan"), float("nan")
        found = performance_of(truth[known], score[known])
        area = float("nan") if found.roc_auc is None else found.roc_auc
        return found.n, area, found.log_loss, found.calibration_error


def span_of(strategy: Strategy) -> timedelta:
    """How long a rollout takes at least."""
    return strategy.hold * len(strategy.steps) if isinstance(strategy, Canary) else strategy.hold
