"""Requests that come while others are computed are computed together next, without a timer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Generic, TypeVar

from everloop.kernel.errors import Unavailable

Q = TypeVar("Q")
A = TypeVar("A")
MOST_WAITING = 1024
"""So many requests may wait; further ones are refused, instead of being answered when nobody waits any more."""
MOST_TOGETHER = 64


class Turns(Generic[Q, A]):
    """Gives what is asked to one worker thread, turn by turn."""

    def __init__(self, answer_all: Callable[[Sequence[Q]], Sequence[A]], worker: Executor | None = None) -> None:
        self._answer_all = answer_all
        self._worker = worker or ThreadPoolExecutor(1, "predict")
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._work: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """The answer, once a turn has come.

        Raises:
            Unavailable: too many are waiting.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable(f"{len(self._waiting)} requests are waiting.", hint="Try again, or start more processes.")
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._take_turns())
        return await future

    async def _take_turns(self) -> None:
        while self._waiting:
            turn = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))]
            wanted = [(question, future) for question, future in turn if not future.done()]
            if wanted:
                await self._take(wanted)

    async def _take(self, turn: Sequence[tuple[Q, asyncio.Future[A]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._worker, self._answer_all, [question for question, _ in turn])
        except Exception as error:  # noqa: BLE001  # It is the askers' to handle: they are waiting for it.
            for _, future in turn:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(turn, answers, strict=True):
            if not future.done():
                future.set_result(answer)
