"""What the tests of the loop share: a declared loop, and models that are right to a chosen degree."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest

from everloop.app.platform import open_platform
from everloop.app.settings import load
from everloop.kernel.clock import SimulatedClock
from everloop.loop.declare import Label, Limits, Loop, every
from everloop.loop.entities import Loop as LoopEntity
from everloop.loop.gates import Duel
from tests.conftest import unsynced
from tests.loop.world import OPENING, START, World


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
LEFT = "left.txt"
"""The file in which a home says when it was left."""


@pytest.fixture(scope="session")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the toy project's data and declarations; copied, it saves each test from making it again."""
    return prepared(tmp_path_factory.mktemp("opening") / "home")


@pytest.fixture(scope="session")
def quiet_days(opening: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the loop made its first champion, and watched it for three quiet days."""
    with lived(opening, tmp_path_factory.mktemp("quiet") / "home") as world:
        world.tick()
        world.live(12)
    return world.platform.resources.home


@pytest.fixture(scope="session")
def first_day(opening: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the loop made its first champion a day ago, and somebody proposes a second."""
    with lived(opening, tmp_path_factory.mktemp("first") / "home") as world:
        world.tick()
        world.live(4)
        world.call("loops.propose", name="late", skip_gates=True)
    return world.platform.resources.home


@pytest.fixture
def world(opening: Path, home: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """The toy project on its opening day, with no model made yet."""
    shutil.copytree(opening, home)
    opened = World(request.getfixturevalue("platform"))
    opened.clock.advance(OPENING)
    yield opened
    opened.close()


@pytest.fixture
def running(quiet_days: Path, tmp_path: Path) -> Iterator[World]:
    """The toy's loop with its first champion, three quiet days later; its controller was started again."""
    with lived(quiet_days, tmp_path / "running") as world:
        yield world


@pytest.fixture
def proposed(first_day: Path, tmp_path: Path) -> Iterator[World]:
    """The toy's loop with its first champion and a candidate that nobody has looked at."""
    with lived(first_day, tmp_path / "proposed") as world:
        yield world


@pytest.fixture
def boosted(world: World, tmp_path: Path) -> World:
    """The toy's loop with a first champion that LightGBM made, from code in a folder of its own."""
    world.boost(tmp_path / "code")
    world.tick()
    return world


@pytest.fixture
def twin(opening: Path, tmp_path: Path) -> Iterator[World]:
    """Another home in the same state."""
    with lived(opening, tmp_path / "twin") as world:
        yield world


@contextmanager
def lived(before: Path, home: Path) -> Iterator[World]:
    """A copy of a home, at the moment that the other was left at."""
    world = opened_at(shutil.copytree(before, home))
    yield world
    (home / LEFT).write_text(world.clock.now().isoformat())
    world.close()
    world.platform.close()


def opened_at(home: Path) -> World:
    """The toy project in a home, at the moment that it was left at: the opening day at first. Ids go on, too."""
    left = home / LEFT
    at = datetime.fromisoformat(left.read_text()) if left.exists() else OPENING
    platform = open_platform(load({"home": str(home), "seed": 7}, environment={}, folder=home.parent))
    platform.resources = replace(platform.resources, clock=SimulatedClock(at), random=Random(at.isoformat()))
    unsynced(platform)
    return World(platform)


def prepared(home: Path) -> Path:
    """A home that the toy project was applied in."""
    platform = open_platform(load({"home": str(home), "seed": 1}, environment={}, folder=home.parent))
    platform.resources = replace(platform.resources, clock=SimulatedClock(START))
    World(platform).prepare()
    platform.close()
    return home
