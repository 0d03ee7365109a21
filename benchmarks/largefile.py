"""One large file: add, add an edit of it, checkout, beside DVC and what disk and hashing allow.

The bare loop reads the file, hashes and cuts it (BLAKE3 and FastCDC) and writes a copy that is synced: the slower of
disk and hashing. `EVERLOOP_BENCH_GIGABYTES` gives the file another size than 1 GB. Growth is in MB of store.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from benchmarks import scratch
from benchmarks.harness import Cost, Figure
from benchmarks.report import say
from benchmarks.versions import Tool, cost_of, everloop, peers, ran

EDIT = 0.0075
_BLOCK = 8 << 20
_HASH = """
import sys
from blake3 import blake3
from pyfastcdc import FastCDC
whole = blake3()
with open(sys.argv[1], 'rb') as file:
    for chunk in FastCDC(avg_size=65536, min_size=16384, max_size=262144).cut_stream(file):
        whole.update(chunk.data)
"""
_COPY = """
import os, sys
with open(sys.argv[1], 'rb', buffering=0) as file, open(sys.argv[2], 'wb', buffering=0) as made:
    while block := file.read(8 << 20):
        made.write(block)
    os.fsync(made.fileno())
"""


def run() -> Sequence[Figure]:
    """Time of each piece of work, then how much a store grows."""
    size = int(float(os.environ.get("EVERLOOP_BENCH_GIGABYTES", "1")) * 1e9)
    ours, grown = _worked(everloop(), size)
    limit = _limit(size)
    figures = [_figure(f"add {size / 1e9:g} GB", ours["add"], "the slower of disk and BLAKE3 + FastCDC", limit)]
    for tool in peers():
        if tool.name == "DVC":
            theirs, their_growth = _worked(tool, size)
            figures += [
                _figure(f"{work} {size / 1e9:g} GB", cost, tool.name, theirs[work]) for work, cost in ours.items()
            ]
            figures.append(
                Figure(
                    what="growth after an edit of 0.75 %", unit="MB", ours=grown, peer=tool.name, theirs=their_growth
                )
            )
    return figures


def _worked(tool: Tool, size: int) -> tuple[dict[str, Cost], float]:
    say(f"{tool.name}, {size / 1e9:g} GB")
    place = scratch.folder()
    file = place / "data" / "readings.csv"
    file.parent.mkdir()
    _write(file, size)
    ran(place, tool.ready)
    costs = {"add": cost_of(place, tool.add)}
    before = _used(place)
    ran(place, tool.save)
    _edit(file)
    costs["add an edit of"] = cost_of(place, tool.add)
    ran(place, tool.save)
    grown = _used(place) - before
    costs["status of"] = cost_of(place, tool.status)
    shutil.rmtree(place / "data")
    costs["checkout"] = cost_of(place, tool.checkout)
    shutil.rmtree(place)
    return costs, grown / 1e6


def _write(file: Path, size: int) -> None:
    """Lines of numbers, as a sensor's file has them: about as compressible as such files are."""
    with file.open("wb") as made:
        for lines in _lines(np.random.default_rng(1)):
            made.write(lines[: size - made.tell()])
            if made.tell() >= size:
                break


def _lines(random: np.random.Generator) -> Iterator[bytes]:
    while True:
        values = random.normal(20, 5, (100_000, 4)).round(3)
        yield "\n".join(",".join(map(str, row)) for row in values.tolist()).encode() + b"\n"


def _edit(file: Path) -> None:
    """Replace 0.75 % of the bytes in the middle by some more than they were."""
    size = file.stat().st_size
    changed = int(size * EDIT)
    edited = file.with_suffix(".edited")
    with file.open("rb") as old, edited.open("wb") as new:
        _copy(old, new, size // 2)
        fresh = b"".join(
            lines for lines, _ in zip(_lines(np.random.default_rng(2)), range(changed // 2_000_000 + 1), strict=False)
        )
        new.write(fresh[: changed + 17])
        old.seek(changed, os.SEEK_CUR)
        _copy(old, new, size)
    edited.replace(file)


def _copy(old: BinaryIO, new: BinaryIO, count: int) -> None:
    while count > 0 and (block := old.read(min(count, _BLOCK))):
        new.write(block)
        count -= len(block)


def _used(place: Path) -> int:
    """The bytes of everything but the data itself and git's."""
    kept = (
        path
        for path in place.rglob("*")
        if path.is_file() and not {"data", ".git"} & set(path.relative_to(place).parts[:1])
    )
    return sum(path.stat().st_size for path in kept)


def _limit(size: int) -> Cost:
    place = scratch.folder()
    _write(place / "file", size)
    hashed = cost_of(place, ((sys.executable, "-c", _HASH, "file"),))
    copied = cost_of(place, ((sys.executable, "-c", _COPY, "file", "made"),))
    shutil.rmtree(place)
    return max(hashed, copied, key=lambda cost: cost.wall)


def _figure(what: str, ours: Cost, peer: str, theirs: Cost) -> Figure:
    return Figure(
        what=what, unit="s", ours=ours.cpu, peer=peer, theirs=theirs.cpu, our_wall=ours.wall, their_wall=theirs.wall
    )
