"""What the controller keeps in memory."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

from everloop.loop import watch
from everloop.loop.watch import Feed, Watch
from everloop.monitoring.entities import WindowReport
from everloop.monitoring.window import WindowMonitor
from everloop.rollouts.entities import Rollout
from tests.loop.world import OPENING, World


def fresh(world: World, *reported: WindowReport) -> Watch:
    feed = Feed(world.platform.resources.home, "default", "late")
    return Watch(feed, WindowMonitor("late", ()), reported)


def test_each_prediction_and_label_is_news_once(world: World) -> None:
    world.tick()
    watch = fresh(world)
    world.live(3)
    first, again = watch.look(world.clock.now()), watch.look(world.clock.now())
    assert (first.predictions, first.labels, again.predictions, again.labels) == (150, 150, 0, 0)


def test_outcomes_are_the_labelled_answers_of_a_span(world: World) -> None:
    world.tick()
    world.live(4)
    watch = fresh(world)
    watch.look(world.clock.now())
    assert len(watch.outcomes(OPENING, world.clock.now())) == 150


def test_a_new_watch_knows_the_windows_that_were_reported_before(world: World) -> None:
    days = [OPENING + timedelta(days=n) for n in range(3)]
    reports = [WindowReport("late", days[n], days[n + 1], 9, 1, impact=0.1 * n) for n in range(2)]
    assert [window.impact for window in fresh(world, *reports[::-1]).windows] == [0.0, 0.1]


def test_the_evidence_of_a_rollout_is_the_same_for_a_new_watch(world: World) -> None:
    world.tick()
    world.live(4)
    world.call("loops.propose", name="late", skip_gates=True)
    world.live(2)
    rollout: Rollout = world.call("rollouts.active", endpoint="late")
    watching = fresh(world)
    watching.evidence(rollout)
    world.live_without_tick(2)
    assert watching.evidence(rollout) == fresh(world).evidence(rollout)
    assert watching.evidence(rollout).challenger.units > 0


def test_what_came_before_a_rollout_is_no_evidence(world: World) -> None:
    world.tick()
    world.live(4)
    world.call("loops.propose", name="late", skip_gates=True)
    world.tick()
    rollout: Rollout = world.call("rollouts.active", endpoint="late")
    assert fresh(world).evidence(rollout).stable.units == 0


def test_neighbours_with_the_same_columns_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "TOGETHER", 5)
    numbers = [pa.record_batch({"at": [number, number]}) for number in range(3)]
    others = [pa.record_batch({"at": [3], "key": ["a"]})]
    found = watch._together([*numbers, *others, numbers[0]])
    assert [batch.num_rows for batch in found] == [4, 2, 1, 2]
    assert [at for batch in found for at in batch["at"].to_pylist()] == [0, 0, 1, 1, 2, 2, 3, 0, 0]
