"""What every test can ask for: a platform on a simulated clock, and a session that has begun."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.catalog.session import Session
from everloop.kernel.clock import SimulatedClock
from tests import examples, homes, scheduling

if TYPE_CHECKING:
    from xdist.remote import Producer

START = datetime(2026, 1, 1, tzinfo=UTC)


def pytest_configure(config: pytest.Config) -> None:
    """Where slow tests are left out, properties are tried on fewer examples."""
    examples.choose(quick=config.option.markexpr == "not slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first."""
    scheduling.in_order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> scheduling.ByUnit:
    """One process runs all tests of a file."""
    return scheduling.ByUnit(config, log)


@pytest.fixture(autouse=True)
def same_paths() -> Iterator[None]:
    """Modules are looked for where they were before: a model that brings its code puts a folder of it first."""
    before = sys.path[:]
    yield
    sys.path[:] = before


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
    return homes.fresh(tmp_path_factory.mktemp("empty")) / "catalog.db"


@contextmanager
def opened(home: Path, catalog: Path, clock: SimulatedClock) -> Iterator[Platform]:
    """A platform in a home, with a copy of a catalog unless the home has one; power may not fail while it is open."""
    if not home.exists():
        home.mkdir(mode=0o700)
        shutil.copyfile(catalog, home / "catalog.db")
    platform = open_platform(load({"home": str(home), "seed": 7}, environment={}, folder=home.parent))
    platform.resources = replace(platform.resources, clock=clock, random=Random(7))
    unsynced(platform)
    yield platform
    platform.close()


def unsynced(platform: Platform) -> None:
    """Spare a platform's commits the wait for the disk, which is most of what a small test takes."""
    engine = platform.resources.database.engine
    engine.dispose()
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))


@pytest.fixture
def platform(home: Path, clock: SimulatedClock, empty_catalog: Path) -> Iterator[Platform]:
    """A platform in a fresh home, with a simulated clock and seeded randomness."""
    with opened(home, empty_catalog, clock) as fresh:
        yield fresh


@pytest.fixture(scope="module")
def shared_platform(tmp_path_factory: pytest.TempPathFactory, empty_catalog: Path) -> Iterator[Platform]:
    """A platform for all tests of a module that only read."""
    with opened(tmp_path_factory.mktemp("shared") / "home", empty_catalog, SimulatedClock(START)) as fresh:
        yield fresh


@pytest.fixture
def session(platform: Platform) -> Iterator[Session]:
    """A unit of work that has begun, with itself as the active session; it is committed at the end of the test."""
    idle = platform.session()
    with idle.begin() as unit, unit.activate():
        yield unit
