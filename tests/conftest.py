"""What every test can ask for: a platform on a simulated clock, and a session that has begun."""

from __future__ import annotations

import shutil
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
from tests import examples

START = datetime(2026, 1, 1, tzinfo=UTC)


def pytest_configure(config: pytest.Config) -> None:
    """Where slow tests are left out, properties are tried on fewer examples."""
    examples.choose(quick=config.option.markexpr == "not slow")


@pytest.fixture
def clock() -> SimulatedClock:
    """A clock that stands at the start of 2026 until a test moves it."""
    return SimulatedClock(START)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A fresh home folder."""
    return tmp_path / "home"


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a catalog that is migrated and holds nothing: to copy it costs a tenth of migrating a new one."""
    folder = tmp_path_factory.mktemp("empty")
    open_platform(load({"home": str(folder)}, environment={}, folder=folder)).close()
    return folder / "catalog.db"


@pytest.fixture
def migrated_home(home: Path, empty_catalog: Path) -> Path:
    """A home folder in which the catalog has its tables already, unless a test has put a whole home there."""
    if not home.exists():
        home.mkdir(mode=0o700)
        shutil.copyfile(empty_catalog, home / "catalog.db")
    return home


@pytest.fixture
def platform(migrated_home: Path, clock: SimulatedClock) -> Iterator[Platform]:
    """A platform in a fresh home, with a simulated clock and seeded randomness."""
    settings = load({"home": str(migrated_home), "seed": 7}, environment={}, folder=migrated_home.parent)
    opened = open_platform(settings)
    opened.resources = replace(opened.resources, clock=clock, random=Random(7))
    yield opened
    opened.close()


@pytest.fixture
def session(platform: Platform) -> Iterator[Session]:
    """A unit of work that has begun, with itself as the active session; it is committed at the end of the test."""
    idle = platform.session()
    with idle.begin() as unit, unit.activate():
        yield unit
