"""Who is let in: as many as can be answered in time, and each client its share of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import DeadlineExceeded, EverloopError, TooMany, Unavailable
from everloop.server.inference.admission import Admission, retry_after
from everloop.server.inference.pace import Pace

SLO = 0.05


def admission(per_row: float = 0.005) -> Admission:
    """In front of a model that takes so long for each row."""
    found = Admission(SLO)
    for rows in (1, 2, 4):
        found.pace.observe(rows, rows * per_row)
    found.began(1, 0.0)
    return found


def ask(found: Admission, client: str = "a", deadline: float = 0.0) -> EverloopError | None:
    refusal = found.refusal(client, 1, 0.0, deadline)
    if refusal is None:
        found.enter(client, 1, 100)
    return refusal


def test_as_many_are_let_in_as_can_be_answered_within_the_target() -> None:
    found = admission()
    answers = [ask(found) for _ in range(100)]
    refused = next(answer for answer in answers if answer is not None)
    let_in = answers.count(None)
    assert 3 <= let_in <= SLO / 0.005
    assert type(refused) is Unavailable
    assert retry_after(refused) == 1


def test_a_request_that_would_be_late_alone_is_let_in_when_nobody_waits() -> None:
    found = Admission(SLO)
    found.pace.observe(1, 2.0)
    assert found.refusal("a", 1, 0.0) is None


def test_a_burst_is_let_in_when_runs_together_cost_what_one_does() -> None:
    found = Admission(SLO)
    for rows in (1, 8, 64):
        found.pace.observe(rows, 0.005)
    assert [ask(found) for _ in range(64)] == [None] * 64


def test_a_greedy_client_leaves_room_for_others() -> None:
    found = admission()
    found.enter("b", 1, 100)
    answers = [ask(found, "a") for _ in range(50)]
    assert any(isinstance(answer, TooMany) for answer in answers)
    assert ask(found, "b") is None
    assert max(answers.count(None) - 1, 0) * 0.005 <= SLO / 2


def test_a_client_alone_may_have_everything() -> None:
    assert not any(isinstance(ask(found), TooMany) for found in [admission()] for _ in range(50))


def test_what_cannot_be_answered_before_its_deadline_is_refused() -> None:
    found = admission()
    for _ in range(4):
        ask(found)
    assert isinstance(ask(found, deadline=0.005), DeadlineExceeded)
    assert ask(found, deadline=1.0) is None


def test_behind_a_run_that_does_not_end_nobody_is_kept_waiting_for_long() -> None:
    found = admission()
    assert found.refusal("a", 1, 0.01) is None
    assert isinstance(found.refusal("a", 1, 10.0), Unavailable)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50), st.integers(0, 1000)), max_size=50))
def test_who_has_left_waits_no_more(asked: list[tuple[str, int, int]]) -> None:
    found = Admission(SLO)
    for one in asked:
        found.enter(*one)
    for one in asked:
        found.leave(*one)
    assert (found.rows, found.requests, found.bytes, found.wait(0.0)) == (0, 0, 0, 0.0)


@given(st.floats(1e-7, 1e-3), st.floats(0, 5e-3), st.integers(1, 4096))
def test_the_pace_of_a_model_is_learned_from_its_runs(per_row: float, per_run: float, rows: int) -> None:
    pace = Pace(0.01)
    for size in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096):
        pace.observe(size, per_run + size * per_row)
    assert pace.estimate(rows) <= 2.1 * (per_run + rows * per_row)
    assert pace.estimate(rows) >= (per_run + rows * per_row) / 2.1
    assert pace.most == 1 or per_run + pace.most * per_row <= 0.01 * 2.1


def test_a_run_is_at_most_twice_as_large_as_any_before() -> None:
    pace = Pace(0.01)
    pace.observe(1, 1e-6)
    assert pace.most == 2
    pace.observe(64, 64e-6)
    assert pace.most == 128


def test_a_run_that_was_held_up_says_little_about_those_to_come() -> None:
    pace = Pace(0.01)
    for _ in range(16):
        pace.observe(1, 0.001)
    for seconds in (0.2, *[0.001] * 7):
        pace.observe(1, seconds)
    assert pace.per_row < 0.0012
    assert pace.estimate(1) < 0.0012


def test_of_the_first_runs_of_a_size_the_fastest_counts() -> None:
    pace = Pace(0.01)
    for seconds in (0.5, 0.002, 0.3):
        pace.observe(1, seconds)
    assert pace.estimate(1) == pytest.approx(0.002)


def test_a_model_that_has_become_slower_is_known_to_be_soon() -> None:
    pace = Pace(0.01)
    for seconds in [0.001] * 16 + [0.01] * 24:
        pace.observe(1, seconds)
    assert pace.per_row == pytest.approx(0.01, rel=0.1)


def test_runs_that_wait_for_a_run_are_waited_for() -> None:
    found = Admission(0.05)
    found.pace.observe(1, 0.005)
    found.began(1, 1.0)
    found.began(2, 1.001)
    assert found.wait(1.0) == pytest.approx(0.015)
    found.ended(1, 0.005, 1.005)
    assert found.wait(1.005) == pytest.approx(0.01)
    found.ended(2, 0.01, 1.015)
    assert found.wait(1.015) == 0


def test_who_is_too_late_makes_room_only_when_many_wait() -> None:
    found = Admission(0.05)
    found.pace.observe(1, 0.005)
    found.enter("a", 2, 0)
    assert not found.is_lost(1.0, 1.06)
    found.enter("a", 4, 0)
    assert found.is_lost(1.0, 1.06)
    assert not found.is_lost(1.0, 1.04)
