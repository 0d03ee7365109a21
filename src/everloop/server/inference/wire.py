"""The hot path: requests for predictions answered straight from the event loop's reads; the door has all the rest.

`everloop.server.wire` has the connections; this is what they take short cuts to: the turns of what is asked.
"""

from __future__ import annotations

import logging
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from everloop.kernel.errors import EverloopError
from everloop.server.inference import oip
from everloop.server.inference.admission import retry_after
from everloop.server.inference.compression import WORTHWHILE, compressed
from everloop.server.inference.heads import Head, Heads, may_predict
from everloop.server.inference.plan import Asking, Plan
from everloop.server.shortcut import JSON, Call, Shortcut
from everloop.server.wire import Wire
from everloop.serving.request import PredictionRequest

if TYPE_CHECKING:
    from everloop.server.callers import Callers
    from everloop.server.inference.dataplane import DataPlane
    from everloop.server.inference.served import Answered
    from everloop.server.metrics import Metrics
    from everloop.server.security import Gate

log = logging.getLogger("everloop.server")
_BINARY = b"content-type: application/octet-stream\r\n%b: %d\r\ncontent-length: %d\r\n%b\r\n"
_BINARY_NAME = oip.BINARY_HEADER.encode()


class Short(Shortcut):
    """What all connections of a process share: who is served, and who may ask."""

    def __init__(self, plane: DataPlane, gate: Gate, callers: Callers, metrics: Metrics) -> None:
        super().__init__(metrics, "/v2")
        self._plane = plane
        self._gate = gate
        self._callers = callers

    def new_heads(self, client: str) -> Heads:
        """The heads that clients at an address send."""
        return Heads(self._plane, self._gate, client)

    def knows(self, wire: Wire, head: Head) -> bool:
        """Whether it is known who asks; the door must find that out otherwise."""
        return self._client(wire, head) is not None

    def ask(self, wire: Wire, head: Head, body: bytes) -> bool:
        """Put a request into its turns; False when the door shall have it."""
        client = self._client(wire, head)
        if client is None:
            return False
        plan = head.plan
        if head.version and plan.served.versions != (head.version,):
            return False
        if plan.inputs is not plan.served.inputs:
            plan = head.plan = Plan(plan.served)
        asking = plan.read(body, head.end)
        if asking is None:
            return False
        call = InferenceCall(self, wire, head, asking, client)
        wire.put(call)
        head.turns.put(call)
        return True

    def refusal(self, error: EverloopError) -> tuple[int, bytes]:
        """The status and the body of an error, which is counted."""
        self.count(error.status)
        return error.status, msgspec.json.encode({"error": str(error)})

    def response(self, call: InferenceCall, answer: Answered | EverloopError) -> bytes:
        """An answer as it goes over the wire."""
        head = call.head
        echo = head.echo
        if head.close or call.wire.ends:
            echo += b"connection: close\r\n"
        state = call.wire.server_state
        if not isinstance(answer, EverloopError):
            try:
                body, end = call.plan.write(answer, call.asking)
            except EverloopError as error:
                return self.response(call, error)
            self.count(200)
            self.time(perf_counter() - call.arrived)
            prefix = self.prefix(state, 200)
            if head.accepts and len(body) >= WORTHWHILE:
                body, encoding = compressed(body, head.accepts)
                if encoding:
                    echo += b"content-encoding: %b\r\nvary: accept-encoding\r\n" % encoding.encode()
            if end:
                return prefix + _BINARY % (_BINARY_NAME, end, len(body), echo) + body
            return prefix + JSON % (len(body), echo) + body
        if after := retry_after(answer):
            echo += b"retry-after: %d\r\n" % after
        status, body = self.refusal(answer)
        return self.prefix(state, status) + JSON % (len(body), echo) + body

    def _client(self, wire: Wire, head: Head) -> str | None:
        """Who asks, for fair shares; None where the door must find that out."""
        if not head.secret:
            return wire.address
        principal = self._callers.remembered(head.secret)
        return principal.name if principal is not None and may_predict(principal) else None


class InferenceCall(Call):
    """A request on its way through the turns of what it asks."""

    __slots__ = ("_short", "arrived", "asking", "head", "plan", "request", "rows", "size")

    def __init__(self, short: Short, wire: Wire, head: Head, asking: Asking, client: str) -> None:
        super().__init__(wire, head.close)
        self._short = short
        self.head = head
        self.plan = head.plan
        self.asking = asking
        self.rows = asking.rows or 1  # A request that has none takes its place in the queue all the same.
        self.size = head.length
        self.arrived = perf_counter()
        timeout = asking.timeout or head.timeout
        deadline = self.arrived + timeout if timeout else 0.0
        self.request = PredictionRequest(asking.columns, asking.id or head.id, None, client, deadline)

    def wanted(self) -> bool:
        """Whether the client has not hung up."""
        return not self.wire.transport.is_closing()

    def resolve(self, answer: Answered | EverloopError) -> None:
        """Take the answer, and send it when its turn has come on the connection."""
        try:
            self.response = self._short.response(self, answer)
        except Exception as error:  # Others were answered in the same run, and must not suffer for this one.
            log.exception("an answer could not be written")
            self.response = self._short.response(self, EverloopError(f"The answer could not be written: {error}."))
        self.wire.flush()


def wired(plane: DataPlane, gate: Gate, callers: Callers, metrics: Metrics) -> Any:
    """The protocol of a server's connections, as uvicorn's configuration takes it."""
    return partial(Wire, Short(plane, gate, callers, metrics))
