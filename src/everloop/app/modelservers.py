"""Servers of registered versions, started as `everloop serve` for a load test."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from time import perf_counter, sleep
from typing import IO

import msgspec

from everloop.app.processes import die_with_parent
from everloop.app.settings import Settings, variable_of
from everloop.kernel.errors import Unavailable
from everloop.packaging.sizing.serverport import Started

_TIMEOUT_SECONDS = 60.0
_LOOK_SECONDS = 0.01


class EverloopServers:
    """Starts `everloop serve models:/NAME/VERSION` on loopback, with the same settings as this process."""

    def __init__(self, values: Settings) -> None:
        self._values = values

    @contextmanager
    def started(self, project: str, model: str, version: int, cores: Collection[int]) -> Iterator[Started]:
        """A server of one version on these cores, ended with the context.

        Raises:
            Unavailable: it did not start within a minute.
        """
        words = [sys.executable, "-m", "everloop", "serve", f"models:/{model}/{version}", "--port", "0", "--json"]
        began = perf_counter()
        with tempfile.TemporaryFile() as log:

            def prepared() -> None:
                die_with_parent()
                os.sched_setaffinity(0, cores)

            child = subprocess.Popen(
                words, env=self._environment(project), stdout=subprocess.PIPE, stderr=log, preexec_fn=prepared
            )
            try:
                port = _port(child, log)
                _wait(port, child, log)
                yield Started("127.0.0.1", port, child.pid, perf_counter() - began)
            finally:
                child.terminate()
                child.wait()
                if child.stdout is not None:
                    child.stdout.close()

    def _environment(self, project: str) -> dict[str, str]:
        """This process's settings, but for who may ask: the server lives for seconds, on loopback."""
        given = {
            variable_of(key): ",".join(value) if isinstance(value, tuple) else str(value)
            for key in Settings.__struct_fields__
            if (value := getattr(self._values, key)) != getattr(Settings(), key)
        }
        own = {"EVERLOOP_PROJECT": project, "EVERLOOP_HOST": "127.0.0.1", "EVERLOOP_AUTHENTICATION": "auto"}
        url = {"EVERLOOP_URL": ""}
        return dict(os.environ) | given | own | url


def _port(child: subprocess.Popen[bytes], log: IO[bytes]) -> int:
    line = child.stdout.readline() if child.stdout else b""
    if not line.strip():
        raise _failed(child, log)
    address: str = msgspec.json.decode(line)["address"]
    return int(address.rpartition(":")[2].strip("/"))


def _wait(port: int, child: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    import httpx

    until = perf_counter() + _TIMEOUT_SECONDS
    while perf_counter() < until and child.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        sleep(_LOOK_SECONDS)
    raise _failed(child, log)


def _failed(child: subprocess.Popen[bytes], log: IO[bytes]) -> Unavailable:
    log.seek(0)
    said = log.read().decode(errors="replace").strip().rpartition("\n")[2][-500:]
    return Unavailable(
        f"The server to be put under load did not start: {said or 'it said nothing'}.",
        hint=f"Start it by hand: everloop {' '.join(map(str, child.args[3:6]))}",  # type: ignore[index]
    )
