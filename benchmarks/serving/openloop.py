"""Requests that are sent when they are due, whether or not those before them were answered: what overload is.

`python -m benchmarks.serving.openloop` takes a `Flood` as MessagePack and gives what became of each request. A latency
counts from the moment that the request was due, also while no connection was free for it.
"""

from __future__ import annotations

import selectors
import socket
import sys
from collections import deque
from time import perf_counter

import msgspec

SPIN_SECONDS = 0.001
LONGEST_SLEEP = 0.05
_MOST = 65536


class Flood(msgspec.Struct, frozen=True):
    """One request over and over, so many a second in even steps, on so many connections of one request each."""

    port: int
    request: bytes
    rate: float
    seconds: float
    connections: int


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What a request got: the status (0: nothing until the end), after how long, and whether it was told to return."""

    status: int
    seconds: float
    at: float
    retry_after: bool


class _Connection:
    __slots__ = ("due", "received", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.due = 0.0

    def head(self) -> bytes:
        """The head of an answer that is there as a whole, in lower case; nothing while it is not.

        Raises:
            ConnectionError: the server hung up.
        """
        data = self.socket.recv(_MOST)
        if not data:
            raise ConnectionError
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        head = head.lower()
        if not end or len(body) < _length(head):
            return b""
        self.received = b""
        return head


class Flooding:
    """A flood under way."""

    def __init__(self, flood: Flood) -> None:
        self._flood = flood
        self._selector = selectors.DefaultSelector()
        self._free: list[_Connection] = []
        self._waiting: deque[float] = deque()
        self._busy: set[_Connection] = set()
        self._outcomes: list[Outcome] = []
        self._started = 0.0
        for _ in range(flood.connections):
            self._dial()

    def run(self) -> list[Outcome]:
        """Send until the time is over, and count what has no answer by then as lost."""
        flood, sent = self._flood, 0
        self._started = started = perf_counter()
        while (now := perf_counter()) < started + flood.seconds:
            while started + sent / flood.rate <= now:
                self._waiting.append(started + sent / flood.rate)
                sent += 1
            self._send()
            pause = started + sent / flood.rate - perf_counter() - SPIN_SECONDS
            for key, _ in self._selector.select(min(pause, LONGEST_SLEEP) if pause > 0 else 0):
                self._take(key.data)
        late = [*self._waiting, *(connection.due for connection in self._busy)]
        return [*self._outcomes, *(Outcome(0, now - due, now - started, False) for due in late)]

    def _send(self) -> None:
        while self._waiting and self._free:
            connection = self._free.pop()
            connection.due = self._waiting.popleft()
            self._busy.add(connection)
            try:
                connection.socket.sendall(self._flood.request)
            except OSError:
                self._hung_up(connection)

    def _take(self, connection: _Connection) -> None:
        try:
            head = connection.head()
        except OSError:
            self._hung_up(connection)
            return
        if head:
            self._note(connection, int(head[9:12]), b"\r\nretry-after:" in head)
            self._free.append(connection)

    def _hung_up(self, connection: _Connection) -> None:
        self._selector.unregister(connection.socket)
        connection.socket.close()
        if connection in self._busy:
            self._note(connection, 0, False)
        elif connection in self._free:
            self._free.remove(connection)
        self._dial()

    def _note(self, connection: _Connection, status: int, retry_after: bool) -> None:
        now = perf_counter()
        self._busy.discard(connection)
        self._outcomes.append(Outcome(status, now - connection.due, now - self._started, retry_after))

    def _dial(self) -> None:
        try:
            connection = _Connection(self._flood.port)
        except OSError:
            return
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._free.append(connection)


def _length(head: bytes) -> int:
    digits = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0].strip()
    return int(digits) if digits.isdigit() else 0


if __name__ == "__main__":
    asked = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Flood)
    sys.stdout.buffer.write(msgspec.msgpack.encode(Flooding(asked).run()))
