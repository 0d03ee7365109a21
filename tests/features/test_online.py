"""The same values online: materializing through time, and looking up by key."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.catalog.session import Session
from everloop.datasets.content import write_table
from everloop.datasets.entities import Snapshot
from everloop.features.declare import Entity, FeatureService, FeatureView, window
from everloop.features.entities import FeatureService as Service
from everloop.features.entities import FeatureView as View
from everloop.features.entities import PinnedFeatures
from everloop.features.online import Materializer, OnlineFeatures, read_state
from everloop.features.onlinestore import OnlineStore
from everloop.features.pointintime import join
from everloop.kernel.clock import micros
from everloop.kernel.errors import InvalidInput
from tests.examples import examples
from tests.features.worlds import World, moment, rows_table, source_table, worlds

AIRPORT = Entity("airport", keys=["origin"])


def pinned_of(snapshot: Snapshot, *views: View) -> PinnedFeatures:
    """Views of one snapshot, pinned."""
    return PinnedFeatures(Service("s", views), 1, {view.name: snapshot for view in views})


def delays(ttl: str | None = "30m", available_after: str = "0s") -> View:
    """The newest delay, and two windows of 20 minutes."""
    return FeatureView(
        "delays",
        entity=AIRPORT,
        source="departures",
        timestamp="departed",
        ttl=ttl,
        available_after=available_after,
        features=lambda t: [
            t.delay,
            window(t.delay.mean(), "20m").named("mean"),
            window(t.count(), "20m").named("n"),
        ],
    )


def online(session: Session, pinned: PinnedFeatures) -> OnlineFeatures:
    """The reading side."""
    return OnlineFeatures(session.ports.get(OnlineStore), pinned)


def read(session: Session, pinned: PinnedFeatures, minute: float, *origins: str | None) -> dict[str, list[float]]:
    """What is online for some airports, by feature."""
    found = online(session, pinned).read({"origin": origins}, micros(moment(minute)))
    return {name.partition(".")[2]: values.tolist() for name, values in found.items()}


def same(found: list[float], expected: list[float | None]) -> bool:
    """Whether two lists are equal, NaN and None being one."""
    return found == pytest.approx([np.nan if x is None else x for x in expected], nan_ok=True, rel=0, abs=0)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds(), steps=st.lists(st.integers(0, 14), min_size=1, max_size=5))
def test_online_equals_offline_at_every_step(session: Session, world: World, steps: list[int]) -> None:
    pinned = pinned_of(write_table(session, "source", source_table(world.source)), world.view)
    session.ports.get(OnlineStore).clear(pinned.table)
    materializer, reader = Materializer(session, pinned), online(session, pinned)
    for minute in steps:  # Backwards too: that is written anew.
        now = moment(minute)
        materializer.advance(now)
        rows = rows_table([{**row, "at": now} for row in world.rows])
        found = reader.read({"place": rows["place"].to_pylist(), "line": rows["line"].to_pylist()}, micros(now))
        offline = join(session, rows, "at", pinned)
        assert sorted(found) == sorted(offline.column_names[4:])
        for name, values in found.items():
            expected = offline[name].to_numpy()
            assert values.tobytes() == np.where(np.isnan(expected), np.nan, expected).tobytes()


def test_only_what_changed_is_written(session: Session, departures: Snapshot) -> None:
    materializer = Materializer(session, pinned_of(departures, delays()))
    assert materializer.advance(moment(15)) == 2
    assert materializer.advance(moment(19)) == 0
    assert materializer.advance(moment(20)) == 1  # EWR departs, and its departure of minute 0 leaves the window.
    assert materializer.advance(moment(30)) == 1


def test_a_window_moves_on_when_nothing_happens(session: Session, departures: Snapshot) -> None:
    pinned = pinned_of(departures, delays())
    materializer = Materializer(session, pinned)
    materializer.advance(moment(50))
    assert read(session, pinned, 50, "EWR")["n"] == [2.0]
    materializer.advance(moment(65))
    assert read(session, pinned, 65, "EWR")["n"] == [1.0]
    materializer.advance(moment(500))
    after = read(session, pinned, 500, "EWR")
    assert after["n"] == [0.0]
    assert same(after["mean"], [None])


def test_the_ttl_is_honoured_at_the_moment_of_reading(session: Session, departures: Snapshot) -> None:
    pinned = pinned_of(departures, delays())
    Materializer(session, pinned).advance(moment(40))
    assert same(read(session, pinned, 60, "JFK")["delay"], [10.0])
    assert same(read(session, pinned, 60 + 1 / 60_000_000, "JFK")["delay"], [None])


def test_nothing_goes_online_before_it_is_known(session: Session, departures: Snapshot) -> None:
    pinned = pinned_of(departures, delays(available_after="15m"))
    materializer = Materializer(session, pinned)
    materializer.advance(moment(24))
    assert same(read(session, pinned, 24, "EWR", "JFK")["delay"], [4.0, None])
    materializer.advance(moment(25))
    assert same(read(session, pinned, 25, "EWR", "JFK")["delay"], [4.0, 8.0])


def test_rows_come_back_in_their_order_with_twins_and_strangers(session: Session, departures: Snapshot) -> None:
    pinned = pinned_of(departures, delays())
    Materializer(session, pinned).advance(moment(40))
    found = read(session, pinned, 40, "JFK", None, "EWR", "LGA", "JFK")
    assert same(found["delay"], [10.0, None, -1.0, None, 10.0])
    assert same(found["n"], [1.0, None, 1.0, 0.0, 1.0])


def test_before_anything_is_materialized_nothing_is_known(session: Session, departures: Snapshot) -> None:
    found = read(session, pinned_of(departures, delays()), 40, "JFK")
    assert all(same(values, [None]) for values in found.values())


def test_a_new_materializer_goes_on_where_the_last_one_stopped(session: Session, departures: Snapshot) -> None:
    pinned = pinned_of(departures, delays())
    Materializer(session, pinned).advance(moment(20))
    assert Materializer(session, pinned).advance(moment(20)) == 0
    assert Materializer(session, pinned).advance(moment(30)) == 1
    state = read_state(session.ports.get(OnlineStore), pinned.table)
    assert state is not None
    assert (state.generation, state.until) == (1, micros(moment(30)))


def test_changes_that_are_made_ahead_show_only_once_they_are_written(session: Session, departures: Snapshot) -> None:
    pinned = pinned_of(departures, delays())
    materializer = Materializer(session, pinned)
    materializer.advance(moment(15))
    before = read(session, pinned, 15, "EWR", "JFK")
    ahead = materializer.changes(moment(20))
    assert read(session, pinned, 15, "EWR", "JFK") == before
    assert materializer.write(ahead) == 1
    assert read(session, pinned, 20, "EWR") != before


def test_changes_that_the_store_has_gone_past_are_made_anew(session: Session, departures: Snapshot) -> None:
    pinned = pinned_of(departures, delays())
    materializer = Materializer(session, pinned)
    ahead = materializer.changes(moment(40))
    materializer.advance(moment(30))
    materializer.write(ahead)
    later = read(session, pinned, 40, "EWR", "JFK")
    materializer.advance(moment(5))
    materializer.advance(moment(40))
    assert read(session, pinned, 40, "EWR", "JFK") == later


def test_going_back_takes_back_what_was_not_known_yet(session: Session, departures: Snapshot) -> None:
    pinned = pinned_of(departures, delays())
    materializer = Materializer(session, pinned)
    materializer.advance(moment(40))
    materializer.advance(moment(5))
    found = read(session, pinned, 5, "EWR", "JFK")
    assert same(found["delay"], [4.0, None])
    assert found["n"] == [1.0, 0.0]


def test_other_snapshots_are_written_anew(session: Session, departures: Snapshot) -> None:
    pinned = pinned_of(departures, delays())
    Materializer(session, pinned).advance(moment(40))
    mended = pa.table(
        {"origin": ["JFK"], "departed": pa.array([moment(30)], pa.timestamp("us", "UTC")), "delay": [77.0]}
    )
    renewed = pinned_of(write_table(session, "departures", mended), delays())
    assert Materializer(session, renewed).advance(moment(40)) == 1
    assert same(read(session, renewed, 40, "JFK", "EWR")["delay"], [77.0, None])


def test_views_and_services_do_not_mix_in_the_store(session: Session, departures: Snapshot) -> None:
    other = msgspec.structs.replace(delays(ttl=None), name="delays2")
    both = pinned_of(departures, delays(), other)
    elsewhere = PinnedFeatures(both.service, 2, both.sources)
    Materializer(session, both).advance(moment(10))
    Materializer(session, elsewhere).advance(moment(40))
    found = online(session, both).read({"origin": ["JFK"]}, micros(moment(45)))
    assert same(found["delays.delay"].tolist(), [None])
    assert same(found["delays2.delay"].tolist(), [8.0])


def test_data_without_time_is_online_from_the_first_moment(session: Session) -> None:
    planes = pa.table({"tail": ["N1", "N2", None], "line": [1, 1, 1], "seats": [100, 200, 300]})
    view = FeatureView("planes", entity=Entity("p", keys=["tail", "line"]), source="p", features=lambda t: [t.seats])
    pinned = pinned_of(write_table(session, "planes", planes), view)
    assert Materializer(session, pinned).advance(moment(-1e9)) == 2
    assert Materializer(session, pinned).advance(moment(9)) == 0
    found = online(session, pinned).read({"tail": ["N2", "N3", None], "line": np.array([1, 1, 1])}, 0)
    assert same(found["planes.seats"].tolist(), [200.0, None, None])


def test_keys_come_as_lists_or_arrays_of_any_fitting_type(session: Session, departures: Snapshot) -> None:
    view = FeatureView("gates", entity=Entity("g", keys=["gate"]), source="d", features=lambda t: [t.delay])
    pinned = pinned_of(departures, view)
    Materializer(session, pinned).advance(moment(0))
    reader = online(session, pinned)
    for keys in ([1, None], np.array([1.0, np.nan]), np.array([1, None], dtype=object), [np.int32(1), float("nan")]):
        assert same(reader.read({"gate": keys}, 0)["gates.delay"].tolist(), [4.0, None])


@pytest.mark.parametrize("key", ["1", 1.5, b"1", [1], object()])
def test_a_key_of_a_wrong_type_is_refused(session: Session, departures: Snapshot, key: object) -> None:
    view = FeatureView("gates", entity=Entity("g", keys=["gate"]), source="d", features=lambda t: [t.delay])
    with pytest.raises(InvalidInput):
        online(session, pinned_of(departures, view)).read({"gate": [key]}, 0)


def test_a_missing_key_column_is_named(session: Session, departures: Snapshot) -> None:
    with pytest.raises(InvalidInput, match=r"no key 'origin'.*It has dest"):
        online(session, pinned_of(departures, delays())).read({"dest": ["JFK"]}, 0)


def test_key_columns_of_different_lengths_are_refused(session: Session, departures: Snapshot) -> None:
    view = FeatureView("v", entity=Entity("e", keys=["origin", "gate"]), source="d", features=lambda t: [t.delay])
    with pytest.raises(InvalidInput, match="origin, gate differ in length"):
        online(session, pinned_of(departures, view)).read({"origin": ["JFK"], "gate": [1, 2]}, 0)


def test_no_rows_are_no_values(session: Session, departures: Snapshot) -> None:
    pinned = pinned_of(departures, delays())
    Materializer(session, pinned).advance(moment(40))
    assert {name: len(values) for name, values in online(session, pinned).read({"origin": []}, 0).items()} == {
        "delays.delay": 0,
        "delays.mean": 0,
        "delays.n": 0,
    }


def test_a_service_that_only_takes_requests_reads_nothing(session: Session) -> None:
    pinned = PinnedFeatures(FeatureService("r", views=[], request={"x": "float64"}), 1, {})
    assert Materializer(session, pinned).advance(moment(0)) == 0
    assert online(session, pinned).read({"x": [1.0]}, 0) == {}
    assert online(session, pinned).key_columns == ()


_CRASHER = """
import sys
from datetime import timedelta
from pathlib import Path
import msgspec
from everloop.app.platform import open_platform
from everloop.app.settings import load
from everloop.features.entities import PinnedFeatures
from everloop.features.online import Materializer
from tests.features.worlds import moment

home, pinned = Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=PinnedFeatures)
platform = open_platform(load({"home": str(home)}, environment={}, folder=home.parent))
materializer = Materializer(platform.session(), pinned)
print("ready", flush=True)
for second in range(3600):
    materializer.advance(moment(0) + timedelta(seconds=second))
"""


@pytest.mark.slow
def test_killed_anywhere_it_goes_on_with_equal_values(session: Session, home: Path, departures: Snapshot) -> None:
    pinned = pinned_of(departures, delays(ttl=None))
    store = session.ports.get(OnlineStore)
    arguments = [sys.executable, "-c", _CRASHER, str(home), msgspec.json.encode(pinned).decode()]
    reached = -1
    for pause in (0.0, 0.01, 0.05):
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(pause)
            os.kill(child.pid, signal.SIGKILL)
        state = read_state(store, pinned.table)
        reached = max(reached, state.until if state else -1)
        if state:
            _assert_like_fresh(session, pinned, state.until)
    assert reached > 0
    Materializer(session, pinned).advance(moment(60))
    _assert_like_fresh(session, pinned, micros(moment(60)))


def _assert_like_fresh(session: Session, pinned: PinnedFeatures, until: int) -> None:
    at: datetime = moment(0) + (until - micros(moment(0))) * (moment(1) - moment(0)) / 60_000_000
    rows = pa.table({"origin": ["EWR", "JFK"], "at": pa.array([at, at], pa.timestamp("us", "UTC"))})
    expected = join(session, rows, "at", pinned)
    for name, values in online(session, pinned).read({"origin": ["EWR", "JFK"]}, until).items():
        assert same(values.tolist(), expected[name].to_pylist())
