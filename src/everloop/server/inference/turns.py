"""What was asked in one turn of the event loop, or while a run went on, is computed together next, without a timer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from everloop.kernel.errors import DeadlineExceeded, EverloopError, Unavailable
from everloop.server.inference.admission import Admission
from everloop.server.inference.tally import Tally
from everloop.server.metrics import Counter, Times

if TYPE_CHECKING:
    from everloop.server.inference.served import Answered, Served
    from everloop.serving.computed import Computed
    from everloop.serving.request import PredictionRequest

WARM_UP_SECONDS = 0.03
"""A slow model warms up no longer than this, or its process would be late."""
INLINE_SECONDS = 0.002
"""Runs that take longer go to a thread, or nobody could be let in meanwhile."""
BLOCKED_SECONDS = 0.02
WARY_SECONDS = 2.0
"""After a run that took so much longer than was expected, all go to a thread for so long: another may follow."""
PATIENCE_SECONDS = 0.002
"""While answers become durable, a turn waits for as many to come as those are of, but no longer than this."""


class Asked(Protocol):
    """A request that waits for its turn. `size` is the bytes that it keeps, `arrived` is by `perf_counter`."""

    request: PredictionRequest
    rows: int
    size: int
    arrived: float

    def wanted(self) -> bool:
        """Whether somebody still waits for the answer."""
        ...

    def resolve(self, answer: Answered | EverloopError) -> None:
        """Take the answer. Called in the event loop, once."""
        ...


class Counts(Protocol):
    """What turns are counted by."""

    rows: Counter
    rejected: Counter


class Turns:
    """Gives what is asked to one served thing, run by run. All but the runs themselves happens in the event loop."""

    def __init__(self, served: Served, slo_seconds: float, counts: Counts, times: Times) -> None:
        self.served = served
        self.admission = Admission(slo_seconds)
        self.tally = Tally()
        self._counts = counts
        self._times = times
        self._waiting: deque[Asked] = deque()
        self._scheduled = False
        self._runs = 0
        self.running_since = 0.0
        self._closed = False
        self._unanswered = 0
        self._wary_until = 0.0
        self._parked: asyncio.TimerHandle | None = None
        self._seen = 0
        self._patient_until = 0.0
        self._is_cold = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._worker: ThreadPoolExecutor | None = None

    def put(self, asked: Asked) -> None:
        """Let a request wait for its turn, or refuse it at once."""
        request = asked.request
        refusal = self.admission.refusal(request.client, asked.rows, asked.arrived, request.deadline)
        if refusal is not None:
            self._refuse(asked, refusal)
            return
        self.admission.enter(request.client, asked.rows, asked.size)
        self._waiting.append(asked)
        if self._parked is not None:
            self._unpark()
        elif not self._scheduled and self._may_run():
            self._schedule()

    def warm_up(self, sample: Callable[[int], PredictionRequest]) -> None:
        """Run rows that nobody asked about, so that the first request finds a warm model whose pace is known."""
        started = perf_counter()
        for rows in (1, 1, 8, 64, 64, 512):
            if perf_counter() - started > WARM_UP_SECONDS:
                return
            seconds, computed = self._computed([sample(rows)])
            if isinstance(computed, EverloopError) or isinstance(computed.answers[0], EverloopError):
                return
            self.admission.pace.observe(rows, seconds)
            self._is_cold = False

    def close(self) -> None:
        """Give the thread back, when nobody waits any more."""
        self._closed = True
        self._rest()

    def _schedule(self) -> None:
        if self._loop is None:
            self._loop, self._thread = asyncio.get_running_loop(), get_ident()
        self._scheduled, self._patient_until = True, perf_counter() + PATIENCE_SECONDS
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        now = perf_counter()
        self._parked = None
        if self._unanswered and now < self._patient_until and self._waits(now):
            return
        self._scheduled, self._seen = False, 0
        if not self._may_run():
            return
        run, rows = self._taken(now)
        if not run:
            self._rest()
            return
        self.admission.began(rows, now)
        self._unanswered += len(run)
        if not self._runs and now > self._wary_until and self.admission.pace.estimate(rows) <= INLINE_SECONDS:
            seconds, computed = self._computed([asked.request for asked in run])
            self._ended(rows, seconds)
            self._commit(run, computed)
        else:
            self._runs += 1
            self.running_since = self.running_since or now
            self._worker = self._worker or ThreadPoolExecutor(1, "predict")
            self._worker.submit(self._work, run, rows)

    def _may_run(self) -> bool:
        """Whether a run may be given to the thread: when it has none, and a full one ahead, so that it never idles."""
        return not self._runs or (self._runs == 1 and self.admission.is_full())

    def _waits(self, now: float) -> bool:
        """Whether the turn waits for others: what comes while the log syncs is answered by the next sync anyway.

        A turn costs much more than one request more in it, so that it waits for as many as the sync is for.
        """
        assert self._loop is not None
        before, self._seen = self._seen, len(self._waiting)
        if self._seen > before:
            self._loop.call_soon(self._turn)
        elif self._seen < self._unanswered:
            self._parked = self._loop.call_later(self._patient_until - now, self._turn)
        else:
            return False
        return True

    def _unpark(self) -> None:
        """Go on, when as many have come, or have been answered."""
        if self._parked is not None and len(self._waiting) >= self._unanswered:
            self._parked.cancel()
            self._parked = None
            assert self._loop is not None
            self._loop.call_soon(self._turn)

    def _taken(self, now: float) -> tuple[list[Asked], int]:
        """What the next run holds, in the order of arrival: as many rows as may run together, at least one request."""
        run: list[Asked] = []
        rows, most, waiting = 0, self.admission.pace.most, self._waiting
        while waiting and (not run or rows + waiting[0].rows <= most):
            asked = waiting.popleft()
            self.admission.leave(asked.request.client, asked.rows, asked.size)
            deadline = asked.request.deadline
            if deadline and now > deadline:
                self._refuse(asked, DeadlineExceeded("The deadline passed while the request was waiting."))
            elif not asked.wanted():
                continue
            elif self.admission.is_lost(asked.arrived, now):
                late = Unavailable("Its turn came too late.", hint="Try again.", retry_after=self.admission.wait(now))
                self._refuse(asked, late)
            else:
                run.append(asked)
                rows += asked.rows
        return run, rows

    def _computed(self, requests: Sequence[PredictionRequest]) -> tuple[float, Computed[Answered] | EverloopError]:
        started = perf_counter()
        try:
            computed: Computed[Answered] | EverloopError = self.served.compute(requests)
        except EverloopError as error:
            computed = error
        except Exception as error:  # noqa: BLE001  # Whatever it is, those who wait must hear of it, and the next turn come.
            computed = _crashed(error)
        return perf_counter() - started, computed

    def _work(self, run: list[Asked], rows: int) -> None:
        """A run in the thread. The next one may begin before this one's answers are durable."""
        seconds, computed = self._computed([asked.request for asked in run])
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._worked, rows, seconds)
        self._commit(run, computed)

    def _worked(self, rows: int, seconds: float) -> None:
        self._runs -= 1
        self.running_since = perf_counter() if self._runs else 0.0
        self._ended(rows, seconds)

    def _ended(self, rows: int, seconds: float) -> None:
        cold, self._is_cold = self._is_cold, False
        now = perf_counter()
        if seconds > BLOCKED_SECONDS:
            self._wary_until = now + WARY_SECONDS
        self.admission.ended(rows, None if cold else seconds, now)
        if self._waiting and not self._scheduled and self._may_run():
            self._schedule()
        self._rest()

    def _rest(self) -> None:
        if self._closed and self._worker is not None and not (self._waiting or self._runs):
            self._worker.shutdown(wait=False)
            self._worker = None

    def _commit(self, run: list[Asked], computed: Computed[Answered] | EverloopError) -> None:
        if isinstance(computed, EverloopError):
            self._release_from_anywhere(run, [computed] * len(run), None)
        else:
            answers = computed.answers
            try:
                computed.commit(lambda error: self._release_from_anywhere(run, answers, error))
            except Exception as error:  # noqa: BLE001  # Nobody else would tell those who wait.
                self._release_from_anywhere(run, answers, _crashed(error))

    def _release_from_anywhere(
        self, run: list[Asked], answers: Sequence[Answered | EverloopError], error: EverloopError | None
    ) -> None:
        if get_ident() == self._thread:
            self._release(run, answers, error)
        else:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._release, run, answers, error)

    def _release(
        self, run: list[Asked], answers: Sequence[Answered | EverloopError], error: EverloopError | None
    ) -> None:
        if not run:  # A commit that failed after it had been kept.
            return
        self._unanswered -= len(run)
        now, rows = perf_counter(), dict[str, int]()
        for asked, own in zip(run, answers, strict=True):
            answer = own if error is None or isinstance(own, EverloopError) else error
            if isinstance(answer, EverloopError):
                self.tally.refused(now - asked.arrived)
            else:
                self.tally.answered(asked.rows, now - asked.arrived)
                rows[answer.model_version] = rows.get(answer.model_version, 0) + asked.rows
                self._times.observe(now - asked.arrived)
            asked.resolve(answer)
        run.clear()
        self._unpark()
        for version, count in rows.items():
            self._counts.rows.add(count, model=self.served.name, version=version)

    def _refuse(self, asked: Asked, error: EverloopError) -> None:
        self.tally.refused(perf_counter() - asked.arrived)
        self._counts.rejected.add(model=self.served.name, reason=error.code)
        asked.resolve(error)


def _crashed(error: Exception) -> EverloopError:
    import logging

    logging.getLogger("everloop.server").error("a run of predictions failed", exc_info=error)
    return EverloopError("The run that this request was part of failed.", hint="The process says why on stderr.")
