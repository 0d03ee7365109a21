"""What the project's tests work on: three weeks of the real flights, and for the slow ones the whole year."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

import everloop as el

sys.path.insert(0, str(Path(__file__).parents[1]))

from flights.data import DERIVED, ingest, raw_files
from flights.features import delay
from flights.training import LABEL, Split, boosted, examples, split
from flights.world import FIRST_DAY

_FROM, _TO = (2, 16), (3, 9)
"""The first and the last day of the three weeks."""


@pytest.fixture(scope="session")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[el.Everloop]:
    """A platform with three weeks of flights around the first day, the features applied."""
    ever = el.open(tmp_path_factory.mktemp("weeks"))
    for name, data in raw_files():
        ever.datasets.commit(name, ever.put(_some(name, data)), "csv")
    for name, sql in DERIVED.items():
        ever.datasets.derive(name, sql, ("flights",))
    ever.features.apply([delay])
    yield ever
    ever.close()


@pytest.fixture(scope="session")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[el.Everloop]:
    """A platform with the whole year, as `ingest` makes it."""
    home = tmp_path_factory.mktemp("year")
    ingest(str(home))
    ever = el.open(home)
    yield ever
    ever.close()


@pytest.fixture
def schedule(weeks: el.Everloop) -> Iterator[pa.Table]:
    """The flights of the three weeks as they are asked about; steps that are called work on their platform."""
    with weeks.session().activate():
        yield el.read_table(el.snapshot("schedule"))


@pytest.fixture(scope="session")
def since() -> datetime:
    """The first moment of the examples."""
    return datetime(2013, 2, 16, 5, tzinfo=UTC)


@pytest.fixture(scope="session")
def cut() -> datetime:
    """The moment that divides training and holdout."""
    return datetime(2013, 2, 25, 5, tzinfo=UTC)


@pytest.fixture(scope="session")
def known(weeks: el.Everloop, since: datetime) -> el.Snapshot:
    """The examples whose delay was known on the first day."""
    with weeks.session().activate():
        return examples(el.snapshot("schedule"), el.pin("delay"), since, FIRST_DAY)


@pytest.fixture(scope="session")
def parts(weeks: el.Everloop, known: el.Snapshot, cut: datetime) -> Split:
    """The examples in two: what was known on the 25th of February, and the flights after it."""
    with weeks.session().activate():
        return split(known, cut)


@pytest.fixture(scope="session")
def model(weeks: el.Everloop, parts: Split) -> el.Model:
    """A small model of the training part."""
    with weeks.session().activate():
        rows = el.read_table(parts.training)
        columns = el.columns_of(rows, el.pin("delay").columns)
        signature = el.signature_of(columns)
        booster = boosted(columns, rows[LABEL].to_numpy(), signature, rounds=30)
        return el.save_model(booster, flavor="lightgbm", signature=signature)


def _some(name: str, data: bytes) -> bytes:
    """The lines of the three weeks; planes have no time."""
    if name == "planes":
        return data
    head, *lines = data.splitlines(keepends=True)
    month, day = (head.split(b",").index(column) for column in (b"month", b"day"))
    cells = ((line, line.split(b",")) for line in lines)
    return head + b"".join(line for line, cell in cells if _FROM <= (int(cell[month]), int(cell[day])) <= _TO)
