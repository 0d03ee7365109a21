"""Circuits: a model that fails is left alone, tried again, and trusted again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.clock import SimulatedClock
from everloop.serving.circuit import Breaker
from everloop.serving.configuration import Circuit
from everloop.serving.deadline import MOST_HUNG, Timed, TimedOut

START = datetime(2026, 1, 1, tzinfo=UTC)
QUICK = Circuit(rate=0.5, calls=4, least=2, open_seconds=10, probes=2)


class Switchboard:
    """A breaker, and a clock to turn."""

    def __init__(self, circuit: Circuit = QUICK) -> None:
        self.clock = SimulatedClock(START)
        self.breaker = Breaker(circuit, self.clock)

    def calls(self, *failed: bool) -> str:
        for one in failed:
            assert self.breaker.allows()
            self.breaker.record(one)
        return self.breaker.state

    def wait(self, seconds: float) -> str:
        self.clock.advance(self.clock.now() + timedelta(seconds=seconds))
        return self.breaker.state


def test_a_circuit_stays_closed_while_calls_go_well() -> None:
    assert Switchboard().calls(*[False] * 50) == "closed"


def test_a_single_failure_opens_nothing() -> None:
    assert Switchboard().calls(True) == "closed"


def test_a_circuit_opens_when_half_of_the_calls_fail() -> None:
    assert Switchboard().calls(False, True) == "open"


def test_old_failures_are_forgotten() -> None:
    board = Switchboard(Circuit(rate=0.5, calls=4, least=4))
    assert board.calls(True, False, False, False, False, True) == "closed"


def test_an_open_circuit_lets_nothing_through_before_its_time() -> None:
    board = Switchboard()
    board.calls(True, True)
    assert board.wait(9.9) == "open"
    assert not board.breaker.allows()


def test_after_its_time_a_circuit_is_half_open_and_closes_by_good_probes() -> None:
    board = Switchboard()
    board.calls(True, True)
    assert board.wait(10) == "half_open"
    assert board.calls(False) == "half_open"
    assert board.calls(False) == "closed"


def test_a_failed_probe_opens_the_circuit_for_as_long_again() -> None:
    board = Switchboard()
    board.calls(True, True)
    board.wait(10)
    assert board.calls(False, True) == "open"
    assert board.wait(9) == "open"
    assert board.wait(1) == "half_open"


def test_what_failed_before_it_opened_does_not_count_once_it_has_closed() -> None:
    board = Switchboard()
    board.calls(True, True)
    board.wait(10)
    assert board.calls(False, False, True) == "closed"


@given(st.lists(st.one_of(st.booleans(), st.floats(0, 20)), max_size=60))
def test_a_circuit_does_what_its_model_does(story: list[bool | float]) -> None:
    """The model: a window of outcomes, the time until which it is open, and the probes that went well."""
    board = Switchboard()
    window: list[bool] = []
    until, good, now = -1.0, 0, 0.0
    for event in story:
        if not isinstance(event, bool):
            now += round(event * 1e6) / 1e6
            board.wait(round(event * 1e6) / 1e6)
        elif until < 0:
            window = [*window, event][-QUICK.calls :]
            if event and len(window) >= QUICK.least and sum(window) * 2 >= len(window):
                until, good = now + QUICK.open_seconds, 0
            board.calls(event)
        elif board.breaker.allows():
            good = 0 if event else good + 1
            until = now + QUICK.open_seconds if event else until
            if good == QUICK.probes:
                until, window = -1.0, []
            board.calls(event)
        expected = "closed" if until < 0 else "open" if now < until - 1e-7 else "half_open"
        assert board.breaker.state == expected or abs(now - until) < 1e-5


def test_a_call_gives_what_its_function_gives_and_raises_what_it_raises() -> None:
    timed = Timed(10, "test")
    assert timed.run(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        timed.run(lambda: 1 / 0)
    assert timed.run(lambda: 6) == 6
    timed.close()


def test_a_call_that_hangs_is_given_up_and_the_next_one_runs() -> None:
    from threading import Event

    timed, go = Timed(0.05, "test"), Event()
    with pytest.raises(TimedOut, match="50 ms"):
        timed.run(go.wait)
    assert timed.hung == 1
    assert Timed(10, "other").run(lambda: 1) == 1
    go.set()


def test_what_hung_is_counted_no_more_when_it_ends() -> None:
    from threading import Event

    timed, go, ended = Timed(0.02, "test"), Event(), Event()
    with pytest.raises(TimedOut):
        timed.run(lambda: (go.wait(), ended.set()))
    go.set()
    ended.wait(10)
    assert timed.run(lambda: "well") == "well"
    assert timed.hung == 0


def test_no_more_threads_than_a_few_are_given_up() -> None:
    from threading import Event

    timed, go, asked = Timed(0.01, "test"), Event(), []
    for _ in range(MOST_HUNG):
        with pytest.raises(TimedOut):
            timed.run(go.wait)
    with pytest.raises(TimedOut, match="runs hang"):
        timed.run(lambda: asked.append(1))
    assert asked == []
    go.set()
