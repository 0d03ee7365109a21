"""The hot path of tracking over real sockets: the same answers as the door's, in order, durable, and counted."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.test_process import address, process

pytestmark = pytest.mark.slow
API = "/api/2.0/mlflow"
Reply = tuple[int, dict[str, str], bytes]


class Server:
    """A running server, and a connection to it that is kept."""

    def __init__(self, url: str, home: Path) -> None:
        self.url, self.home = url, home
        self.port = int(url.rpartition(":")[2])
        self._connection: socket.socket | None = None

    def talk(self, *raw: bytes) -> list[Reply]:
        """The answers to raw requests, sent at once on one connection."""
        if self._connection is None:
            self._connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self._connection.sendall(b"".join(raw))
        reader = self._connection.makefile("rb")
        replies = [read(reader) for _ in raw]
        if any(headers.get("connection") == "close" for _, headers, _ in replies):
            self._connection = None
        return replies

    def new_run(self) -> str:
        """The id of a new run."""
        [(_, _, body)] = self.talk(fast("runs/create", {"experiment_id": "0"}))
        return str(json.loads(body)["run"]["info"]["run_id"])

    def run(self, id: str) -> Any:
        """A run as it is shown."""
        [(_, _, body)] = self.talk(f"GET {API}/runs/get?run_id={id} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        return json.loads(body)["run"]


def read(reader: Any) -> Reply:
    """One answer."""
    status = int(reader.readline().split()[1])
    headers = {}
    while line := reader.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, reader.read(int(headers.get("content-length", 0)))


def fast(path: str, body: Any, root: str = API, more: str = "") -> bytes:
    """A request that the hot path answers."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {root}/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{more}"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def slow(path: str, body: Any) -> bytes:
    """The same, as it goes to the door: chunked."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {API}/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Transfer-Encoding: chunked\r\n\r\n{len(content):x}\r\n".encode() + content + b"\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests here."""
    home = tmp_path_factory.mktemp("home") / "home"
    with process(home, "server", "--port", "0") as running:
        yield Server(address(running), home)


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=2),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "1.5", "1e400", " 1", "0x1", "x" * 9000, "..", "a/../b", 2**63]),
)  # fmt: skip
KEYS = ("key", "value", "timestamp", "step", "run_uuid", "model_id", "other")
POINT = st.fixed_dictionaries(
    {"key": st.just("m"), "value": st.floats(width=32), "timestamp": st.just(5)}
) | st.dictionaries(st.sampled_from(KEYS), ODD, max_size=5)
PAIR = st.fixed_dictionaries({"key": st.sampled_from("ab"), "value": st.text(max_size=3)}) | st.dictionaries(
    st.sampled_from(("key", "value")), ODD, max_size=2
)
BODIES = {
    "runs/log-metric": POINT,
    "runs/log-parameter": PAIR,
    "runs/set-tag": PAIR,
    "runs/log-batch": st.dictionaries(
        st.sampled_from(("metrics", "params", "tags", "other")), st.lists(POINT | PAIR, max_size=3) | ODD, max_size=4
    ),
}


class TestLikeTheDoor:
    @pytest.mark.parametrize("path", sorted(BODIES))
    def test_any_request_gets_the_status_and_body_that_the_door_gives_it(self, server: Server, path: str) -> None:
        one, other = server.new_run(), server.new_run()

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(body=BODIES[path])
        def same(body: dict[str, Any]) -> None:
            [hot] = server.talk(fast(path, body | {"run_id": one}))
            [door] = server.talk(slow(path, body | {"run_id": other}))
            assert (hot[0], hot[2]) == (door[0], door[2].replace(other.encode(), one.encode()))

        same()
        first, second = server.run(one)["data"], server.run(other)["data"]
        assert {name: first[name] for name in ("metrics", "params")} == {
            name: second[name] for name in ("metrics", "params")
        }

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"null", b"\xff", b'{"run_id": 1}', b"{}", b'{"run_id": "x"', b"[" * 5000, b'"x"']
    )
    def test_what_is_no_object_is_refused_alike(self, server: Server, body: bytes) -> None:
        for path in ("runs/log-metric", "runs/log-batch", "runs/search", "runs/create"):
            [hot], [door] = server.talk(fast(path, body)), server.talk(slow(path, body) if body else fast(path, body))
            assert (hot[0], hot[2]) == (door[0], door[2]) or path == "runs/create"

    def test_the_head_of_an_answer_is_the_door_s(self, server: Server) -> None:
        id = server.new_run()
        body = {"run_id": id, "key": "a", "value": 1, "timestamp": 1}
        for sent in (body, body | {"run_id": "none"}):
            [(_, hot, _)], [(_, door, _)] = (
                server.talk(fast("runs/log-metric", sent)),
                server.talk(slow("runs/log-metric", sent)),
            )
            assert hot | {"date": ""} == door | {"date": ""}

    def test_both_roots_and_reads_are_answered_alike(self, server: Server) -> None:
        id = server.new_run()
        server.talk(fast("runs/log-metric", {"run_id": id, "key": "a", "value": 1, "timestamp": 1}))
        asked = [
            f"runs/get?run_id={id}",
            f"metrics/get-history?run_id={id}&metric_key=a",
            "experiments/get?experiment_id=0",
        ]
        asked += [
            f"experiments/get-by-name?experiment_name={quote('Default')}",
            "runs/get?run_id=none",
            "runs/get?x=%ff",
        ]
        for path in asked:
            for root in (API, "/ajax-api/2.0/mlflow"):
                [hot] = server.talk(f"GET {root}/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                door = httpx.request("GET", f"{server.url}{API}/{path}", headers={"expect": ""})
                assert (hot[0], hot[2]) == (door.status_code, door.content)


class TestOrder:
    def test_pipelined_requests_have_their_effects_and_answers_in_order(self, server: Server) -> None:
        id = server.new_run()
        get = f"GET {API}/runs/get?run_id={id} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        sent = []
        for number in range(30):
            metric = {"run_id": id, "key": "m", "value": number, "timestamp": 1, "step": number}
            sent += [(slow if number % 3 == 0 else fast)("runs/log-metric", metric), get]
        replies = server.talk(*sent)
        shown = [json.loads(body)["run"]["data"]["metrics"][0]["value"] for _, _, body in replies[1::2]]
        assert shown == list(range(30))

    def test_many_connections_lose_nothing(self, server: Server) -> None:
        id = server.new_run()

        def client(number: int) -> None:
            mine = Server(server.url, server.home)
            for step in range(20):
                [(status, _, _)] = mine.talk(
                    fast(
                        "runs/log-metric",
                        {"run_id": id, "key": f"m{number}", "value": step, "timestamp": 1, "step": step},
                    )
                )
                assert status == 200

        with ThreadPoolExecutor(16) as clients:
            list(clients.map(client, range(16)))
        metrics = server.run(id)["data"]["metrics"]
        assert {(it["key"], it["step"]) for it in metrics} == {(f"m{number}", 19) for number in range(16)}

    @pytest.mark.parametrize("cut", [1, 40, 150])
    def test_a_request_may_come_in_pieces(self, server: Server, cut: int) -> None:
        id = server.new_run()
        raw = fast("runs/log-parameter", {"run_id": id, "key": "a", "value": "1"})
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            for at in range(0, len(raw), cut):
                connection.sendall(raw[at : at + cut])
            assert read(connection.makefile("rb"))[0] == 200
        assert server.run(id)["data"]["params"] == [{"key": "a", "value": "1"}]


class TestWhoMay:
    def test_the_checks_of_the_guard_hold_on_the_hot_path_too(self, server: Server) -> None:
        body = {"run_id": server.new_run(), "key": "a", "value": 1, "timestamp": 1}
        for more, status in (
            ("Origin: http://evil.example\r\n", 403),
            ("Sec-Fetch-Site: cross-site\r\n", 403),
            ("X-Forwarded-For: 192.0.2.1\r\n", 401),
            ("Authorization: Bearer wrong\r\n", 401),
            ("Authorization: Digest x\r\n", 401),
            ("Host: evil.example\r\n", 400),
        ):
            [(got, _, told)] = server.talk(fast("runs/log-metric", body, more=more))
            assert (got, set(json.loads(told))) == (status, {"error_code", "message"})
        assert server.run(str(body["run_id"]))["data"]["metrics"] == []

    def test_a_token_is_known_until_it_is_revoked(self, tmp_path: Path) -> None:
        from everloop.app.platform import open_platform
        from everloop.app.settings import load

        platform = open_platform(load({"home": str(tmp_path / "home")}, environment={}, folder=tmp_path))
        platform.call("governance.grant", {"principal": "eve", "roles": ["reader"]})
        secret = platform.call("tokens.create", {"principal": "eve"}).secret
        platform.close()
        with process(tmp_path / "home", "server", "--port", "0") as running:
            server = Server(address(running), tmp_path)
            id = server.new_run()
            token = f"Authorization: Bearer {secret}\r\n"
            for _ in range(3):  # The first is looked up by the door.
                [(status, _, _)] = server.talk(
                    fast("runs/set-tag", {"run_id": id, "key": "a", "value": "1"}, more=token)
                )
                assert status == 403
                [(status, _, _)] = server.talk(
                    f"GET {API}/runs/get?run_id={id} HTTP/1.1\r\nHost: 127.0.0.1\r\n{token}\r\n".encode()
                )
                assert status == 200


class TestThePlumbing:
    def test_answers_are_counted_by_door(self, server: Server) -> None:
        def counted() -> float:
            lines = httpx.get(f"{server.url}/metrics").text.splitlines()
            found = [
                line for line in lines if line.startswith('everloop_http_requests_total{method="POST",door="/ajax-api"')
            ]
            return sum(float(line.rpartition(" ")[2]) for line in found)

        id, before = server.new_run(), counted()
        server.talk(fast("runs/set-tag", {"run_id": id, "key": "a", "value": "1"}, root="/ajax-api/2.0/mlflow"))
        assert counted() == before + 1

    def test_points_of_our_own_clients_are_taken_once(self, server: Server) -> None:
        from everloop.tracking.entities import MetricPoint
        from everloop.tracking.points import pack, points_of

        id = server.new_run()
        segment = pack(points_of([MetricPoint("m", 1.5, 1, None)], 1_700_000_000_000_000))
        head = f"POST /api/v1/runs/{id}/points HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(segment)}\r\n"
        raw = f"{head}X-Everloop-Writer: w\r\nX-Everloop-Sequence: 1\r\n\r\n".encode() + segment
        assert [(status, body) for status, _, body in server.talk(raw, raw)] == [(204, b"")] * 2
        history = httpx.get(f"{server.url}{API}/metrics/get-history", params={"run_id": id, "metric_key": "m"}).json()
        assert len(history["metrics"]) == 1
        [(status, _, told)] = server.talk(raw.replace(segment, b"x" * len(segment)))
        assert (status, set(json.loads(told))) == (400, {"error"})

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
    def test_what_was_acknowledged_is_there_after_the_end(self, tmp_path: Path, how: signal.Signals) -> None:
        home = tmp_path / "home"
        with process(home, "server", "--port", "0") as running:
            server = Server(address(running), home)
            id = server.new_run()
            for step in range(20):
                server.talk(
                    fast("runs/log-metric", {"run_id": id, "key": "m", "value": step, "timestamp": 1, "step": step})
                )
            running.send_signal(how)
            running.wait(20)
        with process(home, "server", "--port", "0") as running:
            [metric] = Server(address(running), home).run(id)["data"]["metrics"]
            assert metric["step"] == 19
