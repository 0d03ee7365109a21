"""Versions of many small files: add, status, diff, switch, checkout as whole processes, beside DVC, Git LFS and a loop.

Each figure is the CPU time of a whole process with its children, start of Python included. DVC is found beside this
Python, Git LFS on the PATH; what is not installed is left out and said. `EVERLOOP_BENCH_FILES` names other numbers of
files than 20,000 (such as `20000,100000`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from benchmarks import scratch
from benchmarks.harness import Cost, Figure, children_seconds
from benchmarks.report import say

SIZE = 2_048
CHANGED = 0.01
WORK = ("add", "status", "add with 1 % changed", "diff", "switch with 1 % changed", "checkout to an empty folder")
_BARE = """
import os, sys
from blake3 import blake3
made = open(sys.argv[2], 'wb')
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(f'{folder}/{name}', 'rb', buffering=0) as file:
            data = file.read()
        blake3(data).digest()
        made.write(data)
made.flush()
os.fsync(made.fileno())
"""
Costs = Mapping[str, Cost]


class Tool(msgspec.Struct, frozen=True):
    """How a tool does the work: the commands of each piece; `ready` makes its place, `save` ends a version."""

    name: str
    ready: tuple[tuple[str, ...], ...]
    add: tuple[tuple[str, ...], ...]
    save: tuple[tuple[str, ...], ...]
    status: tuple[tuple[str, ...], ...]
    diff: tuple[tuple[str, ...], ...]
    switch: tuple[tuple[str, ...], ...]
    checkout: tuple[tuple[str, ...], ...]


def run() -> Sequence[Figure]:
    """Every piece of work with each number of files."""
    counts = [int(text) for text in os.environ.get("EVERLOOP_BENCH_FILES", "20000").split(",")]
    return [figure for count in counts for figure in _figures(count)]


def _figures(count: int) -> Iterator[Figure]:
    ours = _worked(everloop(), count)
    beside: dict[str, Costs] = {tool.name: _worked(tool, count) for tool in peers()}
    beside["bare loop: read, BLAKE3, write"] = {"add": _bare(count)}
    for work in WORK:
        for peer, costs in beside.items():
            if work in costs:
                yield Figure(
                    what=f"{count:,} files of 2 KB: {work}",
                    unit="s",
                    ours=ours[work].cpu,
                    peer=peer,
                    theirs=costs[work].cpu,
                    our_wall=ours[work].wall,
                    their_wall=costs[work].wall,
                )


def everloop() -> Tool:
    """Our command line; the home is beside the data."""
    data = (str(Path(sys.executable).with_name("everloop")), "data")
    return Tool(
        "everloop",
        ready=(("git", "init", "-q"), (data[0], "datasets", "list")),
        add=((*data, "add", "data"),),
        save=(),
        status=((*data, "status", "data"),),
        diff=((*data, "diff", "data", "1", "2"),),
        switch=((*data, "checkout", "data", "--at", "1"),),
        checkout=((*data, "checkout", "data"),),
    )


def peers() -> Iterator[Tool]:
    """The others that are installed."""
    git = ("git", "-c", "user.name=bench", "-c", "user.email=bench@localhost")
    dvc = Path(sys.executable).with_name("dvc")
    if dvc.exists():
        yield Tool(
            "DVC",
            ready=(("git", "init", "-q"), (str(dvc), "init", "-q"), (str(dvc), "config", "core.analytics", "false")),
            add=((str(dvc), "add", "-q", "data"),),
            save=(("git", "add", "-A"), (*git, "commit", "-qm", "a version")),
            status=((str(dvc), "status"),),
            diff=((str(dvc), "diff", "HEAD~1", "HEAD"),),
            switch=(("git", "checkout", "-q", "HEAD~1", "--", "data.dvc"), (str(dvc), "checkout", "-q")),
            checkout=((str(dvc), "checkout", "-q"),),
        )
    if shutil.which("git-lfs"):
        yield Tool(
            "Git LFS",
            ready=(("git", "init", "-q"), ("git", "lfs", "install", "--local"), ("git", "lfs", "track", "data/**")),
            add=(("git", "add", "-A"),),
            save=((*git, "commit", "-qm", "a version"),),
            status=(("git", "status", "--short"),),
            diff=(("git", "diff", "--name-status", "HEAD~1", "HEAD"),),
            switch=(("git", "checkout", "-q", "HEAD~1", "--", "data"),),
            checkout=(("git", "checkout", "-q", "HEAD~1", "--", "data"),),
        )


def _worked(tool: Tool, count: int) -> Costs:
    """What each piece of work costs a tool, in a fresh place."""
    say(f"{tool.name}, {count:,} files")
    place = scratch.folder()
    _make(place / "data", count)
    ran(place, tool.ready)
    costs = {"add": cost_of(place, tool.add)}
    ran(place, tool.save)
    costs["status"] = cost_of(place, tool.status)
    _change(place / "data", count)
    costs["add with 1 % changed"] = cost_of(place, tool.add)
    ran(place, tool.save)
    costs["diff"] = cost_of(place, tool.diff)
    costs["switch with 1 % changed"] = cost_of(place, tool.switch)
    shutil.rmtree(place / "data")
    costs["checkout to an empty folder"] = cost_of(place, tool.checkout)
    found = sum(1 for path in (place / "data").rglob("*") if path.is_file())
    if found != count:
        raise SystemExit(f"{tool.name} brought {found} of {count} files back")
    shutil.rmtree(place)
    return costs


def _make(folder: Path, count: int) -> None:
    """Files of random bytes, a thousand in each folder; an old time of change, so that nobody thinks them fresh."""
    random = np.random.default_rng(count)
    for at in range(count):
        path = folder / f"{at // 1000:03d}" / f"{at:06d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.bytes(SIZE))
    time.sleep(2)


def _change(folder: Path, count: int) -> None:
    random = np.random.default_rng(count + 1)
    for at in random.choice(count, round(count * CHANGED), replace=False):
        (folder / f"{at // 1000:03d}" / f"{at:06d}.bin").write_bytes(random.bytes(SIZE))
    time.sleep(2)


def _bare(count: int) -> Cost:
    place = scratch.folder()
    _make(place / "data", count)
    return cost_of(place, ((sys.executable, "-c", _BARE, "data", "made"),))


def cost_of(place: Path, commands: Sequence[Sequence[str]]) -> Cost:
    """What running commands one after another costs, with all of their children."""
    cpu, wall = children_seconds(), time.perf_counter()
    ran(place, commands)
    return Cost(children_seconds() - cpu, time.perf_counter() - wall)


def ran(place: Path, commands: Sequence[Sequence[str]]) -> None:
    """Run commands one after another in a place, each of which must succeed."""
    environment = dict(os.environ, HOME=str(place), DVC_NO_ANALYTICS="1", EVERLOOP_HOME=str(place / ".everloop"))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # Nobody compiles a tool anew at each of its starts.
    for command in commands:
        subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True)
