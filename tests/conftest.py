"""What every test can ask for: a platform on a simulated clock, and a session that has begun."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.catalog.session import Session
from everloop.kernel.clock import SimulatedClock

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> SimulatedClock:
    """A clock that stands at the start of 2026 until a test moves it."""
    return SimulatedClock(START)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A fresh home folder."""
    return tmp_path / "home"


@pytest.fixture
def platform(home: Path, clock: SimulatedClock) -> Iterator[Platform]:
    """A platform in a fresh home, with a simulated clock and seeded randomness."""
    opened = open_platform(load({"home": str(home), "seed": 7}, environment={}, folder=home.parent))
    opened.resources = replace(opened.resources, clock=clock, random=Random(7))
    yield opened
    opened.close()


@pytest.fixture
def session(platform: Platform) -> Iterator[Session]:
    """A unit of work that has begun, with itself as the active session; it is committed at the end of the test."""
    idle = platform.session()
    with idle.begin() as unit, unit.activate():
        yield unit
