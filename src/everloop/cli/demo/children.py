"""The demo's other processes: the endpoint and the server. Whichever dies is started again; nothing hangs on it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from everloop.app.processes import die_with_parent
from everloop.kernel.errors import Unavailable

READY_SECONDS = 60.0


class Child:
    """A process of Everloop with an address that answers `/readyz`. It ends with the demo, even when that is killed."""

    def __init__(self, name: str, command: Sequence[str], port: int, log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "everloop", *command, "--port", str(port)]
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._peak_kb = 0

    def start(self) -> None:
        """Start it, if it is not running, without waiting for it."""
        if self._process is not None and self._process.poll() is None:
            return
        with self._log.open("ab") as log:
            environment = dict(self._environment)
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=environment, preexec_fn=die_with_parent
            )

    def ready(self) -> None:
        """Wait until it answers, starting it as often as it dies.

        Raises:
            Unavailable: it does not come up; its log says why.
        """
        end = time.monotonic() + READY_SECONDS
        while not self._answers():
            if time.monotonic() > end:
                raise Unavailable(f"The {self.name} did not come up at {self.url}.", hint=f"Its log is {self._log}.")
            self.start()
            time.sleep(0.05)

    def peak_mb(self) -> float:
        """The most memory that it has used, over its restarts, in megabytes."""
        if self._process is not None:
            self._peak_kb = max(self._peak_kb, peak_kb(self._process.pid))
        return self._peak_kb / 1024

    def stop(self) -> None:
        """End it cleanly."""
        self.peak_mb()
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5.0)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def peak_kb(process: int | str = "self") -> int:
    """The most memory that a process has used, in kilobytes; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def free_port() -> int:
    """A port that nobody listens on now."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
