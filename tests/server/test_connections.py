"""Connections of clients that mean no good: what they may cost, and what becomes of requests beside bad ones."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.server.test_process import QUIET, address

pytestmark = pytest.mark.slow
HASTY = "import everloop.server.wire as wire; wire.HEAD_SECONDS = 1.0; from everloop.cli.main import main; main()"
"""A server that does not wait long for heads."""
HEAD = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\n"
RUNS = b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\n" + HEAD


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where a server listens, that logs nothing at all."""
    home = tmp_path_factory.mktemp("home") / "home"
    command = [sys.executable, "-c", HASTY, "server", "--port", "0", "--home", str(home), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=QUIET) as server:
        yield int(address(server).rpartition(":")[2])
        server.terminate()
        assert server.stderr is not None
        assert server.stderr.read() == ""


def pour(port: int, begin: bytes, endless: bytes) -> None:
    """Send what has no end, for 24 MB."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(begin)
        for _ in range(1000):
            connection.sendall(endless)


def said(port: int, *pieces: bytes) -> bytes:
    """All that the server answers until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        found = b""
        with suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
            while data := connection.recv(65_536):
                found += data
        return found


def statuses(answers: bytes) -> list[int]:
    """The statuses of some answers."""
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


def runs(port: int) -> int:
    """How many runs there are."""
    asked = b'{"experiment_ids": ["0"], "max_results": 1000}'
    head = b"POST /api/2.0/mlflow/runs/search HTTP/1.1\r\nConnection: close\r\n" + HEAD
    answer = said(port, head + b"Content-Length: %d\r\n\r\n" % len(asked) + asked)
    return len(json.loads(answer.partition(b"\r\n\r\n")[2]).get("runs", []))


@pytest.mark.parametrize(
    "begin",
    [
        b"GET / HTTP/1.1\r\nX: ",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",
    ],
)
def test_a_head_or_a_trailer_without_end_is_cut_off(port: int, begin: bytes) -> None:
    endless = b"X: a\r\n" * 4000 if begin.endswith(b"\n") else b"a" * 24_000
    with pytest.raises(ConnectionError):
        pour(port, begin, endless)


@pytest.mark.parametrize("silent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_a_connection_that_says_nothing_or_never_comes_to_the_point_is_closed(port: int, silent: bytes) -> None:
    assert said(port, silent) == b""


def test_a_request_before_a_broken_one_gets_its_own_answer(port: int) -> None:
    before = runs(port)
    created = RUNS + b'Content-Length: 24\r\n\r\n{"experiment_id": "0"}  '
    chunked = RUNS + b'Transfer-Encoding: chunked\r\n\r\n16\r\n{"experiment_id": "0"}\r\n0\r\n\r\n'
    for good in (created, chunked):
        assert statuses(said(port, good + b"\x00 GARBAGE\r\n\r\n"))[0] == 200
    assert statuses(said(port, chunked + RUNS + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")) == [200, 400]
    assert runs(port) == before + 3


def test_a_body_that_breaks_off_in_its_frames_changes_nothing(port: int) -> None:
    before = runs(port)
    broken = RUNS + b'Transfer-Encoding: chunked\r\n\r\n16\r\n{"experiment_id": "0"}\r\nzz\r\n'
    assert statuses(said(port, broken)) == [400]
    assert runs(port) == before


@pytest.mark.parametrize("path", [b"/health#x", b"/api/2.0/mlflow-artifacts/artifacts/0/x/artifacts/a#b"])
def test_a_fragment_is_no_part_of_a_request(port: int, path: bytes) -> None:
    assert statuses(said(port, b"PUT " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")) == [400]


def test_more_than_may_wait_on_a_connection_is_answered_all_the_same(port: int) -> None:
    body = json.dumps({"experiment_id": "0", "tags": [{"key": "k", "value": "v" * 300_000}]}).encode()
    request = RUNS.replace(b"runs/create", b"experiments/set-experiment-tag")
    one = request + b"Content-Length: %d\r\n\r\n" % len(body) + body
    last = one.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n", 1)
    assert statuses(said(port, one * 30 + last)) == [400] * 31
