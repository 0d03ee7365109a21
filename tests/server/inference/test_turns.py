"""Turns: what waits is answered together, in order, by one thread; nobody gets another's answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.kernel.errors import DeadlineExceeded, EverloopError, Unavailable
from everloop.registry.columns import MatrixColumns
from everloop.registry.entities import Field
from everloop.server.inference import admission, turns
from everloop.server.inference.dataplane import DataPlane
from everloop.server.inference.served import Answered
from everloop.server.metrics import Metrics
from everloop.serving.computed import Computed, Done
from everloop.serving.request import PredictionRequest


class Doubler:
    """Doubles numbers, once it is let go; remembers what came together."""

    name = "doubler"
    versions = ("1",)
    inputs = (Field("x", "float64"),)
    outputs = (Field("y", "float64"),)

    def __init__(self) -> None:
        self.together: list[list[float]] = []
        self.free = threading.Event()
        self.free.set()

    def compute(self, requests: Sequence[PredictionRequest]) -> Computed[Answered]:
        self.free.wait(10)
        numbers = [request.columns["x"].tolist() for request in requests]
        self.together.append([number for some in numbers for number in some])
        if -1 in self.together[-1]:
            raise ValueError("no negative numbers")
        return Computed([Answered("1", r.id, {"y": 2 * r.columns["x"]}) for r in requests])


def request(*numbers: float, deadline: float = 0.0) -> PredictionRequest:
    return PredictionRequest(MatrixColumns(("x",), np.array([numbers]).T.copy()), deadline=deadline)


def plane_of(served: Doubler) -> DataPlane:
    return DataPlane([served], Metrics())


async def ask(plane: DataPlane, *numbers: float, deadline: float = 0.0) -> list[float]:
    answer = await plane.ask(plane.first, request(*numbers, deadline=deadline))
    return list(answer.scores.tolist())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=5), min_size=1, max_size=60))
def test_everybody_gets_their_own_answer(asked: list[list[int]]) -> None:
    plane = plane_of(Doubler())

    async def ask_all() -> list[list[float]]:
        return await asyncio.gather(*(ask(plane, *numbers) for numbers in asked))

    assert asyncio.run(ask_all()) == [[2.0 * number for number in numbers] for numbers in asked]


def test_what_is_asked_in_one_turn_of_the_loop_is_one_run() -> None:
    doubler = Doubler()

    async def story() -> None:
        plane = plane_of(doubler)
        for rows in (1, 2, 4):
            await ask(plane, *range(rows))
        await asyncio.gather(*(ask(plane, number) for number in (1, 2, 3)))

    asyncio.run(story())
    assert doubler.together[3:] == [[1, 2, 3]]


def test_what_comes_while_a_run_goes_on_is_the_next_run() -> None:
    doubler = Doubler()

    async def story() -> None:
        plane = plane_of(doubler)
        for rows in (1, 2, 4):
            await ask(plane, *range(rows))
        plane.turns[0].admission.pace.observe(1, 2 * turns.INLINE_SECONDS)  # So that it goes to a thread.
        doubler.free.clear()
        first = asyncio.create_task(ask(plane, 1))
        await asyncio.sleep(0.02)
        others = [asyncio.create_task(ask(plane, number)) for number in (2, 3, 4)]
        await asyncio.sleep(0.02)
        doubler.free.set()
        await asyncio.gather(first, *others)

    asyncio.run(story())
    assert doubler.together[3:] == [[1], [2, 3, 4]]


def test_a_full_run_is_handed_to_the_thread_ahead_and_no_other_one() -> None:
    doubler = Doubler()

    async def story() -> None:
        plane = DataPlane([doubler], Metrics(), target_seconds=10.0)
        await ask(plane, 0)
        for rows in (1, 2):
            plane.turns[0].admission.pace.observe(rows, 1.5 * rows)
        first = held(doubler, plane)
        await asyncio.sleep(0.02)
        others = [asyncio.create_task(ask(plane, number)) for number in (2, 3)]
        await asyncio.sleep(0.02)
        assert plane.turns[0].admission.requests == 1
        doubler.free.set()
        assert await asyncio.gather(first, *others) == [[2], [4], [6]]

    asyncio.run(story())
    assert doubler.together[1:] == [[1], [2], [3]]


def test_a_run_that_raises_does_not_end_the_runs() -> None:
    async def story() -> None:
        plane = plane_of(Doubler())
        with pytest.raises(EverloopError, match="run"):
            await ask(plane, -1)
        assert await ask(plane, 4) == [8]

    asyncio.run(story())


def held(doubler: Doubler, plane: DataPlane) -> asyncio.Task[list[float]]:
    """A request that the doubler computes until it is let go."""
    doubler.free.clear()
    return asyncio.create_task(ask(plane, 1))


def test_who_hangs_up_is_not_computed_for() -> None:
    doubler = Doubler()

    async def story() -> None:
        plane = plane_of(doubler)
        first = held(doubler, plane)
        await asyncio.sleep(0.02)
        gone = asyncio.create_task(ask(plane, 2))
        await asyncio.sleep(0.02)
        gone.cancel()
        doubler.free.set()
        assert await first == [2]
        assert await ask(plane, 3) == [6]

    asyncio.run(story())
    assert doubler.together == [[1], [3]]


def test_whose_deadline_has_passed_is_told_so_and_not_computed_for() -> None:
    doubler = Doubler()

    async def story() -> None:
        plane = plane_of(doubler)
        first = held(doubler, plane)
        await asyncio.sleep(0.02)
        late = asyncio.create_task(ask(plane, 2, deadline=perf_counter() + 0.03))
        await asyncio.sleep(0.06)
        doubler.free.set()
        await first
        with pytest.raises(DeadlineExceeded):
            await late

    asyncio.run(story())
    assert doubler.together == [[1]]


def test_too_many_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MOST_WAITING", 2)
    doubler = Doubler()

    async def story() -> None:
        plane = DataPlane([doubler], Metrics(), target_seconds=10.0)
        running = held(doubler, plane)
        await asyncio.sleep(0.02)
        waiting = [asyncio.create_task(ask(plane, number)) for number in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="2 requests are waiting"):
            await ask(plane, 3)
        doubler.free.set()
        await asyncio.gather(running, *waiting)

    asyncio.run(story())


class _Slowly(Computed[Answered]):
    """Answers that are durable a little later."""

    def commit(self, done: Done) -> None:
        threading.Timer(0.05, done, [None]).start()


class Logging(Doubler):
    """A doubler whose answers must be durable first."""

    def compute(self, requests: Sequence[PredictionRequest]) -> Computed[Answered]:
        return _Slowly(super().compute(requests).answers)


def test_the_next_run_is_computed_while_the_answers_of_the_one_before_become_durable() -> None:
    logging = Logging()

    async def story() -> None:
        plane = plane_of(logging)
        first = asyncio.create_task(ask(plane, 1))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(ask(plane, 2))
        await asyncio.sleep(0.02)
        assert not first.done()
        assert logging.together == [[1], [2]]
        assert [await first, await second] == [[2], [4]]

    asyncio.run(story())


def test_what_comes_while_answers_become_durable_waits_for_those_who_come_with_it() -> None:
    logging = Logging()

    async def story() -> None:
        plane = plane_of(logging)
        for rows in (1, 2, 4):
            await ask(plane, *range(rows))
        asked = [asyncio.create_task(ask(plane, 1))]
        await asyncio.sleep(0.01)
        for number in (2, 3, 4):
            asked.append(asyncio.create_task(ask(plane, number)))
            await asyncio.sleep(0)
        assert await asyncio.gather(*asked) == [[2], [4], [6], [8]]

    asyncio.run(story())
    assert logging.together[3:] == [[1], [2, 3, 4]]


def test_a_turn_waits_for_as_many_as_the_answers_that_become_durable_are_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 5.0)
    logging = Logging()

    async def story() -> None:
        plane = plane_of(logging)
        for rows in (1, 2, 4):
            await ask(plane, *range(rows))
        asked = [asyncio.create_task(ask(plane, number)) for number in (1, 2)]
        await asyncio.sleep(0.0005)
        asked.append(asyncio.create_task(ask(plane, 3)))
        await asyncio.sleep(0.0005)
        asked.append(asyncio.create_task(ask(plane, 4)))
        await asyncio.gather(*asked)
        assert await ask(plane, 5) == [10]

    asyncio.run(story())
    assert logging.together[3:] == [[1, 2], [3, 4], [5]]


def test_a_turn_waits_for_others_no_longer_than_a_moment() -> None:
    logging = Logging()

    async def story() -> None:
        plane = plane_of(logging)
        for rows in (1, 2, 4):
            await ask(plane, *range(rows))
        first = [asyncio.create_task(ask(plane, number)) for number in (1, 2)]
        await asyncio.sleep(0.001)
        second = asyncio.create_task(ask(plane, 3))
        await asyncio.sleep(0.02)
        assert not first[0].done()
        assert logging.together[-1] == [3]
        await asyncio.gather(*first, second)

    asyncio.run(story())


def test_who_keeps_coming_puts_a_turn_off_only_for_a_moment() -> None:
    logging = Logging()

    async def story() -> None:
        plane = plane_of(logging)
        for rows in (1, 2, 4):
            await ask(plane, *range(rows))
        asked = [asyncio.create_task(ask(plane, 0))]
        await asyncio.sleep(0.005)
        started = perf_counter()
        while len(logging.together) == 4 and perf_counter() - started < 0.04:
            asked.append(asyncio.create_task(ask(plane, len(asked))))
            await asyncio.sleep(0)
        assert not asked[0].done()
        assert len(logging.together) > 4
        await asyncio.gather(*asked)

    asyncio.run(story())


class _Broken(Computed[Answered]):
    """Answers that cannot even be queued for the log."""

    def commit(self, done: Done) -> None:
        raise ValueError("no log")


class Failing(Doubler):
    """A doubler whose log is broken, or refuses."""

    def __init__(self, kind: type[Computed[Answered]]) -> None:
        super().__init__()
        self._kind = kind

    def compute(self, requests: Sequence[PredictionRequest]) -> Computed[Answered]:
        return self._kind(super().compute(requests).answers)


class _Lost(Computed[Answered]):
    """Answers that the log does not take."""

    def commit(self, done: Done) -> None:
        done(Unavailable("The disk is full."))


@pytest.mark.parametrize(("kind", "words"), [(_Broken, "run"), (_Lost, "disk is full")])
def test_whose_answers_were_not_kept_are_told_so_and_counted_as_failed(
    kind: type[Computed[Answered]], words: str
) -> None:
    plane = plane_of(Failing(kind))

    async def story() -> None:
        for _ in range(2):
            with pytest.raises(EverloopError, match=words):
                await ask(plane, 1)

    asyncio.run(story())
    assert (plane.turns[0].tally.requests, plane.turns[0].tally.failed) == (0, 2)


def test_the_thread_goes_when_all_who_waited_have_hung_up() -> None:
    doubler = Doubler()

    async def story() -> None:
        plane = plane_of(doubler)
        first = held(doubler, plane)
        await asyncio.sleep(0.02)
        gone = asyncio.create_task(ask(plane, 2))
        await asyncio.sleep(0.01)
        gone.cancel()
        plane.turns[0].close()
        doubler.free.set()
        await first
        await asyncio.sleep(0.02)
        assert plane.turns[0]._worker is None

    asyncio.run(story())


def test_the_first_run_says_nothing_about_those_that_come() -> None:
    doubler = Doubler()

    async def story() -> None:
        plane = plane_of(doubler)
        await ask(plane, 1)
        assert plane.turns[0].admission.pace.per_row == 0
        await ask(plane, 2)
        assert plane.turns[0].admission.pace.per_row > 0

    asyncio.run(story())


def test_a_request_without_rows_takes_its_place_in_the_queue() -> None:
    async def story() -> list[float]:
        plane = plane_of(Doubler())
        assert await ask(plane) == []
        return await ask(plane, 2)

    assert asyncio.run(story()) == [4]
