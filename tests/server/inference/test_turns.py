"""Turns: what waits is answered together, in order, by one thread; a failure is over with its turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from everloop.kernel.errors import Unavailable
from everloop.server.inference import turns
from everloop.server.inference.turns import Turns


class Doubler:
    """Doubles numbers, once it is let go; remembers what came together."""

    def __init__(self) -> None:
        self.together: list[list[int]] = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.free.wait(10)
        self.together.append(list(numbers))
        if -1 in numbers:
            raise ValueError("no negative numbers")
        return [2 * number for number in numbers]


def test_everybody_gets_their_own_answer() -> None:
    async def ask() -> list[int]:
        asked = Turns(Doubler())
        return await asyncio.gather(*(asked.ask(number) for number in range(500)))

    assert asyncio.run(ask()) == [2 * number for number in range(500)]


def test_what_comes_while_a_turn_runs_is_the_next_turn() -> None:
    doubler = Doubler()
    doubler.free.clear()

    async def ask() -> None:
        asked = Turns(doubler)
        first = asyncio.create_task(asked.ask(1))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(asked.ask(number)) for number in (2, 3, 4)]
        await asyncio.sleep(0.05)
        doubler.free.set()
        await asyncio.gather(first, *others)

    asyncio.run(ask())
    assert doubler.together == [[1], [2, 3, 4]]


def test_a_turn_that_raises_does_not_end_the_turns() -> None:
    async def ask() -> None:
        asked = Turns(Doubler())
        with pytest.raises(ValueError, match="negative"):
            await asked.ask(-1)
        assert await asked.ask(4) == 8

    asyncio.run(ask())


def test_who_hangs_up_is_not_computed_for() -> None:
    doubler = Doubler()
    doubler.free.clear()

    async def ask() -> None:
        asked = Turns(doubler)
        first = asyncio.create_task(asked.ask(1))
        await asyncio.sleep(0.05)
        gone = asyncio.create_task(asked.ask(2))
        await asyncio.sleep(0.05)
        gone.cancel()
        doubler.free.set()
        assert await first == 2
        assert await asked.ask(3) == 6

    asyncio.run(ask())
    assert doubler.together == [[1], [3]]


def test_too_many_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST_WAITING", 2)
    doubler = Doubler()
    doubler.free.clear()

    async def ask() -> None:
        asked = Turns(doubler)
        running = asyncio.create_task(asked.ask(0))
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(asked.ask(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="2 requests are waiting"):
            await asked.ask(3)
        doubler.free.set()
        await asyncio.gather(running, *waiting)

    asyncio.run(ask())
