"""The hot path over real sockets: right answers in order, the same checks as the door's, and no harm from bad bytes."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.server.inference.wireserver import Server, asking, post, server

pytestmark = pytest.mark.slow
ONE = asking((1.0, 2.0, 3.0))
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def wire() -> Iterator[Server]:
    """A process that serves to everybody on this machine."""
    with server() as found:
        yield found


def chunked(body: bytes) -> bytes:
    """A request that the hot path leaves to the door."""
    return post(CHUNKED % (len(body), body), "Transfer-Encoding: chunked")


def test_the_hot_path_and_the_door_give_the_same_answer(wire: Server) -> None:
    for body in (ONE, asking((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), id="mine"), asking((float(2**60), -1e-300, 0.5))):
        hot, door = wire.talk(post(body), chunked(body))
        assert (hot.status, json.loads(hot.body)) == (door.status, json.loads(door.body))
        assert set(hot.headers) == set(door.headers)
        assert {name: hot.headers[name] for name in hot.headers if name != "date"} == {
            name: door.headers[name] for name in door.headers if name != "date"
        }


def test_pipelined_requests_are_answered_in_their_order_whoever_answers_them(wire: Server) -> None:
    rng = random.Random(5)
    sent, expected = [], []
    for number in range(200):
        kind = rng.choice(("hot", "hot", "door", "get"))
        expected.append([2.0 * number] if kind != "get" else None)
        body = asking((float(number), 0.0, 0.0))
        get = b"GET /v2/models/m HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        sent.append({"hot": post(body), "door": chunked(body), "get": get}[kind])
    found = wire.talk(b"".join(sent))
    assert [
        reply.scores if "outputs" in json.loads(reply.body) and b'"data"' in reply.body else None for reply in found
    ] == expected


@pytest.mark.parametrize("cut", [1, 7, 64, 150])
def test_a_request_may_come_in_pieces(wire: Server, cut: int) -> None:
    raw = post(ONE) + post(asking((5.0, 0.0, 0.0)))
    pieces = [raw[at : at + cut] for at in range(0, len(raw), cut)]
    assert [reply.scores for reply in wire.talk(*pieces, pause=0.0005)] == [[12.0], [10.0]]


def test_each_connection_gets_the_answers_to_its_own_rows(wire: Server) -> None:
    def client(seed: int) -> None:
        rng = random.Random(seed)
        asked = [[(rng.random(), float(seed), float(n)) for n in range(rng.randint(1, 9))] for _ in range(60)]
        found = wire.talk(*(post(asking(*rows)) for rows in asked))
        for reply, rows in zip(found, asked, strict=True):
            assert reply.scores == pytest.approx([2 * sum(row) for row in rows], abs=1e-12)

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(client, range(16)))


def test_a_binary_tensor_goes_in_and_out(wire: Server) -> None:
    import numpy as np

    head = json.dumps(
        {
            "inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP64", "parameters": {"binary_data_size": 48}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    body = head + np.arange(6.0).tobytes()
    (reply,) = wire.talk(post(body, f"Inference-Header-Content-Length: {len(head)}"))
    end = int(reply.headers["inference-header-content-length"])
    assert np.frombuffer(reply.body[end:]).tolist() == [6.0, 24.0]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post(ONE, host="evil.example"), 403),
        (post(ONE, host=""), 400),
        (post(ONE, "Host: 127.0.0.1"), 400),
        (post(ONE, "Origin: http://evil.example"), 403),
        (post(ONE, "Sec-Fetch-Site: cross-site"), 403),
        (post(ONE, "X-Forwarded-For: 203.0.113.9"), 401),
        (post(ONE, path="/v2/models/n/infer"), 404),
        (post(ONE, path="/v2/models/m/versions/2/infer"), 404),
        (post(ONE, path="/v2/models/m/versions/1/infer"), 200),
        (post(ONE, path="/v2/models/%6d/infer"), 200),
        (post(b"{" * 5_000), 400),
        (post(b'{"inputs":' + b"[" * 100_000), 400),
        (post(b'{"inputs": "\xff\xfe"}'), 400),
        (post(asking((1.0, 2.0, 3.0)).replace(b"[1, 3]", b"[-1, 3]")), 400),
        (post(asking((1.0, 2.0, 3.0)).replace(b"[1, 3]", b"[1000000000, 3]")), 400),
        (post(asking((1.0, 2.0, 3.0)).replace(b"1.0", b'"1"')), 400),
        (post(ONE, "Inference-Header-Content-Length: 5"), 400),
        (post(ONE, "Inference-Header-Content-Length: 100000"), 400),
        (post(ONE, "Inference-Header-Content-Length: -1"), 400),
        (post(b"", f"Content-Length: {1 << 30}"), 413),
        (post(ONE, "Content-Length: 5", "Content-Length: 6"), 400),
        (post(ONE, "Content-Length: 5", "Transfer-Encoding: chunked"), 400),
        (post(ONE, "Content-Length: x"), 400),
        (post(ONE, "Broken\x00: header"), 400),
        (b"\x16\x03\x01\x02\x00 garbage\r\n\r\n", 400),
    ],
)
def test_what_is_wrong_is_refused_and_the_next_connection_is_served(wire: Server, request_: bytes, status: int) -> None:
    good = wire.talk(post(ONE))[0]
    assert wire.talk(post(ONE), request_, wanted=2)[-1].status == status
    assert good.scores == wire.talk(post(ONE))[0].scores == [12.0]


def test_garbage_between_requests_ends_the_connection_after_the_answers_before_it(wire: Server) -> None:
    found = wire.talk(post(ONE) + b"\x00\x01garbage\r\n\r\n" + post(ONE))
    assert [reply.status for reply in found] == [200, 400]


def test_who_hangs_up_or_sends_garbage_fills_no_log(capfd: pytest.CaptureFixture[str]) -> None:
    half = post(ONE[:20], f"Content-Length: {len(ONE)}", path="/invocations")
    with server() as own:
        for piece in (half, post(b"", "Transfer-Encoding: chunked"), b"GARBAGE\r\n\r\n"):
            with own.connect() as connection:
                connection.sendall(piece)
                time.sleep(0.1)
        assert own.talk(post(ONE))[0].scores == [12.0]
    assert capfd.readouterr().err == ""


def test_the_client_may_end_the_connection_with_a_request(wire: Server) -> None:
    found = wire.talk(post(ONE, "Connection: close") + post(ONE))
    assert [(reply.status, reply.headers.get("connection")) for reply in found] == [(200, "close")]


def test_a_request_that_expects_a_go_ahead_gets_it(wire: Server) -> None:
    with wire.connect() as connection:
        connection.sendall(post(ONE, "Expect: 100-continue").removesuffix(ONE))
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(ONE)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_large_bodies_that_are_refused_take_no_memory(wire: Server) -> None:
    before = wire.memory()
    for _ in range(20):
        assert wire.talk(post(b"x" * 3_000_000))[-1].status == 413
    assert wire.memory() - before < 20


def test_a_token_is_asked_for_and_stops_working_when_it_is_revoked(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("owner-1 viewer-1")
    with server(tokens=str(tokens)) as found:
        mine = post(ONE, "Authorization: Bearer owner-1")
        assert [reply.status for reply in found.talk(mine * 20)] == [200] * 20
        assert found.talk(post(ONE))[0].status == 401
        assert found.talk(post(ONE, "Authorization: Bearer other"))[0].status == 401
        assert found.talk(post(ONE, "Authorization: Bearer viewer-1"))[0].status == 403
        tokens.write_text("viewer-1")
        end = time.monotonic() + 10
        while found.talk(mine)[0].status == 200:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_what_is_answered_is_counted(wire: Server) -> None:
    def count(name: str) -> float:
        reply = wire.talk(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")[0]
        line = next((one for one in reply.body.decode().splitlines() if one.startswith(name)), "x 0")
        return float(line.rpartition(" ")[2])

    names = (
        'everloop_predictions_total{model="m"',
        'everloop_http_requests_total{method="POST",door="/v2",status="200"',
    )
    before = [count(name) for name in names]
    wire.talk(post(asking(*[(1.0, 2.0, 3.0)] * 5)) * 3)
    assert [count(name) - was for name, was in zip(names, before, strict=True)] == [15, 3]


def test_what_is_under_way_is_answered_when_the_process_is_told_to_stop() -> None:
    with server(kind="slow") as found, ThreadPoolExecutor(1) as client:
        asked = client.submit(found.talk, post(asking(*[(1.0, 0.0, 0.0)] * 60)))
        time.sleep(0.15)
        found.process.send_signal(signal.SIGTERM)
        (reply,) = asked.result(20)
        assert (reply.scores, reply.headers.get("connection")) == ([2.0] * 60, "close")
        assert found.process.wait(20) == 0


def test_under_overload_what_is_let_in_is_answered_in_time_and_the_rest_refused_at_once() -> None:
    with server(kind="slow") as found:
        found.talk(post(ONE) * 3)
        answers = _storm(found, clients=60, seconds=2.0)
        served = sorted(seconds for status, seconds in answers if status == 200)
        refused = [seconds for status, seconds in answers if status == 503]
        assert len(served) > 0.5 * 2.0 / 0.006, "it went on working"
        assert len(refused) > len(served), "there was more than it could do"
        assert served[int(len(served) * 0.9)] < 0.25, "nobody let in waited for long"
        started = time.perf_counter()
        assert found.talk(post(ONE))[0].scores == [12.0]
        assert time.perf_counter() - started < 1.0, "it was well again at once"


def test_a_refusal_says_when_to_come_back() -> None:
    with server(kind="slow") as found:
        found.talk(post(ONE) * 3)
        refused = [reply for reply in found.talk(post(ONE) * 60) if reply.status == 503]
        assert refused
        assert {reply.headers["retry-after"] for reply in refused} == {"1"}
        assert {next(iter(json.loads(reply.body))) for reply in refused} == {"error"}


def _storm(found: Server, clients: int, seconds: float) -> list[tuple[int, float]]:
    """Clients that ask again and again; the status and the time of each answer."""
    answers: list[tuple[int, float]] = []
    end = time.perf_counter() + seconds

    def client() -> None:
        with found.connect() as connection:
            while (sent := time.perf_counter()) < end:
                connection.sendall(post(ONE))
                status = int(connection.recv(1 << 16).split()[1])
                answers.append((status, time.perf_counter() - sent))
                time.sleep(0.02)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
