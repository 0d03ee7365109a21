"""The generator of load: what it sends, and that a server that stalls is not spared."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from everloop.packaging.sizing.generator import Generator, Load

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Server:
    """Answers each request on each connection with the same bytes, in pieces if wanted; may stall once, or hang up."""

    def __init__(self, answer: bytes = GOOD, pieces: int = 1, stall: float = 0.0, hang_up_after: int = 0) -> None:
        self.answer, self.pieces, self.stall, self.hang_up_after = answer, pieces, stall, hang_up_after
        self.requests = 0
        self.lock = threading.Lock()

    def serve(self, connection: socket.socket) -> None:
        with connection:
            while connection.recv(65536):
                with self.lock:
                    self.requests += 1
                    if self.stall and self.requests == 5:
                        time.sleep(self.stall)
                    hang_up = self.requests == self.hang_up_after
                if hang_up:
                    return
                step = -(-len(self.answer) // self.pieces)
                for start in range(0, len(self.answer), step):
                    connection.sendall(self.answer[start : start + step])
                    time.sleep(0.001 if self.pieces > 1 else 0)


@contextmanager
def listening(server: Server) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as door:

        def accept() -> None:
            while True:
                try:
                    connection, _ = door.accept()
                except OSError:
                    return
                threading.Thread(target=server.serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield door.getsockname()[1]


def load(port: int, rate: float = 200.0, seconds: float = 0.3, connections: int = 4) -> Load:
    return Load("127.0.0.1", port, (REQUEST,), rate, seconds, connections)


def test_as_many_requests_are_sent_as_the_rate_says() -> None:
    with listening(server := Server()) as port:
        result = Generator(load(port)).run()
    assert (len(result.latencies), result.errors, server.requests) == (60, 0, 60)


def test_an_answer_in_pieces_is_one_answer() -> None:
    with listening(Server(pieces=3)) as port:
        result = Generator(load(port)).run()
    assert (len(result.latencies), result.errors) == (60, 0)


def test_without_a_rate_each_connection_asks_again_as_soon_as_it_was_answered() -> None:
    with listening(server := Server()) as port:
        result = Generator(load(port, rate=0, seconds=0.2, connections=2)).run()
    assert len(result.latencies) == server.requests > 20


def test_requests_that_were_due_while_the_server_stalled_count_from_when_they_were_due() -> None:
    with listening(Server(stall=0.3)) as port:
        result = Generator(load(port, rate=100.0, seconds=0.5)).run()
    late = [latency for latency in result.latencies if latency > 0.1]
    assert len(result.latencies) == 50
    assert len(late) >= 10  # And not only the four that were on their way when it stalled.


def test_what_is_no_200_is_an_error_and_what_was_said_is_kept() -> None:
    refused = b'HTTP/1.1 503 Busy\r\ncontent-length: 15\r\n\r\n{"error":"full"}'
    with listening(Server(refused)) as port:
        result = Generator(load(port)).run()
    assert (result.latencies, result.errors) == ([], 60)
    assert "full" in result.said


def test_a_connection_that_is_lost_is_one_error_and_the_load_goes_on() -> None:
    with listening(Server(hang_up_after=10)) as port:
        result = Generator(load(port)).run()
    assert (len(result.latencies), result.errors) == (59, 1)


@pytest.mark.slow
def test_a_server_that_never_answers_does_not_keep_the_generator_for_ever() -> None:
    with listening(Server(stall=30.0)) as port:
        began = time.perf_counter()
        result = Generator(load(port, connections=1)).run()
        assert time.perf_counter() - began < 20
    assert result.errors > 0
