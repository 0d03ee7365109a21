"""The generator of load: sends HTTP requests when they are due, whether or not those before them were answered.

It runs in a process of its own (`python -m everloop.packaging.sizing.generator`), takes a `Load` as JSON and gives a
`Result`. A request's latency counts from the moment it was due, so that a server that stalls is not spared the
requests that would have come meanwhile. It spins between requests, for a timer is later than what it measures.
"""

from __future__ import annotations

import os
import random
import selectors
import socket
import sys
from collections import deque
from time import perf_counter

import msgspec

_SECONDS_TO_FINISH = 5.0
_SPIN_SECONDS = 0.001
_SAID_MOST = 500
_ERRORS_MOST = 1000
_OK = 200


class Load(msgspec.Struct, frozen=True):
    """What to send: `rate` requests a second for so long, at random moments; 0 sends as fast as answers come.

    `requests` are whole HTTP requests, sent in turn. `connections` carry one request each at a time.
    """

    host: str
    port: int
    requests: tuple[bytes, ...]
    rate: float
    seconds: float
    connections: int
    seed: int = 0
    cores: tuple[int, ...] = ()
    most: int = 2_000_000


class Result(msgspec.Struct, frozen=True):
    """What came back: the latencies in seconds in the order of the answers, and how many got none or another.

    `late` is how late 99 of 100 were seen to be due, which is what the generator adds; `said` is the first answer that
    was another.
    """

    latencies: list[float]
    errors: int
    seconds: float
    late: float
    said: str = ""


class _Connection:
    """A connection that carries one request at a time; `due` is when it should have been sent."""

    __slots__ = ("due", "last", "read", "received", "wanted")

    def __init__(self, address: tuple[str, int]) -> None:
        self.read = socket.create_connection(address, timeout=_SECONDS_TO_FINISH)
        self.read.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.last = b""
        self.wanted = 0
        self.due = 0.0

    def answer(self) -> int:
        """The status of an answer that is complete; 0 while it is not, -1 when the server hung up."""
        try:
            data = self.read.recv(65536)
        except OSError:
            return -1
        if not data:
            return -1
        self.received += data
        if not self.wanted:
            head = self.received.find(b"\r\n\r\n")
            if head < 0:
                return 0
            self.wanted = head + 4 + _length(self.received[:head].lower())
        if len(self.received) < self.wanted:
            return 0
        status = int(self.received[9:12])
        self.last, self.received, self.wanted = self.received, b"", 0
        return status


class Generator:
    """Sends a load, and notes what became of it."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._free = [_Connection((load.host, load.port)) for _ in range(load.connections)]
        self._selector = selectors.DefaultSelector()
        for connection in self._free:
            self._selector.register(connection.read, selectors.EVENT_READ, connection)
        self._waiting: deque[float] = deque()
        self._busy = 0
        self._sent = 0
        self._latencies: list[float] = []
        self._errors = 0
        self._said = ""
        self._late: list[float] = []

    def run(self) -> Result:
        """Send it all and wait for the answers, at most five seconds after the last was due."""
        started = perf_counter()
        self._drive(started)
        seconds = perf_counter() - started
        self._errors += self._busy + len(self._waiting)
        late = sorted(self._late)[int(len(self._late) * 0.99)] if self._late else 0.0
        return Result(self._latencies, self._errors, seconds, late, self._said)

    def _drive(self, started: float) -> None:
        load, end = self._load, started + self._load.seconds
        planned = _moments(load, started)
        while True:
            now = perf_counter()
            while planned and planned[-1] <= now:
                self._late.append(now - planned[-1])
                self._waiting.append(planned.pop())
            if not load.rate and now < end:
                self._waiting.extend([now] * (len(self._free) - len(self._waiting)))
            self._send()
            over = not planned and now >= end
            if (over and not self._busy and not self._waiting) or now > end + _SECONDS_TO_FINISH:
                return
            if self._errors > len(self._latencies) + _ERRORS_MOST:
                return  # It answers with nothing but errors: no figure would come of more.
            self._receive(planned[-1] if planned else end, now)

    def _send(self) -> None:
        while self._waiting and self._free:
            connection = self._free.pop()
            connection.due = self._waiting.popleft()
            request = self._load.requests[self._sent % len(self._load.requests)]
            self._sent += 1
            self._busy += 1
            try:
                connection.read.sendall(request)
            except OSError:
                self._hung_up(connection)

    def _receive(self, until: float, now: float) -> None:
        """Take the answers that are there; sleep only where nothing is due for longer than a sleep is late."""
        wait = until - now - _SPIN_SECONDS
        events = self._selector.select(min(wait, 0.1) if wait > 0 else 0)
        at = perf_counter()
        for key, _ in events:
            self._take(key.data, at)

    def _take(self, connection: _Connection, at: float) -> None:
        status = connection.answer()
        if status < 0:
            self._hung_up(connection)
        elif status:
            self._busy -= 1
            self._free.append(connection)
            if status == _OK:
                self._latencies.append(at - connection.due)
                return
            self._errors += 1
            self._said = self._said or connection.last.decode(errors="replace")[-_SAID_MOST:]

    def _hung_up(self, connection: _Connection) -> None:
        """Count what was lost, and dial again: one lost connection is one error, not a smaller load."""
        self._busy -= 1
        self._errors += 1
        self._selector.unregister(connection.read)
        connection.read.close()
        try:
            fresh = _Connection((self._load.host, self._load.port))
        except OSError:
            return
        self._selector.register(fresh.read, selectors.EVENT_READ, fresh)
        self._free.append(fresh)


def _moments(load: Load, started: float) -> list[float]:
    """When requests are due, the last one first: as many as the rate says, as if nobody had agreed with anybody."""
    drawn = random.Random(load.seed)
    count = min(load.most, round(load.rate * load.seconds))
    return sorted((started + drawn.random() * load.seconds for _ in range(count)), reverse=True)


def _length(head: bytes) -> int:
    _, _, after = head.partition(b"content-length:")
    digits = after.partition(b"\r\n")[0].strip()
    return int(digits) if digits.isdigit() else 0


def main() -> None:
    """Read a load, send it, write what came of it."""
    load = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Load)
    if load.cores:
        os.sched_setaffinity(0, load.cores)
    sys.stdout.buffer.write(msgspec.msgpack.encode(Generator(load).run()))


if __name__ == "__main__":
    main()
