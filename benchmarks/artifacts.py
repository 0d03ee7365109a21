"""Artifacts over HTTP: 100 MB up and down, beside a bare copy over loopback that is hashed and kept in a file.

The bare copy is two processes: one sends, the other hashes with BLAKE3 what comes and writes it to a file that is
synced; and back. Both sides are asked by the same client, which does nothing but send and receive.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec

from benchmarks import scratch
from benchmarks.harness import Figure

SIZE = 100 << 20
ROUNDS = 5
_PIECE = 1 << 20
_BARE = """
import os, socket, sys
from blake3 import blake3
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
size, buffer = int(sys.argv[2]), bytearray(1 << 20)
while True:
    connection, _ = listening.accept()
    whole, left = blake3(), size
    if connection.recv(1) == b"u":
        with open(sys.argv[1], "wb", buffering=0) as file:
            while left:
                piece = memoryview(buffer)[: connection.recv_into(buffer)]
                whole.update(piece)
                file.write(piece)
                left -= len(piece)
            os.fsync(file.fileno())
        connection.sendall(whole.digest())
    else:
        with open(sys.argv[1], "rb", buffering=0) as file:
            while read := file.readinto(buffer):
                whole.update(memoryview(buffer)[:read])
                connection.sendall(memoryview(buffer)[:read])
    connection.close()
"""


class Copy(msgspec.Struct, frozen=True):
    """Seconds that a copy up and a copy down took."""

    up: float
    down: float


def run() -> Sequence[Figure]:
    """How long 100 MB take in each direction; `theirs` is the bare copy."""
    ours, bare = measure(SIZE, ROUNDS)
    return [
        Figure(what=f"artifact of {SIZE >> 20} MB {way}", unit="s", ours=cost, peer="bare copy, hashed", theirs=limit)
        for way, cost, limit in (("up", ours.up, bare.up), ("down", ours.down, bare.down))
    ]


def measure(size: int, rounds: int) -> tuple[Copy, Copy]:
    """Ours and the bare copy's, in turns; the median of each. No content comes twice, or the store would know it."""
    ours: list[Copy] = []
    bare: list[Copy] = []
    folder = scratch.folder()
    with _server(folder) as (port, path), _bare(folder, size) as bare_port:
        for number in range(rounds):
            content = os.urandom(size)
            bare.append(_bare_copy(bare_port, content))
            ours.append(_copy(port, f"{path}/{number}.bin", content))
    return _middle(ours), _middle(bare)


def _middle(copies: Sequence[Copy]) -> Copy:
    return Copy(median(copy.up for copy in copies), median(copy.down for copy in copies))


def _copy(port: int, path: str, content: bytes) -> Copy:
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode())
        connection.sendall(content)
        answer = connection.recv(_PIECE)
    if b" 200 " not in answer[:16]:
        raise RuntimeError(f"the upload failed: {answer!r}")
    middle = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        received = _received(connection)
    if received < len(content):
        raise RuntimeError(f"{received} bytes came back of {len(content)}")
    return Copy(middle - started, time.perf_counter() - middle)


def _bare_copy(port: int, content: bytes) -> Copy:
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"u" + content)
        connection.recv(32)
    middle = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"d")
        _received(connection)
    return Copy(middle - started, time.perf_counter() - middle)


def _received(connection: socket.socket) -> int:
    buffer, received = bytearray(_PIECE), 0
    while read := connection.recv_into(buffer):
        received += read
    return received


@contextmanager
def _server(folder: Path) -> Iterator[tuple[int, str]]:
    """The port of our server, and where a run's artifacts are on it."""
    import httpx

    words = ["server", "--port", "0", "--home", str(folder / "home"), "--json"]
    with _process([sys.executable, "-m", "everloop", *words]) as line:
        url = str(msgspec.json.decode(line)["address"])
        info = httpx.post(f"{url}/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]
        port = int(url.rpartition(":")[2])
        yield port, f"/api/2.0/mlflow-artifacts/artifacts/0/{info['run_id']}/artifacts"


@contextmanager
def _bare(folder: Path, size: int) -> Iterator[int]:
    with _process([sys.executable, "-c", _BARE, str(folder / "bare"), str(size)]) as line:
        yield int(line)


@contextmanager
def _process(command: Sequence[str]) -> Iterator[str]:
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    try:
        yield running.stdout.readline()
    finally:
        running.kill()
        running.communicate()
