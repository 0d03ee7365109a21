"""No feature knows the future: the honest join does not see it, and a leak that is planted is found out.

Two alarms are held to their work: what lies in the future is changed, and no feature may move; and a model that sees
the future is too good to be true.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from flights.features import airline_landings, airport, airport_departures, airport_landings, delay
from flights.training import LABEL, boosted

import everloop as el
from everloop.features.entities import FeatureView

MOMENT = datetime.fromisoformat("2013-02-27T20:00:00+00:00")
TOO_GOOD = 0.95
"""An area under the curve that nobody reaches on flights two hours ahead without knowing how they ended."""
Joined = Callable[..., pa.Table]


@pytest.fixture
def joined(weeks: el.Everloop, schedule: pa.Table) -> Joined:
    """`joined(rows, *views)`: the rows with the features of some views."""
    numbers = count()

    def join(rows: pa.Table, *views: FeatureView) -> pa.Table:
        name = f"probe{next(numbers)}"
        weeks.features.apply([el.FeatureService(name, views=list(views))])
        return el.point_in_time(rows, at="predicted_at", features=el.pin(name))

    return join


@pytest.fixture
def asked(schedule: pa.Table) -> pa.Table:
    """The flights that are asked about in the hours up to a moment."""
    asked = schedule["predicted_at"]
    low, high = (pa.scalar(at, asked.type) for at in (MOMENT - timedelta(hours=6), MOMENT))
    return schedule.filter(pc.and_(pc.greater(asked, low), pc.less_equal(asked, high)))


def with_another_future(source: str, known_at: str) -> el.Snapshot:
    """A source with every delay that becomes known after the moment replaced by an absurd one."""
    rows = el.read_table(el.snapshot(source))
    future = pc.greater(rows[known_at], pa.scalar(MOMENT, rows[known_at].type))
    delays = next(name for name in ("dep_delay", "arr_delay") if name in rows.column_names)
    changed = pc.if_else(future, 5_000.0, rows[delays])
    return el.write_table(f"{source}_changed", rows.set_column(rows.column_names.index(delays), delays, changed))


def changed_view(view: FeatureView, source: str, **changes: object) -> FeatureView:
    """A view with another name, over another source."""
    return msgspec.structs.replace(view, **({"name": f"{view.name}_changed", "source": source} | changes))


def values(table: pa.Table, view: FeatureView) -> np.ndarray:
    """What the features of a view are, a row a flight."""
    return np.column_stack([table[f"{view.name}.{feature.name}"].to_numpy() for feature in view.features])


@pytest.mark.parametrize(
    ("view", "known_at"),
    [(airport_departures, "departed_at"), (airport_landings, "landed_at"), (airline_landings, "landed_at")],
    ids=lambda value: getattr(value, "name", value),
)
def test_another_future_changes_no_feature(joined: Joined, asked: pa.Table, view: FeatureView, known_at: str) -> None:
    other = changed_view(view, with_another_future(view.source, known_at).dataset)
    found = joined(asked, view, other)
    before = values(found, view)
    assert np.isfinite(before).any()
    np.testing.assert_array_equal(before, values(found, other))


def test_a_view_that_is_stamped_earlier_than_it_was_known_is_found_out_by_another_future(
    joined: Joined, asked: pa.Table
) -> None:
    early = pc.subtract(el.read_table(el.snapshot("landings"))["landed_at"], pa.scalar(timedelta(hours=4)))
    leaky = []
    for source in ("landings", with_another_future("landings", "landed_at").dataset):
        rows = el.read_table(el.snapshot(source)).append_column("scheduled_landing", early)
        el.write_table(f"{source}_early", rows)
        leaky.append(changed_view(airport_landings, f"{source}_early", timestamp="scheduled_landing", name=source))
    found = joined(asked, *leaky)
    one, other = (values(found, view) for view in leaky)
    assert not np.array_equal(one, other, equal_nan=True)
    assert np.nanmax(other) > 1_000 > np.nanmax(one)


def test_weather_is_known_when_its_hour_is_over(joined: Joined, asked: pa.Table) -> None:
    weather = next(view for view in delay.views if view.name == "airport_weather")
    readings = {(row["origin"], row["time_hour"]): row for row in el.read_table(el.snapshot("weather")).to_pylist()}
    for row in joined(asked, weather).to_pylist():
        assert (
            row["airport_weather.wind_speed"]
            == readings[row["origin"], row["predicted_at"] - timedelta(hours=1)]["wind_speed"]
        )


def test_a_mean_delay_is_that_of_the_landings_of_its_window(joined: Joined, asked: pa.Table) -> None:
    landings = el.read_table(el.snapshot("landings")).to_pylist()
    for row in joined(asked, airport_landings).to_pylist()[::97]:
        at = row["predicted_at"]
        seen = [
            one["arr_delay"]
            for one in landings
            if one["origin"] == row["origin"] and at - timedelta(hours=3) < one["landed_at"] <= at
        ]
        assert row["airport_landings.arr_delay_mean_3h"] == pytest.approx(np.mean(seen) if seen else None, nan_ok=True)


class TestALabelThatIsJoinedFromTheFuture:
    """A view of each flight's own delay: of use only to who knows it before the flight."""

    flight = el.Entity("flight", keys=["flight_id"])

    def view(self, name: str, stamp: str) -> FeatureView:
        source = el.table("schedule")
        return el.FeatureView(name, entity=self.flight, source=source, timestamp=stamp, features=lambda t: [t.late])

    def test_the_honest_join_does_not_see_it(self, joined: Joined, schedule: pa.Table) -> None:
        found = joined(schedule, self.view("outcome", "landed_at"))
        assert found["outcome.late"].null_count == found.num_rows

    def test_a_model_that_sees_it_is_too_good_to_be_true(self, joined: Joined, schedule: pa.Table) -> None:
        rows = joined(schedule, self.view("leak", "predicted_at"), airport_landings)
        assert quality(rows, ["leak.late", "airport_landings.arr_delay_mean_3h"]) > TOO_GOOD

    def test_a_model_that_does_not_is_not(self, joined: Joined, schedule: pa.Table) -> None:
        rows = joined(schedule, self.view("outcome", "landed_at"), airport_landings)
        assert 0.5 < quality(rows, ["outcome.late", "airport_landings.arr_delay_mean_3h"]) < 0.85


def quality(rows: pa.Table, names: list[str]) -> float:
    """The area under the curve of a small model, trained on the first half and judged on the second."""
    rows = rows.filter(pc.is_valid(rows[LABEL]))
    half = rows.num_rows // 2
    columns = [el.columns_of(part, names) for part in (rows.slice(0, half), rows.slice(half))]
    signature = el.signature_of(columns[0])
    truth = rows[LABEL].to_numpy()
    booster = boosted(columns[0], truth[:half], signature, rounds=10)
    matrix = el.InputMatrix(signature.inputs)(columns[1])
    found = el.performance_of(truth[half:], np.asarray(booster.predict(matrix, num_threads=1)))
    assert found.roc_auc is not None
    return found.roc_auc


def test_airports_are_the_three_of_new_york(schedule: pa.Table) -> None:
    assert airport.keys == ("origin",)
    assert set(schedule["origin"].to_pylist()) == {"EWR", "JFK", "LGA"}
