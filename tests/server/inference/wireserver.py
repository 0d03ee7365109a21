"""A server of one small model, as a process of its own: `python -m tests.server.inference.wireserver {"kind": …}`.

The model `m` doubles the sum of its three inputs; `slow` takes 5 ms a row, one after another.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from everloop.app.settings import Settings
from everloop.governance.entities import Principal
from everloop.kernel.errors import Unauthenticated
from everloop.registry.columns import InputMatrix
from everloop.registry.entities import Field, Signature
from everloop.server.inference.dataplane import DataPlane
from everloop.server.inference.door import Serving, Where, serve
from everloop.server.inference.served import ServedModel
from everloop.server.metrics import Metrics
from everloop.server.security import Gate
from everloop.serving.direct import DirectModel

INPUTS = tuple(Field(name, "float64") for name in ("a", "b", "c"))


class Summed:
    """Twice the sum of a row."""

    inputs = INPUTS

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        matrix = InputMatrix(self.inputs)(columns)
        if self._seconds:
            time.sleep(self._seconds * len(matrix))
        return np.asarray(2 * matrix.sum(axis=1))

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        raise NotImplementedError  # Nobody asks this model how its inputs moved a score.


def main(options: Mapping[str, str]) -> None:
    """Serve until SIGTERM."""
    tokens = Path(options.get("tokens", ""))

    def authenticate(secret: str) -> Principal:
        if secret not in tokens.read_text().split():
            raise Unauthenticated("No such token.")
        return Principal(secret, ("owner",) if secret.startswith("owner") else ("reader",))

    def announce(address: str) -> None:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()

    settings = Settings(authentication="required" if "tokens" in options else "auto", max_body_mb=1)
    model = Summed(0.005 if options.get("kind") == "slow" else 0.0)
    metrics = Metrics()
    served = ServedModel(DirectModel("m", 1, Signature(INPUTS, (Field("y", "float64"),)), model))
    serving = Serving(DataPlane([served], metrics), metrics, Gate(settings, authenticate), lambda: "x")
    serve(serving, Where("127.0.0.1", 0), announce)


class Server:
    """The process, and plain sockets to it."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address

    def connect(self) -> socket.socket:
        """A new connection."""
        url = urlsplit(self.address)
        return socket.create_connection((url.hostname or "", url.port or 0), timeout=20)

    def talk(self, *pieces: bytes, pause: float = 0.0, wanted: int = 0) -> list[Reply]:
        """What comes back on one connection for bytes that are sent one after another: an answer to each request, or
        fewer where the server ends the connection."""
        with self.connect() as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause)
            except OSError:
                pass  # It may close before it has read all; what it said is what counts.
            return _heard(connection, wanted or max(1, b"".join(pieces).count(b" HTTP/1.1\r\n")))

    def memory(self) -> int:
        """The resident memory in megabytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20


class Reply:
    """A response."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def scores(self) -> list[float]:
        """The predictions."""
        assert self.status == 200, self.body
        return list(json.loads(self.body)["outputs"][0]["data"])


def asking(*rows: tuple[float, ...], **more: object) -> bytes:
    """The body of a request for rows of the model's three inputs, as a matrix."""
    data = [value for row in rows for value in row]
    return json.dumps(
        {"inputs": [{"name": "x", "shape": [len(rows), 3], "datatype": "FP64", "data": data}], **more}
    ).encode()


def post(body: bytes, *headers: str, path: str = "/v2/models/m/infer", host: str = "127.0.0.1") -> bytes:
    """A request as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", *([f"Host: {host}"] if host else []), *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def server(**options: str) -> Iterator[Server]:
    """A process that serves until the block ends."""
    command = [sys.executable, "-m", "tests.server.inference.wireserver", json.dumps(options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])
    assert process.stdout is not None
    try:
        yield Server(process, process.stdout.readline().strip())
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stdout.close()


def _heard(connection: socket.socket, wanted: int) -> list[Reply]:
    """So many responses, or fewer where the connection ends."""
    found: list[Reply] = []
    with connection.makefile("rb") as stream:
        while len(found) < wanted:
            try:
                start = stream.readline()
                lines = list(iter(stream.readline, b"\r\n")) if start else []
            except ConnectionResetError:
                break
            if not start:
                break
            headers = dict(line.decode("latin-1").strip().lower().split(": ", 1) for line in lines)
            found.append(Reply(int(start.split()[1]), headers, stream.read(int(headers.get("content-length", "0")))))
    return found


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
