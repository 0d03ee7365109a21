"""Processes that the benchmarks measure from outside: an Everloop door, or a bare server beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.harness import Meter, meter_of
from everloop.cli.demo.children import free_port

ROOT = Path(__file__).parents[1]
READY_SECONDS = 60.0


class Door:
    """A server in a process of its own, asked over one kept-alive connection."""

    def __init__(self, process: int, port: int) -> None:
        self.meter: Meter = meter_of(process)
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30.0)

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        return self._ask("GET", path, None, {})

    def post(self, path: str, body: bytes) -> bytes:
        """The body of the answer to some JSON."""
        return self._ask("POST", path, body, {"Content-Type": "application/json"})

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
        try:
            self._connection.request(method, path, body, dict(headers))
            answer = self._connection.getresponse()
        except (HTTPException, OSError):  # It hung up because nobody had asked for a while.
            self._connection.close()
            self._connection.request(method, path, body, dict(headers))
            answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} was answered with {answer.status}: {text[:300]!r}")
        return text


@contextmanager
def served(*arguments: str, home: Path | None = None) -> Iterator[Door]:
    """A running `python -m …` that listens on `--port`, ready to be asked."""
    port = free_port()
    environment = os.environ | ({"EVERLOOP_HOME": str(home)} if home else {})
    command = [sys.executable, "-m", *arguments, "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port, process)
        yield Door(process.pid, port)
    finally:
        process.terminate()
        process.wait()


def executed(command: Sequence[str]) -> None:
    """Run a command to its end."""
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=5.0)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not come up.")
