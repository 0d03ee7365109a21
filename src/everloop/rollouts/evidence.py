"""Evidence for a rollout: gathered from the inference log and the labels as they come in, or anew from the start.

A unit is a key (the endpoint's label key, else the prediction's id): its first prediction since the rollout began and
its first label count. Units are judged by the deployment that really served them and by the probability that the log
says they had; those that were answered by neither version, or had no choice, say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from everloop.kernel.clock import micros
from everloop.rollouts.decision import guard_key
from everloop.rollouts.entities import ArmStats, BetterOrEqual, Canary, ErrorRate, Evidence, Guard, Loss, Rollout
from everloop.rollouts.sequential import (
    CLIP,
    Capital,
    brier,
    coin_payoffs,
    log_loss,
    paired_payoffs,
    rate_payoffs,
    running_mean,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from everloop.rollouts.sequential import Floats

SCALES: dict[Loss, float] = {"log_loss": -math.log(CLIP), "brier": 1.0}
"""What a loss in [0, 1] is multiplied with to be the metric that people know."""
_COLUMNS = ("at", "prediction_id", "deployment", "role", "probability", "key", "output")


class _Served(NamedTuple):
    """A prediction by one of the versions: its output (NaN if it failed), and the chance of meeting the challenger."""

    challenger: bool
    probability: float
    output: float


class _Tally:
    """Counts and sums of one version."""

    def __init__(self) -> None:
        self.units = self.errors = self.labels = 0
        self.sums: dict[Loss, float] = dict.fromkeys(SCALES, 0.0)

    def stats(self) -> ArmStats:
        means = {metric: total / self.labels * SCALES[metric] for metric, total in self.sums.items() if self.labels}
        return ArmStats(self.units, self.errors, self.labels, {str(metric): mean for metric, mean in means.items()})


class EvidenceBuilder:
    """Turns record batches of predictions and labels into `Evidence`. About 3 µs a prediction; nothing is read twice.

    Feed predictions before labels, each in the order of its log. A new builder that is fed the same logs from the
    beginning comes to the same evidence, however they were cut into batches.
    """

    def __init__(self, rollout: Rollout) -> None:
        self._rollout = rollout
        self._paired = not isinstance(rollout.strategy, Canary)
        self._since = micros(rollout.started)
        self._arms = {True: _Tally(), False: _Tally()}
        self._met: dict[str, int] = {}
        self._waiting: dict[str, list[_Served]] = {}
        self._early: dict[str, float] = {}
        self._games = [game for guard in rollout.strategy.guards if (game := _game(guard, self._paired))]

    def predictions(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Take in predictions from the inference log."""
        served: list[_Served] = []
        met: list[_Served] = []
        ready: list[tuple[list[_Served], float]] = []
        for batch in batches:
            for at, prediction, deployment, role, probability, key, output in _rows(self._as_met(batch), _COLUMNS):
                unit = key or prediction
                one = self._served(deployment, probability, output)
                if at < self._since or one is None or not self._is_first(unit, one.challenger, role):
                    continue
                served.append(one)
                self._waiting.setdefault(unit, []).append(one)
                if self._is_complete(unit):
                    met += self._waiting[unit]
                    if unit in self._early:
                        ready.append((self._waiting.pop(unit), self._early.pop(unit)))
        self._count(served, met)
        self._score(ready)

    def labels(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Take in labels; those whose prediction is not there yet are kept for it."""
        ready: list[tuple[list[_Served], float]] = []
        for batch in batches:
            for unit, value in _rows(batch, ("key", "value")):
                if not self._is_complete(unit):
                    self._early.setdefault(unit, value)
                elif unit in self._waiting:
                    ready.append((self._waiting.pop(unit), value))
        self._score(ready)

    def evidence(self) -> Evidence:
        """What is known by now."""
        peaks = {game.key: game.log_peak for game in self._games}
        return Evidence(self._arms[True].stats(), self._arms[False].stats(), peaks)

    def _as_met(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A request's rows, each unit beginning with the version that it met.

        Where the challenger failed, the stable version's answer stands before that in the log. No unit changes its
        place among the others: an order that knew what failed would not be fair to bet on.
        """
        output = batch.column("output").to_numpy(zero_copy_only=False).astype(float)
        failed = np.isnan(output) & (batch.column("deployment").to_numpy() == self._rollout.challenger)
        if not failed.any():
            return batch
        units = [key or prediction for key, prediction in _rows(batch, ("key", "prediction_id"))]
        first = dict(zip(reversed(units), reversed(range(len(units))), strict=True))
        place = [first[unit] - 0.5 if fails else at for at, (unit, fails) in enumerate(zip(units, failed, strict=True))]
        return batch.take(np.argsort(place, kind="stable"))

    def _served(self, deployment: int, probability: float, output: float | None) -> _Served | None:
        if deployment not in (self._rollout.challenger, self._rollout.stable):
            return None
        challenger = deployment == self._rollout.challenger
        value = math.nan if output is None or not math.isfinite(output) else output
        return _Served(challenger, probability if challenger else 1 - probability, value)

    def _is_first(self, unit: str, challenger: bool, role: str) -> bool:
        """Whether a unit meets a version for the first time (in a canary: any version; shadows do not count there)."""
        met = self._met.get(unit, 0)
        bit = 1 if challenger else 2
        if (met & bit) if self._paired else (met or role == "shadow"):
            return False
        self._met[unit] = met | bit
        return True

    def _is_complete(self, unit: str) -> bool:
        met = self._met.get(unit, 0)
        return met == 3 if self._paired else met > 0

    def _count(self, served: list[_Served], met: list[_Served]) -> None:
        """Units and failures, which need no label."""
        if not served:
            return
        for challenger, tally in self._arms.items():
            mine = [one for one in served if one.challenger == challenger]
            tally.units += len(mine)
            tally.errors += sum(math.isnan(one.output) for one in mine)
        units = _Units.of(met)
        failed = np.isnan(units.output).astype(float)
        for game in self._games:
            if isinstance(game, _ErrorGame):
                game.play(failed, units)

    def _score(self, ready: list[tuple[list[_Served], float]]) -> None:
        """Losses of the units whose label has come; units that a version failed on have none."""
        whole = [(pair, label) for pair, label in ready if not any(math.isnan(one.output) for one in pair)]
        if not whole:
            return
        units = _Units.of([one for pair, _ in whole for one in pair])
        label = np.repeat(np.array([label for _, label in whole], dtype=float), 1 + self._paired)
        losses: dict[Loss, Floats] = {"log_loss": log_loss(units.output, label), "brier": brier(units.output, label)}
        for challenger, tally in self._arms.items():
            mine = units.challenger == challenger
            tally.labels += int(mine.sum())
            for metric, loss in losses.items():
                tally.sums[metric] += float(loss[mine].sum())
        for game in self._games:
            if isinstance(game, _LossGame):
                game.play(losses[game.metric], units)


class _Units:
    """Served predictions as arrays. Of paired units the two predictions stand next to each other, in either order."""

    def __init__(self, challenger: NDArray[np.bool_], probability: Floats, output: Floats) -> None:
        self.challenger, self.probability, self.output = challenger, probability, output

    @classmethod
    def of(cls, served: list[_Served]) -> _Units:
        return cls(
            np.array([one.challenger for one in served], dtype=bool),
            np.array([one.probability for one in served], dtype=float),
            np.array([one.output for one in served], dtype=float),
        )


class _Contrast:
    """The game on the difference of a loss in [0, 1] between the versions: on the coin, or on pairs."""

    def __init__(self, paired: bool, margin: float = 0.0) -> None:
        self._paired, self._margin = paired, margin
        self._capital = Capital()
        # A tenth, counted as one unit: close to usual losses, and soon outweighed by what is seen.
        self._total, self._count = 0.1, 1.0

    @property
    def log_peak(self) -> float:
        return self._capital.log_peak

    def play(self, loss: Floats, units: _Units) -> None:
        stable = ~units.challenger
        if self._paired:
            self._capital.bet(paired_payoffs(loss[units.challenger], loss[stable], self._margin))
            return
        baseline = running_mean(loss, stable, self._total, self._count)
        self._capital.bet(coin_payoffs(loss, units.challenger, units.probability, baseline, self._margin))
        self._total += float(loss[stable].sum())
        self._count += float(stable.sum())


class _LossGame:
    """Plays for `BetterOrEqual`."""

    def __init__(self, guard: BetterOrEqual, paired: bool) -> None:
        self.key, self.metric = guard_key(guard), guard.metric
        self._contrast = _Contrast(paired, guard.margin / SCALES[guard.metric])

    @property
    def log_peak(self) -> float:
        return self._contrast.log_peak

    def play(self, loss: Floats, units: _Units) -> None:
        self._contrast.play(loss, units)


class _ErrorGame:
    """Plays for `ErrorRate`: two games that must both be won, so that a stable version that fails as often clears it.

    Their lower peak is a valid test of "within the limit, or no worse than the stable version".
    """

    def __init__(self, guard: ErrorRate, paired: bool) -> None:
        self.key = guard_key(guard)
        self._limit = guard.limit
        self._over = Capital()
        self._worse = _Contrast(paired)

    @property
    def log_peak(self) -> float:
        return min(self._over.log_peak, self._worse.log_peak)

    def play(self, failed: Floats, units: _Units) -> None:
        self._over.bet(rate_payoffs(failed[units.challenger], self._limit))
        self._worse.play(failed, units)


def _game(guard: Guard, paired: bool) -> _LossGame | _ErrorGame | None:
    match guard:
        case BetterOrEqual():
            return _LossGame(guard, paired)
        case ErrorRate():
            return _ErrorGame(guard, paired)
    return None


def _rows(batch: pa.RecordBatch, columns: tuple[str, ...]) -> Iterable[tuple[Any, ...]]:
    """The rows of some columns, of whatever types those have."""
    return zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
