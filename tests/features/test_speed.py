"""What features may cost, in CPU seconds, on data the size of the flights of a year."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from everloop.catalog.session import Session
from everloop.datasets.content import write_table
from everloop.features.declare import Entity, FeatureService, FeatureView, window
from everloop.features.entities import FeatureView as View
from everloop.features.entities import PinnedFeatures
from everloop.features.online import Materializer, OnlineFeatures
from everloop.features.onlinestore import OnlineStore
from everloop.features.pointintime import join
from everloop.kernel.clock import micros
from tests.conftest import START
from tests.features.worlds import TIME

pytestmark = pytest.mark.slow
FLIGHTS, PLANES, HOURS = 336_776, 3_322, 8_760
AIRPORTS = ["EWR", "JFK", "LGA"]
CARRIERS = [f"C{at:02}" for at in range(16)]


def cpu_seconds(work: Callable[[], object]) -> float:
    """What a piece of work costs this process."""
    before = time.process_time()
    work()
    return time.process_time() - before


def flights() -> pa.Table:
    """As many flights as left New York in 2013, with made-up values."""
    random = np.random.default_rng(1)
    at = np.sort(random.integers(0, HOURS * 60, FLIGHTS)) * 60_000_000 + micros(START)
    delay = pa.array(random.normal(10, 30, FLIGHTS).round(), mask=random.random(FLIGHTS) < 0.03)
    return pa.table(
        {
            "origin": np.array(AIRPORTS)[random.integers(0, 3, FLIGHTS)],
            "carrier": np.array(CARRIERS)[random.integers(0, 16, FLIGHTS)],
            "tailnum": np.array([f"N{at:05}" for at in range(PLANES + 700)])[random.integers(0, PLANES + 700, FLIGHTS)],
            "at": pa.array(at, TIME),
            "left": pa.array(at + 600_000_000, TIME),
            "delay": delay,
        }
    )


def rolling(name: str, key: str, over: str) -> View:
    """Mean delay and traffic over a window."""
    return FeatureView(
        name,
        entity=Entity(key, keys=[key]),
        source="flights",
        timestamp="left",
        features=lambda t: [window(t.delay.mean(), over), window(t.count(), over)],
    )


@pytest.fixture
def pinned(session: Session) -> PinnedFeatures:
    """Weather, planes, and three views of rolling windows."""
    stamps = pa.array(np.repeat(np.arange(HOURS), 3) * 3_600_000_000 + micros(START), TIME)
    weather = pa.table({"origin": AIRPORTS * HOURS, "hour": stamps, "wind": np.arange(HOURS * 3) % 40})
    planes = pa.table({"tailnum": [f"N{at:05}" for at in range(PLANES)], "seats": np.arange(PLANES)})
    tables = {"flights": flights(), "weather": weather, "planes": planes}
    snapshots = {name: write_table(session, name, table) for name, table in tables.items()}
    views = [
        FeatureView(
            "weather",
            entity=Entity("origin", keys=["origin"]),
            source="weather",
            timestamp="hour",
            ttl="3h",
            available_after="1h",
            features=lambda t: [t.wind],
        ),
        FeatureView(
            "planes", entity=Entity("tailnum", keys=["tailnum"]), source="planes", features=lambda t: [t.seats]
        ),
        rolling("origin_day", "origin", "24h"),
        rolling("carrier_day", "carrier", "24h"),
        rolling("origin_hours", "origin", "2h"),
    ]
    return PinnedFeatures(FeatureService("s", views=views), 1, {view.name: snapshots[view.source] for view in views})


def test_a_year_of_flights_joins_five_views_in_a_second_and_a_half(session: Session, pinned: PinnedFeatures) -> None:
    rows = flights()
    assert cpu_seconds(lambda: join(session, rows, "at", pinned)) < 1.5


def test_an_hour_of_materializing_costs_under_two_milliseconds(session: Session, pinned: PinnedFeatures) -> None:
    materializer = Materializer(session, pinned)
    materializer.advance(START + timedelta(days=60))

    def move() -> None:
        for hour in range(500):
            materializer.advance(START + timedelta(days=60, hours=hour + 1))

    assert cpu_seconds(move) / 500 < 0.002


def test_fifty_rows_of_five_views_are_read_in_under_half_a_millisecond(
    session: Session, pinned: PinnedFeatures
) -> None:
    Materializer(session, pinned).advance(START + timedelta(days=60))
    online = OnlineFeatures(session.ports.get(OnlineStore), pinned)
    some = flights().slice(1000, 50)
    request = {name: some[name].to_pylist() for name in ("origin", "carrier", "tailnum")}

    def ask() -> None:
        for _ in range(500):
            online.read(request, micros(START + timedelta(days=60)))

    assert cpu_seconds(ask) / 500 < 0.0004
