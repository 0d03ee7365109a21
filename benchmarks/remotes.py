"""Push and pull of many small files to and from an S3 server (rclone's), beside DVC with dvc-s3, as whole processes.

CPU is that of the tool's processes, not of the server. Requests are counted by a proxy before the server, in runs of
their own, since a proxy slows down whoever asks most. DVC is found beside the Python that `EVERLOOP_PEERS` names (or
this one); where it is not, ours stands alone. `EVERLOOP_BENCH_FILES` names another number of files than 10,000.
"""

from __future__ import annotations

import os
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from tests.proxy import proxied
from tests.servers import rclone

from benchmarks import scratch
from benchmarks.harness import Figure
from benchmarks.report import say
from benchmarks.versions import cost_of, ran

SIZE = 2_048
WORK = ("push", "pull")
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
_GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@localhost")
Commands = Sequence[Sequence[str]]


class Tool(msgspec.Struct, frozen=True):
    """How a tool does the work: `ready` keeps the folder and names the remote, `join` names it in a clone."""

    name: str
    ready: Commands
    push: Commands
    join: Commands
    pull: Commands


class Spent(msgspec.Struct, frozen=True):
    """What a piece of work took: seconds, and requests to the server."""

    cpu: float
    wall: float
    requests: int


def run() -> Sequence[Figure]:
    """Push from one clone, pull into another."""
    count = int(os.environ.get("EVERLOOP_BENCH_FILES", "10000"))
    os.environ.update(KEYS)
    with rclone() as endpoint:
        ours = _worked(everloop, endpoint, count)
        if not _dvc().exists():
            say("DVC is not installed: left out")
        theirs = _worked(dvc, endpoint, count) if _dvc().exists() else dict.fromkeys(WORK, Spent(0, 0, 0))
    return [figure for work in WORK for figure in _beside(f"{count:,} files of 2 KB: {work}", ours[work], theirs[work])]


def _beside(what: str, ours: Spent, theirs: Spent) -> Iterator[Figure]:
    sides = {"ours": ours.cpu, "theirs": theirs.cpu, "our_wall": ours.wall, "their_wall": theirs.wall}
    yield Figure(what=what, unit="s", peer="DVC", **sides)
    yield Figure(what=f"{what}: requests", unit="", ours=ours.requests, peer="DVC", theirs=theirs.requests)


def everloop(endpoint: str, bucket: str) -> Tool:
    """Our command line."""
    program = str(Path(sys.executable).with_name("everloop"))
    add = (program, "remotes", "add", "origin", "--url", f"s3://{bucket}/data?endpoint={endpoint}&region=us-east-1")
    return Tool(
        "everloop",
        ready=((program, "data", "add", "data"), add),
        push=((program, "data", "push", "data", "origin"),),
        join=(add,),
        pull=((program, "data", "pull", "data", "origin"),),
    )


def dvc(endpoint: str, bucket: str) -> Tool:
    """DVC as its guide to S3 has it."""
    program = str(_dvc())
    return Tool(
        "DVC",
        ready=(
            (program, "init", "-q"),
            (program, "config", "core.analytics", "false"),
            (program, "remote", "add", "-q", "-d", "origin", f"s3://{bucket}/data"),
            (program, "remote", "modify", "-q", "origin", "endpointurl", endpoint),
            (program, "add", "-q", "data"),
        ),
        push=((program, "push", "-q"),),
        join=(),
        pull=((program, "pull", "-q"),),
    )


def _worked(tool: Callable[[str, str], Tool], endpoint: str, count: int) -> Mapping[str, Spent]:
    """Each piece of work twice, into buckets of their own: for the seconds, and through a proxy for the requests."""
    timed = _played(tool(endpoint, f"{tool.__name__}-timed"), endpoint, f"{tool.__name__}-timed", count, lambda: 0)
    with proxied(endpoint) as proxy:
        through = tool(proxy.endpoint, f"{tool.__name__}-counted")
        counted = _played(through, endpoint, f"{tool.__name__}-counted", count, lambda: len(proxy.requests))
    return {work: msgspec.structs.replace(timed[work], requests=counted[work].requests) for work in WORK}


def _played(tool: Tool, endpoint: str, bucket: str, count: int, asked: Callable[[], int]) -> Mapping[str, Spent]:
    say(f"{tool.name}, {count:,} files")
    made = urllib.request.Request(f"{endpoint}/{bucket}", method="PUT")
    urllib.request.urlopen(made).close()
    place = scratch.folder()
    first, second = place / "first", place / "second"
    _make(first / "data", count)
    ran(first, (("git", "init", "-q"), *tool.ready, ("git", "add", "-A"), (*_GIT, "commit", "-qm", "a version")))
    spent = {"push": _spent(first, tool.push, asked)}
    ran(place, (("git", "clone", "-q", "first", "second"),))
    ran(second, tool.join)
    spent["pull"] = _spent(second, tool.pull, asked)
    found = sum(1 for path in (second / "data").rglob("*") if path.is_file())
    if found != count:
        raise SystemExit(f"{tool.name} brought {found} of {count} files")
    shutil.rmtree(place)
    return spent


def _spent(place: Path, commands: Commands, asked: Callable[[], int]) -> Spent:
    before = asked()
    cost = cost_of(place, commands)
    return Spent(cost.cpu, cost.wall, asked() - before)


def _make(folder: Path, count: int) -> None:
    random = np.random.default_rng(count)
    for at in range(count):
        path = folder / f"{at // 1000:03d}" / f"{at:06d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.bytes(SIZE))


def _dvc() -> Path:
    return Path(os.environ.get("EVERLOOP_PEERS", sys.executable)).with_name("dvc")
