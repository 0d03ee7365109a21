"""What a process knows of a sweep: its trials as they were last read, and drafts of what they become."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from everloop.catalog.session import Session
from everloop.pipelines.sweeps import rows
from everloop.pipelines.sweeps.documents import SHIFT, TrialRow, told_in, trial_of

RETRIES = "retry_history"
"""The attribute in which Optuna keeps which trials one repeats."""
KILLED = "everloop:killed"
ERROR = "everloop:error"
WARM = "everloop:warm"
"""A trial of an earlier sweep, from which this one learns."""


class Exhausted(Exception):
    """A sweep has all the trials that it may have."""


@dataclass
class Aside:
    """What is kept of a trial that Optuna does not ask for."""

    run: str = ""
    lease: str = ""
    told: int = 0


@dataclass
class Known:
    """The trials of a sweep by number, as of the change that was read last."""

    number: int
    trials: list[FrozenTrial] = field(default_factory=list)
    asides: list[Aside] = field(default_factory=list)
    waiting: set[int] = field(default_factory=set)
    running: set[int] = field(default_factory=set)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    changed: int = 0
    uncounted: int = 0
    """So many trials repeat others or come from earlier sweeps."""

    def read(self, session: Session) -> None:
        """Read the trials that changed since."""
        for values in rows.trials_after(session, self.number, self.changed):
            row = TrialRow(*values)  # type: ignore[arg-type]  # a row of the table
            self.put(row.number, trial_of(self.number, row), Aside(row.run, row.lease, told_in(row)))
            self.changed = max(self.changed, row.changed)

    def put(self, number: int, trial: FrozenTrial, aside: Aside) -> None:
        """Know a trial, new or changed."""
        if number == len(self.trials):
            self.trials.append(trial)
            self.asides.append(aside)
            self.uncounted += not _counts(trial)
        else:
            self.trials[number], self.asides[number] = trial, aside
        self.waiting.discard(number)
        self.running.discard(number)
        if trial.state is TrialState.WAITING:
            self.waiting.add(number)
        elif trial.state is TrialState.RUNNING:
            self.running.add(number)
        for name, distribution in trial.distributions.items():
            self.distributions.setdefault(name, distribution)

    def trial(self, number: int) -> FrozenTrial:
        """A trial, which nobody may change.

        Raises:
            KeyError: there is none.
        """
        if not 0 <= number < len(self.trials):
            raise KeyError(f"Sweep {self.number} has no trial {number}.")
        return self.trials[number]

    def in_states(self, states: Iterable[TrialState] | None) -> list[FrozenTrial]:
        """The trials in some states, or all, by number."""
        if states is None:
            return self.trials[:]
        wanted = set(states)
        if wanted <= {TrialState.WAITING, TrialState.RUNNING}:
            open_ones = (self.waiting if TrialState.WAITING in wanted else set()) | (
                self.running if TrialState.RUNNING in wanted else set()
            )
            return [self.trials[number] for number in sorted(open_ones)]
        return [trial for trial in self.trials if trial.state in wanted]


class Draft:
    """What becomes of trials in one transaction, over what is known of them."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.changed: dict[int, FrozenTrial] = {}
        self.added = 0

    def trial(self, number: int) -> FrozenTrial:
        """A trial as it is by now."""
        found = self.changed.get(number)
        return self.known.trial(number) if found is None else found

    def open(self, number: int) -> FrozenTrial:
        """A copy of a trial that has not ended, to be changed (its mappings must be replaced) and put back.

        Raises:
            UpdateFinishedTrialError: it has ended.
        """
        trial = self.trial(number)
        if trial.state.is_finished():
            raise UpdateFinishedTrialError(f"Trial {number} has ended and cannot change.")
        return copy.copy(trial)

    def put(self, trial: FrozenTrial) -> None:
        """Put a trial back."""
        self.changed[trial.number] = trial

    def add(self, trial: FrozenTrial, limit: int = 0) -> int:
        """Add a trial; its number.

        Raises:
            Exhausted: there are as many as there may be, besides those that were repeated.
        """
        number = len(self.known.trials) + self.added
        if limit and number - self.known.uncounted - self._uncounted() >= limit:
            raise Exhausted
        trial.number = number
        trial._trial_id = (self.known.number << SHIFT) | number
        self.added += 1
        self.changed[number] = trial
        return number

    def check(self, name: str, distribution: BaseDistribution) -> None:
        """Refuse a distribution that does not go with what a parameter had before.

        Raises:
            ValueError: it does not.
        """
        before = self.known.distributions.get(name)
        if before is not None:
            check_distribution_compatibility(before, distribution)

    def _uncounted(self) -> int:
        first = len(self.known.trials)
        return sum(not _counts(trial) for number, trial in self.changed.items() if number >= first)


@dataclass(eq=False)
class Change:
    """A change of a sweep's trials that waits for its transaction: what to do to a draft, and what came of it."""

    sweep: int
    apply: Callable[[Draft], object]
    is_done: bool = False
    result: object = None
    error: Exception | None = None


def _counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts among those that a sweep may have."""
    return not (trial.system_attrs.get(RETRIES) or trial.system_attrs.get(WARM))
