"""What the tests of the loop share: a declared loop, and models that are right to a chosen degree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest

from everloop.app.platform import Platform
from everloop.loop.declare import Label, Limits, Loop, every
from everloop.loop.entities import Loop as LoopEntity
from everloop.loop.gates import Duel
from tests.loop.world import World, toy_loop


@pytest.fixture
def loop() -> LoopEntity:
    """A loop that retrains every 30 days, at most twice a month."""
    return Loop(
        model="delay",
        pipeline="fit",
        label=Label("late", key="flight", within="1d"),
        triggers=[every("30d")],
        limits=Limits(cooldown="3d", retrains_per_month=2),
    )


def scored(skill: float, truth: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities that follow the truth as far as `skill` (0 knows nothing)."""
    noise = np.random.default_rng(seed).normal(size=len(truth))
    return 1 / (1 + np.exp(-(skill * (truth - 0.5) + noise - 1)))


def duel(challenger: float, champion: float | None, n: int = 4000, seed: int = 3) -> Duel:
    """Two models of given skill on the same rows."""
    truth = (np.random.default_rng(seed).random(n) < 0.25).astype(float)
    other = None if champion is None else scored(champion, truth, seed + 2)
    return Duel(truth, scored(challenger, truth, seed + 1), other)


DAY = timedelta(days=1)


@pytest.fixture
def world(platform: Platform) -> Iterator[World]:
    """The toy project on its first day, with nothing made yet."""
    opened = World(platform, toy_loop())
    yield opened
    opened.close()
