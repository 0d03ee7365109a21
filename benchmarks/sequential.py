"""A canary that is looked at all the time: false alarms of our e-process and a z-test, and how soon a bad one is seen.

The z-test at alpha .05, asked after each 100 units, is what a dashboard with a p-value comes to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.harness import Figure
from everloop.rollouts.sequential import Capital, coin_payoffs, rejects, running_mean

ALPHA = 0.05
Z = 1.96
RATE = 0.1
UNITS = 20_000
LOOK = 100
GAMES = 400
SHARES = (0.5, 0.1, 0.05)


def run() -> Sequence[Figure]:
    """Nothing has changed; and a challenger that fails half as often again."""
    return [
        figure for share in SHARES for figure in (_alarms(share), _missed(share, RATE * 1.5), _delay(share, RATE * 2))
    ]


def _alarms(share: float) -> Figure:
    seen = _games(share, RATE)
    return _figure(f"false alarms at {share:.0%} of the traffic", "%", 100 * np.isfinite(seen).mean(axis=0))


def _missed(share: float, rate: float) -> Figure:
    seen = _games(share, rate)
    what = f"challengers with {rate / RATE:g}× the failures missed in {UNITS:,} units at {share:.0%}"
    return _figure(what, "%", 100 - 100 * np.isfinite(seen).mean(axis=0))


def _delay(share: float, rate: float) -> Figure:
    seen = _games(share, rate)
    met = np.where(np.isfinite(seen), seen, UNITS) * share
    what = f"units that met a challenger with {rate / RATE:g}× the failures, at {share:.0%}"
    return _figure(what, "units", np.median(met, axis=0))


def _figure(what: str, unit: str, values: np.ndarray) -> Figure:
    ours, theirs = values.tolist()
    return Figure(what=what, unit=unit, ours=ours, peer="z-test at each look", theirs=theirs)


def _games(share: float, rate: float) -> np.ndarray:
    """Of each game, after how many units the e-process and the z-test raised an alarm; infinity for never."""
    random = np.random.default_rng(2013)
    return np.array([_game(random, share, rate) for _ in range(GAMES)])


def _game(random: np.random.Generator, share: float, rate: float) -> tuple[float, float]:
    met = random.random(UNITS) < share
    failed = (random.random(UNITS) < np.where(met, rate, RATE)).astype(float)
    return _e_process(met, failed, share), _z_test(met, failed)


def _e_process(met: np.ndarray, failed: np.ndarray, share: float) -> float:
    capital = Capital()
    baseline = running_mean(failed, ~met, 0.1, 1.0)
    payoffs = coin_payoffs(failed, met, np.full(UNITS, share), baseline)
    for end in range(LOOK, UNITS + 1, LOOK):
        capital.bet(payoffs[end - LOOK : end])
        if rejects(capital.log_peak, ALPHA):
            return end
    return np.inf


def _z_test(met: np.ndarray, failed: np.ndarray) -> float:
    ends = np.arange(LOOK, UNITS + 1, LOOK) - 1
    new, new_failed = np.cumsum(met)[ends], np.cumsum(failed * met)[ends]
    old, old_failed = np.cumsum(~met)[ends], np.cumsum(failed * ~met)[ends]
    pooled = (new_failed + old_failed) / (new + old)
    with np.errstate(all="ignore"):
        error = np.sqrt(pooled * (1 - pooled) * (1 / new + 1 / old))
        z = (new_failed / new - old_failed / old) / error
    raised = np.flatnonzero(z > Z)
    return float(ends[raised[0]] + 1) if len(raised) else np.inf
