"""Models that fail in every way there is, and a supervised server of them: `python -m … HOME '{"what": […], …}'`."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import httpx
import msgspec
import numpy as np

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.registry import service as models
from everloop.registry.entities import Field, Finding, Signature
from everloop.registry.flavor import Flavor
from everloop.registry.save import save_model
from everloop.server.inference.door import Where
from everloop.server.inference.main import serve_models
from everloop.server.replicas.launch import supervise
from everloop.server.replicas.supervisor import Care
from everloop.server.replicas.worker import Worker

INPUTS = (Field("x", "float64"),)
OUTPUTS = (Field("y", "float64"),)
POISON = 1000.0
"""What a faulty model fails on."""
_leaked: list[bytes] = []


class Faulty(msgspec.Struct):
    """Gives `factor * x`; fails in its own way where x is poison."""

    factor: float
    fault: str = ""
    inputs: tuple[Field, ...] = INPUTS

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        values = columns["x"]
        if self.fault and np.any(values == POISON):
            self._fail()
        return np.asarray(values * self.factor)

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        raise NotImplementedError  # Nobody asks this model how its inputs moved a score.

    def _fail(self) -> None:
        match self.fault:
            case "raise":
                raise RuntimeError("poison")
            case "sleep":
                time.sleep(3600)
            case "hold":
                ctypes.PyDLL("").sleep(3600)  # A native call that keeps Python's lock.
            case "leak":
                _leaked.append(os.urandom(40 << 20))
            case "exit":
                os._exit(0)
            case "segfault":
                ctypes.string_at(0)


class FaultyFlavor:
    """Keeps such models as JSON."""

    name = "faulty"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        (folder / "model.json").write_bytes(msgspec.json.encode(native))

    def load(self, folder: Path) -> Faulty:
        return msgspec.json.decode((folder / "model.json").read_bytes(), type=Faulty)

    def scan(self, folder: Path) -> list[Finding]:
        return []

    def requirements(self) -> list[str]:
        return []


def open_faulty(home: Path) -> Platform:
    """A platform that knows such models."""
    platform = open_platform(load({"home": str(home), "seed": 7}, environment={}, folder=home.parent))
    platform.resources.ports.provide(Flavor, FaultyFlavor, "faulty")
    return platform


def register(platform: Platform, name: str, *versions: Faulty) -> None:
    """Register versions of a model."""
    for model in versions:
        with platform.session().begin() as unit, unit.activate():
            models.register(unit, name, save_model(model, flavor="faulty", signature=Signature(INPUTS, OUTPUTS)))


def move(platform: Platform, name: str, alias: str, version: int) -> None:
    """Let an alias name a version."""
    with platform.session().begin() as unit:
        models.set_alias(unit, name, alias, version)


class Workers:
    """The supervised server as a process of its own, and a client."""

    def __init__(self, home: Path, *what: str, **care: object) -> None:
        options = json.dumps({"what": what, "care": {"workers": 2, "hang_seconds": 1.0} | care})
        self.errors = home.parent / "errors.txt"
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(home), options], stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address, self.errors.read_text()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def ask(self, model: str, *rows: float, timeout: float = 10) -> httpx.Response:
        """The answer to rows, on a connection of its own."""
        tensor = {"name": "x", "datatype": "FP64", "shape": [len(rows)], "data": rows}
        url = f"{self.address}/v2/models/{model}/infer"
        return httpx.post(url, json={"inputs": [tensor]}, timeout=timeout, trust_env=False)

    def poison(self, model: str, timeout: float = 0.3) -> httpx.Response | None:
        """Ask what the model fails on; None when the connection broke or nothing came."""
        try:
            return self.ask(model, POISON, timeout=timeout)
        except httpx.TransportError:
            return None

    def get(self, path: str) -> httpx.Response:
        """What stands under a path."""
        return httpx.get(self.address + path, trust_env=False)

    def restarts(self) -> int:
        """How many workers were replaced; -1 while none is there that could tell."""
        lines = self.get("/metrics").text.splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("everloop_worker_restarts_total ")), -1)

    def pids(self) -> list[int]:
        """The workers' processes."""
        return [
            int(pid)
            for task in Path(f"/proc/{self.process.pid}/task").iterdir()
            for pid in (task / "children").read_text().split()
        ]


def until(condition: object, seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    assert callable(condition)
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise AssertionError("it did not come to that in time")


def main(home: Path, options: Mapping[str, object]) -> None:
    """Serve models until SIGTERM."""
    settings = load({"home": str(home), "serving_slo_ms": 10_000}, environment={}, folder=home.parent)
    what = [str(one) for one in options["what"]]  # type: ignore[attr-defined]
    care = msgspec.convert(options["care"], Care)

    def serve(platform: Platform, worker: Worker) -> None:
        platform.resources.ports.provide(Flavor, FaultyFlavor, "faulty")
        serve_models(platform, what, "127.0.0.1", 0, lambda address: None, None, worker)

    def announce(address: str) -> None:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()

    supervise(settings, serve, Where("127.0.0.1", 0), care, "faulty", announce)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
