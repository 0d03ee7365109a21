"""Policies by name."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from everloop.kernel.errors import InvalidInput
from everloop.loop.declare import Limits, drift
from everloop.loop.entities import Drift, Every, Loop, PerformanceDrop
from everloop.loop.policies import policy_of


def test_never_has_no_trigger(loop: Loop) -> None:
    assert policy_of("never", loop).triggers == ()


@pytest.mark.parametrize(("text", "days"), [("weekly", 7), ("monthly", 30), ("every 10d", 10), (" every 2w", 14)])
def test_a_schedule_by_its_word_or_its_period(loop: Loop, text: str, days: int) -> None:
    assert policy_of(text, loop).triggers == (Every(period=timedelta(days=days)),)


def test_the_loops_own_policy_has_its_triggers_and_its_limits(loop: Loop) -> None:
    policy = policy_of("loop", loop)
    assert (policy.triggers, policy.limits) == (loop.triggers, Limits(cooldown="3d", retrains_per_month=2))


def test_drift_alone_takes_the_loops_own_trigger_of_that_kind(loop: Loop) -> None:
    own = msgspec.structs.replace(loop, triggers=(*loop.triggers, drift(0.5)))
    assert policy_of("drift", own).triggers == (Drift(impact=0.5),)


def test_performance_alone_has_a_default_when_the_loop_has_no_such_trigger(loop: Loop) -> None:
    assert policy_of("performance", loop).triggers == (PerformanceDrop(),)


def test_an_unknown_policy_is_refused_with_those_that_there_are(loop: Loop) -> None:
    with pytest.raises(InvalidInput, match=r"no policy 'hourly'.*weekly"):
        policy_of("hourly", loop)
