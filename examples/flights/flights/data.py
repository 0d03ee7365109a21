"""The data: every flight out of New York in 2013, the weather there, the planes, and what is derived from them."""

from __future__ import annotations

from pathlib import Path

import everloop as el
from flights.corrections import correct
from flights.deliveries import RAW, Inbox, deliveries

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
    """Take in what was delivered, correct the planes, and derive what the features read.

    It can be called again at any time, also when it was interrupted: what is done is not done twice.
    """
    with el.open(home) as ever:
        inbox = Inbox(ever, Path(home) / RAW)
        for delivery in deliveries():
            inbox.take(delivery)
        correct(ever)
        raw = [ever.datasets.get(name) for name in ("flights", "weather", "planes")]
        derived = [ever.datasets.derive(name, sql, ("flights",)) for name, sql in DERIVED.items()]
    return [*raw, *derived]
