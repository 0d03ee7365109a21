"""Packages of small models, unpacked, and the server without a platform as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import httpx
import msgspec

from everloop.packaging.entities import Manifest
from everloop.registry.entities import Signature
from everloop.store.entities import Digest
from tests.server.inference.linear import SCORES, SIGNATURE, TENSORS

ROOT = Path(__file__).parents[3]
KINDS: dict[str, tuple[str, Signature]] = {
    "late": ("Linear", SIGNATURE),
    "pixels": ("Pixels", TENSORS),
    "both": ("Both", SCORES),
}


def unpacked(folder: Path, model: str = "late", version: int = 3) -> Path:
    """The folder of a package of one of the small models."""
    flavor, signature = KINDS[model]
    manifest = Manifest(
        model, version, Digest("0" * 64), signature, f"tests.server.inference.linear:{flavor}", (), (), "everloop"
    )
    (folder / "model").mkdir(parents=True)
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return folder


class Standalone:
    """`python -m everloop.server.inference.standalone …` as a process, with a client that talks to it."""

    def __init__(self, *words: object, port: str = "0", **environment: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("EVERLOOP_", "AIP_"))}
        command = [sys.executable, "-m", "everloop.server.inference.standalone", *map(str, words)]
        self.process = subprocess.Popen(
            [*command, *(["--port", port] if port else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean | environment | {"PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline()
        self.said = json.loads(line) if line else {"address": "", "errors": self.process.stderr.read()}
        self.http = httpx.Client(base_url=self.said["address"], timeout=30)

    def __enter__(self) -> Standalone:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def post(self, path: str, content: bytes | str, kind: str = "application/json", **headers: str) -> httpx.Response:
        """Send a body of a content type."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(path, content=content, headers={"Content-Type": kind} | named)

    def stop(self) -> int:
        """End the process as a supervisor does; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self.http.close()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code
