"""What a real endpoint logs of a canary that fails is evidence against it, though the stable version answered."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pyarrow as pa

from everloop.app.platform import Platform
from everloop.rollouts.decision import decide
from everloop.rollouts.entities import Canary, ErrorRate, Rollout
from everloop.rollouts.evidence import EvidenceBuilder
from everloop.serving.inferencelog import LogReader
from tests.rollouts.logs import CHALLENGER, STABLE, predictions, rollout
from tests.serving.conftest import World


def rollout_of(world: World) -> Rollout:
    strategy = Canary(steps=(50.0,), guards=(ErrorRate(limit=0.01),))
    version = world.register(raises=True)
    return world.call("rollouts.start", endpoint="delay", version=version, strategy=strategy)  # type: ignore[return-value]  # call gives any


def test_a_canary_that_raises_is_counted_and_stopped_though_nobody_missed_an_answer(platform: Platform) -> None:
    world = World(platform)
    world.register(constant=0.1)
    world.create(label_key="flight_id")
    running = rollout_of(world)
    keys = [str(number) for number in range(60)]
    asked = {"x": np.ones(60), "carrier": np.full(60, "AA", object), "flight_id": np.array(keys, object)}
    assert world.predictor().predict(asked).outputs.tolist() == [0.1] * 60
    gathered = EvidenceBuilder(running)
    gathered.predictions(LogReader(platform.resources.home, "default", "delay").since()[0])
    found = gathered.evidence()
    assert 0 < found.challenger.errors == found.challenger.units < 60
    assert found.challenger.units + found.stable.units == 60
    assert decide(running, found, running.started + timedelta(minutes=1)).action == "roll_back"


def test_failures_do_not_move_before_units_that_came_earlier() -> None:
    logged = pa.concat_batches(
        [
            predictions(("a", STABLE, 0.5, 0.2), ("b", STABLE, 0.5, 0.2), ("c", CHALLENGER, 0.5, 0.2)),
            predictions(("b", CHALLENGER, 0.5, math.nan)),
        ]
    )
    together, apart = (EvidenceBuilder(rollout(Canary(guards=(ErrorRate(limit=0.01),)))) for _ in range(2))
    together.predictions([logged])
    apart.predictions([logged.take([0]), logged.take([3]), logged.take([2])])
    assert together.evidence() == apart.evidence()
    assert (together.evidence().challenger.errors, together.evidence().stable.units) == (1, 1)
