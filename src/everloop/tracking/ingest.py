"""Ingest: writes to runs from all sides, of which everything that waits goes into one transaction."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue

import msgspec

from everloop.catalog.database import Kept
from everloop.catalog.session import Resources, Session
from everloop.kernel.errors import EverloopError, Unavailable
from everloop.tracking.entities import Logged
from everloop.tracking.writes import Writes

MOST = 4_096
"""So many writes share a transaction at most, ..."""
MOST_POINTS = 1 << 20
"""... and no more of them once they hold so many points."""


class Request(msgspec.Struct, frozen=True):
    """A write that waits, on whose behalf, and who waits for it."""

    logged: Logged
    principal: str
    project: str
    future: Future[None]


class _State(msgspec.Struct):
    """What an ingest has in one process."""

    queue: SimpleQueue[Request | None]
    lock: threading.Lock
    thread: threading.Thread | None = None
    closed: bool = False


class Ingest:
    """Writes to runs, committed together: one alone takes one transaction, and any number that wait take one as well.

    A future has its result when the write is durable. Each write is taken or refused by itself, in the order in which
    they came. Safe to use from any thread, and after a fork (each process writes for itself).
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._state = _fresh()
        os.register_at_fork(after_in_child=partial(_forked, weakref.ref(self)))

    def submit(self, logged: Logged, principal: str, project: str) -> Future[None]:
        """Hand in a write; whether it may be done has been checked. Costs about 10 µs, and never waits.

        The future raises what `Writes.take` does, and Unavailable where the database does not answer.
        """
        future: Future[None] = Future()
        state = self._state
        with state.lock:
            if state.closed:
                raise Unavailable("This process ends and takes no more.", hint="Try again elsewhere.")
            state.queue.put(Request(logged, principal, project, future))
            if state.thread is None:
                state.thread = threading.Thread(target=self._work, name="everloop-ingest", daemon=True)
                state.thread.start()
        return future

    def write(self, logged: Logged, principal: str, project: str) -> None:
        """Write something, and come back when it is durable."""
        self.submit(logged, principal, project).result()

    def close(self) -> None:
        """Write what waits, and take no more."""
        state = self._state
        with state.lock:
            if not state.closed:
                state.queue.put(None)
            state.closed = True
        if state.thread is not None:
            state.thread.join()

    def _after_fork(self) -> None:
        """Be as new: in the child there is no thread, and what waits is written by the parent."""
        self._state = _fresh()
        self._resources.database.engine.dispose(close=False)  # Its connections are the parent's.

    def _work(self) -> None:
        more, kept = True, Kept(self._resources.database)
        while more:
            waiting, more = self._waiting()
            requests = [request for request in waiting if request.future.set_running_or_notify_cancel()]
            if requests:
                self._write(kept, requests)
        kept.close()

    def _waiting(self) -> tuple[list[Request], bool]:
        """What waits, at least one write unless this is the end; and whether more can come."""
        found: list[Request] = []
        points = 0
        request = self._state.queue.get()
        while request is not None:
            found.append(request)
            points += len(request.logged.points or ())
            if len(found) >= MOST or points >= MOST_POINTS:
                return found, True
            try:
                request = self._state.queue.get_nowait()
            except Empty:
                return found, True
        return found, False

    def _write(self, kept: Kept, requests: Sequence[Request]) -> None:
        """Write requests in one transaction and tell each what became of it.

        Where the database refuses the whole of it, each is tried alone, so that one spoils nothing for the others.
        """
        try:
            outcomes = self._commit(kept, requests)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            if len(requests) > 1 and not isinstance(error, Unavailable):
                for request in requests:
                    self._write(kept, [request])
                return
            outcomes = [error] * len(requests)
        for request, outcome in zip(requests, outcomes, strict=True):
            if outcome is None:
                request.future.set_result(None)
            else:
                request.future.set_exception(outcome)

    def _commit(self, kept: Kept, requests: Sequence[Request]) -> list[BaseException | None]:
        """Write requests in one transaction; the error of each that was refused."""
        projects: dict[str, list[Logged]] = {}
        for request in requests:
            projects.setdefault(request.project, []).append(request.logged)
        outcomes: list[BaseException | None] = []
        with Session(self._resources, "", "").begin_on(kept) as unit:
            writes = {project: Writes(unit.acting("", project)) for project in projects}
            for project, logged in projects.items():
                writes[project].read(logged)
            for request in requests:
                outcomes.append(_taken(writes[request.project], request))
            for written in writes.values():
                written.keep()
        return outcomes


def _fresh() -> _State:
    return _State(SimpleQueue(), threading.Lock())


def _taken(writes: Writes, request: Request) -> EverloopError | None:
    try:
        writes.take(request.logged, request.principal)
    except EverloopError as error:
        return error
    return None


def _forked(known: weakref.ref[Ingest]) -> None:
    ingest = known()
    if ingest is not None:
        ingest._after_fork()
