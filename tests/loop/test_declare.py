"""Declaring a loop."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from everloop.kernel.errors import InvalidInput
from everloop.loop import declare as el
from everloop.loop import entities
from everloop.rollouts.entities import Strategy


def full() -> entities.Loop:
    return el.Loop(
        model="delay",
        pipeline=fit,
        label=el.Label("arr_delay > 15", key="flight_id", within="24h"),
        triggers=[el.drift(impact=0.01), el.performance("roc_auc", drop=0.03), el.every("30d")],
        gates=[
            el.better_than("champion", "roc_auc"),
            el.no_slice_worse("carrier", by=0.05),
            el.latency(p99="20ms"),
            el.tests("tests/model"),
            el.package_scan(),
        ],
        rollout=el.Canary(
            steps=[5, 25, 50],
            hold="6h",
            guards=[el.error_rate(0.01), el.better_or_equal("log_loss"), el.minimum_labels(100)],
        ),
        limits=el.Limits(cooldown="3d", retrains_per_month=6),
    )


def fit(until: str) -> None:
    """A pipeline."""


def test_the_loop_of_the_design_can_be_declared() -> None:
    loop = full()
    assert (loop.name, loop.endpoint, loop.pipeline) == ("delay", "delay", "fit")
    assert loop.gates[2] == entities.Latency(p99=timedelta(milliseconds=20))
    assert loop.limits.cooldown == timedelta(days=3)


def test_a_declaration_travels_as_json_and_comes_back_the_same() -> None:
    assert msgspec.json.decode(msgspec.json.encode(full()), type=entities.Loop) == full()


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"triggers": [el.every("0s")]}, "period above zero"),
        ({"triggers": [el.drift(impact=0)]}, "impact above zero"),
        ({"triggers": [el.performance(drop=-1)]}, "drop and a span above zero"),
        ({"gates": [el.better_than(alpha=1.0)]}, "alpha is a probability"),
        ({"gates": [el.latency("0s")]}, "p99 above zero"),
        ({"limits": el.Limits(retrains_per_month=-1)}, "not be negative"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(part: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        el.Loop(model="delay", pipeline="fit", label=el.Label("late"), **part)  # type: ignore[arg-type]


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(InvalidInput, match=r"period above zero.*alpha is a probability"):
        el.Loop(
            model="delay",
            pipeline="fit",
            label=el.Label("late"),
            triggers=[el.every("0s")],
            gates=[el.better_than(alpha=2)],
        )


def test_a_duration_that_is_none_is_refused_where_it_stands() -> None:
    with pytest.raises(InvalidInput, match="'soon' is not a duration"):
        el.every("soon")


@pytest.mark.parametrize("strategy", [el.BlueGreen(hold="2h"), el.Shadow(hold="2h"), el.Canary(hold="2h")])
def test_every_strategy_takes_its_span_as_text(strategy: Strategy) -> None:
    assert strategy.hold == timedelta(hours=2)


def test_a_canary_that_does_not_grow_is_refused_with_the_loop() -> None:
    with pytest.raises(InvalidInput, match="steps of a canary are 50, 25"):
        el.Loop(model="delay", pipeline=fit, label=el.Label("x"), rollout=el.Canary(steps=[50, 25]))
