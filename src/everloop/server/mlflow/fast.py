"""The hot path of tracking: what clients ask most is answered straight from the event loop's reads, without ASGI.

It is the endpoints of the door that answer. One that writes to a run gets a caller who hands the write in and does not
wait for it, so that all that comes meanwhile shares a commit. Whatever does not go that way, errors too, is answered by
the same endpoint in a thread as the door would have it: what is refused has changed nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qs

import msgspec

from everloop.governance.entities import Principal
from everloop.governance.roles import require
from everloop.kernel.errors import EverloopError, Unavailable
from everloop.server import answers, points
from everloop.server.mlflow.endpoint import Caller, Endpoint
from everloop.server.mlflow.fastheads import Head, KnownHeads
from everloop.server.mlflow.fields import fields_of
from everloop.server.mlflow.refusals import refusal, refusal_of
from everloop.server.shortcut import JSON, Call, Shortcut
from everloop.server.wire import Wire

if TYPE_CHECKING:
    from everloop.app.platform import Platform
    from everloop.server.callers import Callers
    from everloop.server.metrics import Metrics
    from everloop.server.security import Gate
    from everloop.tracking.entities import Logged

THREADS = 6
"""How many requests are worked on at once beside the loop; each may hold a database connection."""
INLINE_SECONDS = 0.001
"""Reads that take longer go to a thread, or nobody would be let in meanwhile."""
_NEWEST = 0.1
"""The weight of the newest time in the mean."""
_EMPTY = b"{}"


class _Elsewhere(Exception):
    """The endpoint does more than to write to a run: it has to run in a thread."""


@dataclass(frozen=True)
class Eager(Caller):
    """A caller whose writes are handed in, and who does nothing else."""

    handed_in: list[Future[None]] = field(default_factory=list)

    def write(self, logged: Logged) -> None:
        """Hand a write in."""
        require(self.principal, "tracking:write")
        session = self.platform.session(self.principal, self.project)
        self.handed_in.append(self.platform.ingest.submit(logged, session.principal, session.project))

    def call(self, usecase: str, **arguments: object) -> NoReturn:
        """Not here."""
        raise _Elsewhere

    def unit(self, permission: str, *, write: bool = True) -> NoReturn:
        """Not here."""
        raise _Elsewhere


class TrackingCall(Call):
    """A request under way."""

    __slots__ = ("arrived", "body", "eager", "head", "principal")

    def __init__(self, wire: Wire, head: Head, body: bytes, principal: Principal) -> None:
        super().__init__(wire, head.close)
        self.head = head
        self.body = body
        self.principal = principal
        self.eager = head.route.kind in ("eager", "points")
        self.arrived = perf_counter()


class Fast(Shortcut):
    """What all connections of a process share."""

    def __init__(self, platform: Platform, gate: Gate, callers: Callers, metrics: Metrics) -> None:
        super().__init__(metrics, "/api/2.0")
        self._platform = platform
        self._gate = gate
        self._callers = callers
        self._threads = ThreadPoolExecutor(THREADS, "tracking")
        self._readers: dict[type, msgspec.json.Decoder[Any]] = {}
        self._means: dict[Endpoint, float] = {}
        self._is_near = platform.resources.database.engine.dialect.name == "sqlite"
        self._done: deque[tuple[TrackingCall, Callable[[], None]]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = False

    def new_heads(self, client: str) -> KnownHeads:
        """The heads that clients at an address send."""
        return KnownHeads(self._gate, client)

    def knows(self, wire: Wire, head: Head) -> bool:
        """Whether it is known who asks; the door must find that out otherwise."""
        return self._principal(head) is not None

    def ask(self, wire: Wire, head: Head, body: bytes) -> bool:
        """See to it that a request is answered.

        False when the door shall have it, or when it must wait for those before it on its connection: only writes to
        runs may follow each other at once, as they are committed in their order.
        """
        principal = self._principal(head)
        if principal is None:
            return False
        call, before = TrackingCall(wire, head, body, principal), wire.newest
        if before is not None and not (call.eager and isinstance(before, TrackingCall) and before.eager):
            return False
        self._loop = self._loop or asyncio.get_running_loop()
        wire.put(call)
        if head.route.kind == "points":
            self._take_points(call)
        elif head.route.endpoint is not None:
            self._begin(call, head.route.endpoint)
        return True

    def refusal(self, error: EverloopError) -> tuple[int, bytes]:
        """The status and the body of an error, which is counted."""
        self.count(error.status)
        return error.status, bytes(refusal_of(error).body)

    def _begin(self, call: TrackingCall, endpoint: Endpoint) -> None:
        if call.eager:
            self._hand_in(call, endpoint)
        elif call.head.route.kind == "read" and self._is_near and self._means.get(endpoint, 1.0) < INLINE_SECONDS:
            self._settle(call, *self._answered(call, endpoint))
        else:
            self._in_thread(call, endpoint)

    def _hand_in(self, call: TrackingCall, endpoint: Endpoint) -> None:
        """Have the endpoint hand its write in, and answer when that is durable."""
        caller = Eager(self._platform, call.principal, call.head.known.project)
        try:
            endpoint.function(caller, self._reader(endpoint).decode(call.body))
            [future] = caller.handed_in
        except (_Elsewhere, EverloopError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            self._in_thread(call, endpoint)
            return

        def done(future: Future[None]) -> None:
            error = future.exception()
            if error is None:
                self._soon(call, lambda: self._settle(call, 200, _EMPTY))
            elif isinstance(error, Unavailable):  # Perhaps it was committed: the client decides whether to try again.
                response = refusal_of(error)
                self._soon(call, lambda: self._settle(call, response.status_code, bytes(response.body)))
            else:
                self._soon(call, lambda: self._in_thread(call, endpoint))

        future.add_done_callback(done)

    def _take_points(self, call: TrackingCall) -> None:
        head = call.head
        told = head.known.project, head.known.writer, head.known.sequence
        try:
            future = points.take(self._platform, head.run, call.body, call.principal, *told)
        except EverloopError as error:
            self._settle(call, *_worded(error))
            return

        def done(future: Future[None]) -> None:
            error = future.exception()
            if error is None:
                self._soon(call, lambda: self._settle(call, 204, b""))
            else:
                told = error if isinstance(error, EverloopError) else Unavailable(f"The write failed: {error}.")
                self._soon(call, lambda: self._settle(call, *_worded(told)))

        future.add_done_callback(done)

    def _in_thread(self, call: TrackingCall, endpoint: Endpoint) -> None:
        call.eager = False

        def work() -> None:
            status, body = self._answered(call, endpoint)
            self._soon(call, lambda: self._settle(call, status, body))

        self._threads.submit(work)

    def _answered(self, call: TrackingCall, endpoint: Endpoint) -> tuple[int, bytes]:
        """What the door would answer."""
        started = thread_time()  # What it takes, and not how long it waits for a processor.
        head = call.head
        caller = Caller(self._platform, call.principal, head.known.project)
        try:
            if head.route.method == "GET":
                given = endpoint.from_query(parse_qs(head.query, keep_blank_values=True))
            else:
                given = fields_of(answers.JSON, call.body)
            return 200, msgspec.json.encode(endpoint.answer(caller, given))
        except EverloopError as error:
            response = refusal_of(error)
        except Exception as error:  # noqa: BLE001 - the last line of defence: an answer without internals, and a log entry
            identity = self._platform.session().new_id()
            answers.crash(error, identity)
            response = refusal("INTERNAL_ERROR", f"Something went wrong in the server (error {identity}).", 500)
        finally:
            taken = thread_time() - started
            before = self._means.get(endpoint, taken)
            self._means[endpoint] = before + _NEWEST * (taken - before)
        return response.status_code, bytes(response.body)

    def _settle(self, call: TrackingCall, status: int, body: bytes) -> None:
        """Write the answer, and send it when it has its turn. In the loop."""
        wire, route = call.wire, call.head.route
        more = b"connection: close\r\n" if call.close or wire.ends else b""
        prefix = self.prefix(wire.server_state, status)
        call.response = prefix + more + b"\r\n" if status == 204 else prefix + JSON % (len(body), more) + body
        self.count(status, route.method, route.door)
        self.time(perf_counter() - call.arrived, route.door)
        wire.flush()

    def _soon(self, call: TrackingCall, then: Callable[[], None]) -> None:
        """Go on in the loop, with all that is done by then. From any thread."""
        self._done.append((call, then))
        if not self._woken:
            self._woken = True
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._go_on)

    def _go_on(self) -> None:
        self._woken = False  # Before it looks: what comes from now on wakes it again.
        done = self._done
        while done:
            call, then = done.popleft()
            if not call.wire.transport.is_closing():
                then()

    def _principal(self, head: Head) -> Principal | None:
        who = head.known.who
        return self._callers.remembered(who) if isinstance(who, str) else who

    def _reader(self, endpoint: Endpoint) -> msgspec.json.Decoder[Any]:
        kind = endpoint.reads
        if kind not in self._readers:
            self._readers[kind] = msgspec.json.Decoder(kind, strict=False)
        return self._readers[kind]


def wired(platform: Platform, gate: Gate, callers: Callers, metrics: Metrics) -> Any:
    """The protocol of a server's connections, as uvicorn's configuration takes it."""
    return partial(Wire, Fast(platform, gate, callers, metrics))


def _worded(error: EverloopError) -> tuple[int, bytes]:
    response = answers.refusal_of(error)
    return response.status_code, bytes(response.body)
