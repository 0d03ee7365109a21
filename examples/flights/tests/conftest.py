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

from flights.data import DERIVED, ingest
from flights.deliveries import Delivery, deliveries
from flights.features import delay
from flights.suites import suites
from flights.training import LABEL, Split, boosted, examples, split
from flights.world import FIRST_DAY

_FROM, _TO = (2, 16), (3, 9)
"""The first and the last day of the three weeks."""
_OTHER_MONTHS = {"2013-07, distances in kilometres", "2013-01", *(f"2013-{month:02}" for month in range(4, 13))}


@pytest.fixture(scope="session")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[el.Everloop]:
    """A platform with three weeks of flights around the first day, the features applied."""
    ever = el.open(tmp_path_factory.mktemp("weeks"))
    for delivery in deliveries():
        if delivery.note not in _OTHER_MONTHS:
            bring_in = ever.datasets.append if delivery.note == "2013-03" else ever.datasets.commit
            bring_in(delivery.table, ever.put(_some(delivery)), "csv")
    for name, sql in DERIVED.items():
        ever.datasets.derive(name, sql, ("flights",))
    ever.features.apply([delay])
    yield ever
    ever.close()


@pytest.fixture(scope="session")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[el.Everloop]:
    """A platform with the whole year, as `ingest` makes it under the suites."""
    home = tmp_path_factory.mktemp("year")
    ever = el.open(home)
    ever.datasets.apply_suites(tuple(suites))
    ingest(str(home))
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


def _some(delivery: Delivery) -> bytes:
    """The lines of the three weeks; planes have no time."""
    if delivery.table == "planes":
        return delivery.data
    head, *lines = delivery.data.splitlines(keepends=True)
    month, day = (head.split(b",").index(column) for column in (b"month", b"day"))
    cells = ((line, line.split(b",")) for line in lines)
    return head + b"".join(line for line, cell in cells if _FROM <= (int(cell[month]), int(cell[day])) <= _TO)
