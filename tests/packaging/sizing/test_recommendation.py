"""The recommendation: replicas, requests, limits and cost out of a profile."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput, Refused
from everloop.packaging.sizing.entities import LoadPoint, Machine, ModelProfile, Price
from everloop.packaging.sizing.recommendation import check_target, recommended, sustained

MACHINE = Machine("a processor", 2, 8192, "6.1", "3.11", 0.0)


def point(offered: float, p99_ms: float, errors: int = 0) -> LoadPoint:
    """A load with the p99 that came of it."""
    return LoadPoint(offered, offered, p99_ms / 3, p99_ms / 2, p99_ms, p99_ms * 2, errors, 400.0, 0.1)


POINTS = (point(100, 3.0), point(500, 8.0), point(1000, 30.0), point(2000, 400.0))


def profile(points: tuple[LoadPoint, ...] = POINTS, **changes: Any) -> ModelProfile:
    """What was measured of a model."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    made = ModelProfile(
        "late", 1, "d" * 64, 50.0, 1, 64, False, point(300, 3.0), points, 1000, "latency", 400.0, 100, 0.5, MACHINE, at
    )
    return msgspec.structs.replace(made, **changes)


def test_a_rate_takes_replicas_with_headroom_and_one_to_spare() -> None:
    found = recommended(profile(), 2000, 50)
    assert (found.sustained, found.per_replica) == (1000, 700)
    assert (found.replicas, found.spare) == (4, 1)


def test_a_tighter_latency_takes_more_replicas() -> None:
    assert recommended(profile(), 2000, 10).replicas > recommended(profile(), 2000, 50).replicas


@given(st.floats(1, 1e5), st.floats(5, 500))
def test_the_replicas_serve_the_rate_even_with_one_away(rate: float, latency_ms: float) -> None:
    found = recommended(profile(), rate, latency_ms)
    working = found.replicas - found.spare
    assert working * found.sustained >= rate
    assert (working - 1) * found.per_replica < rate
    assert 100 <= found.cpu <= found.cpu_limit
    assert profile().memory_mib < found.memory <= found.memory_limit


@given(st.floats(1, 1e5), st.floats(1, 1e5))
def test_a_higher_rate_never_takes_fewer_replicas(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert recommended(profile(), low, 50).replicas <= recommended(profile(), high, 50).replicas


def test_a_latency_that_one_request_alone_misses_is_out_of_reach_of_any_number() -> None:
    with pytest.raises(Refused, match="No number of replicas reaches 1 ms: one request alone takes"):
        recommended(profile(), 2000, 1)


def test_a_latency_that_only_a_lone_request_meets_is_out_of_reach_too() -> None:
    with pytest.raises(Refused, match="already at 100 requests a second"):
        recommended(profile((point(100, 20.0),), alone=point(300, 3.0)), 2000, 10)


@pytest.mark.parametrize(("rate", "latency_ms"), [(0, 50), (-1, 50), (float("nan"), 50), (1e12, 50), (1, 0), (1, 1e9)])
def test_a_target_that_means_nothing_is_refused(rate: float, latency_ms: float) -> None:
    with pytest.raises(InvalidInput):
        check_target(rate, latency_ms)


def test_a_rate_above_one_that_was_missed_does_not_count() -> None:
    assert sustained((point(100, 3.0), point(200, 90.0), point(300, 4.0)), 50) == 100


def test_a_rate_at_which_answers_failed_does_not_count() -> None:
    assert sustained((point(100, 3.0), point(200, 4.0, errors=1)), 50) == 100


def test_the_cost_is_what_the_requests_cost_in_a_month_and_a_million_requests() -> None:
    found = recommended(profile(), 2000, 50, (Price("ours", 0.04, 0.004),))
    (cost,) = found.costs
    hour = found.replicas * (found.cpu / 1000 * 0.04 + found.memory / 1024 * 0.004)
    assert cost.month_usd == pytest.approx(hour * 730, abs=0.01)
    assert cost.million_usd == pytest.approx(hour / 3600 / 2000 * 1e6, abs=0.0001)


def test_what_makes_the_figures_unsure_is_said() -> None:
    busy = msgspec.structs.replace(MACHINE, others=0.5)
    notes = " ".join(recommended(profile(quick=True, machine=busy, limited_by="generator"), 2000, 500).notes)
    assert all(word in notes for word in ("quickly", "Other work", "higher rate", "could not be made any higher"))


def test_nothing_is_said_where_nothing_is_unsure() -> None:
    assert recommended(profile(), 2000, 50).notes == ()
