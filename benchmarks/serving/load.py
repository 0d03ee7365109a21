"""The generator of load that all servers are asked by: `wrk`, one thread, connections that are kept.

`EVERLOOP_BENCH_SECONDS` is how long each measurement takes (5).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from benchmarks.report import say
from benchmarks.serving.model import Body
from benchmarks.serving.processes import Server

SCRIPT = Path(__file__).with_name("post.lua")
SECONDS = float(os.environ.get("EVERLOOP_BENCH_SECONDS", "5"))
WARM_SECONDS = 1.0
MOST_LOST = 0.01


class Asked(msgspec.Struct, frozen=True):
    """What `wrk` saw, in seconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int


class Measured(msgspec.Struct, frozen=True):
    """What a load cost: `cpu` is the server's seconds a request, `wall` the seconds between two answers."""

    cpu: float
    wall: float
    p50: float
    p99: float


def missing() -> bool:
    """Whether there is no generator here, which is said."""
    if shutil.which("wrk"):
        return False
    say("wrk is not installed: nothing is measured (apt-get install wrk)")
    return True


def measured(servers: Sequence[Server], path: str, body: Body, connections: int, seconds: float = SECONDS) -> Measured:
    """What it costs servers, each with so many connections of its own, to answer one body over and over.

    Raises:
        RuntimeError: more requests were refused or lost than a busy machine explains.
    """
    with tempfile.NamedTemporaryFile(prefix="everloop-bench-") as file, ThreadPoolExecutor(len(servers)) as threads:
        file.write(body.content)
        file.flush()
        arguments = [file.name, *(word for pair in body.headers.items() for word in pair)]

        def asked(server: Server, length: float) -> Asked:
            return _wrk(f"http://127.0.0.1:{server.port}{path}", connections, length, arguments)

        list(threads.map(lambda server: asked(server, WARM_SECONDS), servers))
        before = sum(server.cpu() for server in servers)
        found = list(threads.map(lambda server: asked(server, seconds), servers))
        used = sum(server.cpu() for server in servers) - before
    if any(one.errors > one.requests * MOST_LOST for one in found) or not all(one.requests for one in found):
        raise RuntimeError(f"{path} on {[server.port for server in servers]}: {found}")
    requests = sum(one.requests for one in found)
    wall = max(one.seconds for one in found) / requests
    return Measured(used / requests, wall, max(one.p50 for one in found), max(one.p99 for one in found))


def _wrk(url: str, connections: int, seconds: float, arguments: Sequence[str]) -> Asked:
    """One run; `wrk` takes whole seconds only."""
    options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    ran = subprocess.run(["wrk", *options, "-s", str(SCRIPT), url, "--", *arguments], capture_output=True, check=True)
    return msgspec.json.decode(ran.stdout.strip().splitlines()[-1], type=Asked)
