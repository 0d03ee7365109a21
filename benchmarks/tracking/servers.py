"""Servers that MLflow's client is pointed at: ours, MLflow's own, and one that answers at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.request import urlopen

import msgspec

from benchmarks import scratch
from everloop.cli.demo.children import free_port

READY_SECONDS = 120.0
_AT_ONCE = """
import asyncio, http.client, sys
known, host = {}, sys.argv[1].removeprefix("http://")
def answered(method, path, body):
    name = method, path.partition("?")[0]
    if name not in known:
        behind = http.client.HTTPConnection(host)
        behind.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        text = behind.getresponse().read()
        behind.close()
        head = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(text)
        known[name] = head + text
    return known[name]
class AtOnce(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.data = transport, b""
    def data_received(self, data):
        self.data += data
        head, found, body = self.data.partition(b"\\r\\n\\r\\n")
        if not found:
            return
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\\r\\n")[0]) if at >= 0 else 0
        if len(body) < length:
            return
        self.data = body[length:]
        method, path, _ = head.split(b" ", 2)
        self.transport.write(answered(method.decode(), path.decode(), body[:length]))
async def main():
    server = await asyncio.get_running_loop().create_server(AtOnce, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
try:
    import uvloop
    uvloop.run(main())
except ImportError:
    asyncio.run(main())
"""


class Served:
    """A server of ours in a process of its own, asked over one connection that is kept."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address
        self._connection = self.connection()

    def connection(self) -> HTTPConnection:
        """Another connection to it."""
        host, port = self.address.removeprefix("http://").split(":")
        return HTTPConnection(host, int(port), timeout=60.0)

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of an answer."""
        kind = {} if body is None else {"Content-Type": "application/json"}
        self._connection.request(method, path, body, kind)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path} was answered with {answer.status}: {text[:300]!r}")
        return text

    def run(self) -> str:
        """The id of a run that has begun on it, through MLflow's door."""
        begun = self.ask("POST", "/api/2.0/mlflow/runs/create", b'{"experiment_id": "0"}')
        return str(msgspec.json.decode(begun)["run"]["info"]["run_id"])

    def resident(self) -> float:
        """The megabytes that its processes hold, each shared page counted by its share."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


class Peer(msgspec.Struct, frozen=True):
    """A running server of MLflow's: where, how long it took to answer, and what its processes held then."""

    address: str
    ready: float
    megabytes: float


@contextmanager
def ours(home: Path | None = None, database: str = "") -> Iterator[Served]:
    """A running `everloop server` with a home of its own, and its catalog in a database or a file there."""
    words = ["server", "--port", "0", "--home", str(home or scratch.folder() / "home"), "--json"]
    environment = {"EVERLOOP_DATABASE_URL": database} if database else {}
    with _process([sys.executable, "-m", "everloop", *words], environment) as process:
        assert process.stdout is not None
        yield Served(process, str(msgspec.json.decode(process.stdout.readline())["address"]))


@contextmanager
def at_once(behind: str) -> Iterator[str]:
    """A server that answers at once what another said when it was asked for that path first."""
    with _process([sys.executable, "-c", _AT_ONCE, behind], {}) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


@contextmanager
def mlflow(python: str, database: str = "") -> Iterator[Peer]:
    """MLflow's server by a Python that has it, with one worker, on a database or a file of SQLite."""
    folder, port, begun = scratch.folder(), free_port(), time.perf_counter()
    store = database or f"sqlite:///{folder / 'mlflow.db'}"
    words = ["server", "--port", str(port), "--workers", "1", "--backend-store-uri", store]
    command = [python, "-m", "mlflow", *words, "--artifacts-destination", str(folder / "artifacts")]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{Path(python).parent}:/usr/bin:/bin"}
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(f"http://127.0.0.1:{port}/health", running, folder / "log")
            ready = time.perf_counter() - begun
            yield Peer(f"http://127.0.0.1:{port}", ready, _held(running.pid))
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, 15)
            running.wait()


@contextmanager
def postgresql(*databases: str) -> Iterator[list[str]]:
    """The URLs of fresh databases of a PostgreSQL server as it is by default, which syncs each commit.

    Raises:
        RuntimeError: there is none on this machine.
    """
    import psycopg
    import pytest
    from tests import servers

    try:
        with servers.postgresql(fsync="on") as url:
            with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
                for name in databases:
                    connection.execute(f'CREATE DATABASE "{name}"')
            yield [f"{url}/{name}" for name in databases]
    except pytest.skip.Exception as error:
        raise RuntimeError(str(error)) from None


def by_psycopg2(url: str) -> str:
    """The URL for SQLAlchemy with the driver that MLflow's users have: which one it takes by itself varies."""
    return url.replace("postgresql://", "postgresql+psycopg2://")


@contextmanager
def _process(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that says on its first line where it listens."""
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def _held(group: int) -> float:
    """The megabytes that the processes of a group hold."""
    size = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) == group:
                lines = (process / "smaps_rollup").read_text().splitlines()
                size += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, ProcessLookupError):
            continue
    return size / 1024


def _wait(url: str, running: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and running.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except (OSError, HTTPException):  # The latter from whoever took that port meanwhile.
            time.sleep(0.1)
    raise RuntimeError(f"MLflow's server did not come up: {log.read_text()[-300:]}")
