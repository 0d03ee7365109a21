"""Growth of the store: what the next file, byte, look-up and sweep cost at 10,000 objects, at 100,000, at a million.

The other side is the same work at 10,000 objects, so that a ratio near 1 means that costs do not grow with the store.
The index alone is taken further, for as long as its time allows: how many objects it reached stands in its line.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks import scratch
from benchmarks.harness import Figure
from everloop.backends.blobs.folder import FolderBlobs
from everloop.store.entities import Digest, TreeEntry
from everloop.store.index import Index, PackInfo
from everloop.store.packs import Row
from everloop.store.service import Store

SIZES = (10_000, 100_000, 1_000_000)
NEXT, BYTES, LARGE = 10_000, 200, 64_000_000
FOLDER = 1_000
INDEX, PACK, SECONDS = 100_000_000, 16_384, 150.0
_SWEEP = """
import sys, time
from datetime import timedelta
from pathlib import Path
from everloop.backends.blobs.folder import FolderBlobs
import everloop.store.sweep
from everloop.store.service import Store
store = Store(FolderBlobs(Path(sys.argv[1])))
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before, began = peak(), time.process_time()
planned = store.planned_sweep([sys.argv[2]], timedelta(0))
spent = time.process_time() - began
planned.report()
print(spent, (peak() - before) * 1024)
"""

Costs = dict[str, tuple[str, float]]


def run() -> Sequence[Figure]:
    """A store that grows, looked at three times; then the index alone."""
    costs = [_costs(size) for size in SIZES]
    first = costs[0]
    grown = [
        Figure(
            what=f"{what}, at {size:,} objects", unit=unit, ours=cost, peer=f"at {SIZES[0]:,}", theirs=first[what][1]
        )
        for size, found in zip(SIZES[1:], costs[1:], strict=True)
        for what, (unit, cost) in found.items()
    ]
    return [*grown, *_index()]


def _costs(size: int) -> Costs:
    """What work costs at a store that holds so many objects; each has a store of its own."""
    store = Store(FolderBlobs(scratch.folder() / f"growth-{size}"))
    random = np.random.default_rng(size)
    digests, root = _filled(store, random, size)
    some = [digests[int(at)] for at in random.integers(0, len(digests), NEXT)]
    fresh, large = _objects(random, NEXT), random.bytes(LARGE)
    costs: Costs = {
        "add a file of 200 bytes": ("µs", _timed(lambda: _put(store, fresh)) / NEXT * 1e6),
        "add a megabyte of a large file": ("ms", _timed(lambda: _put(store, [large])) / LARGE * 1e9),
        "read a file": ("µs", _timed(lambda: list(store.get_many(some))) / len(set(some)) * 1e6),
        "ask whether it is there": ("µs", _timed(lambda: store.missing(some)) / NEXT * 1e6),
    }
    assert store.blobs.local is not None
    return costs | _sweep(store, store.blobs.local, root)


def _sweep(store: Store, place: Path, root: Digest) -> Costs:
    """Planned in a process of its own, whose memory is known."""
    told = subprocess.run([sys.executable, "-c", _SWEEP, str(place), root], capture_output=True, text=True, check=True)
    seconds, memory = map(float, told.stdout.split())
    held = store.stats().objects
    return {
        "plan a sweep, for each object": ("µs", seconds / held * 1e6),
        "memory of a sweep, for each object": ("bytes", memory / held),
    }


def _filled(store: Store, random: np.random.Generator, size: int) -> tuple[list[Digest], Digest]:
    """So many small files in folders of a thousand; their addresses, and that of the root."""
    digests: list[Digest] = []
    with store.bulk() as bulk:
        for _ in range(size // FOLDER):
            digests += [bulk.put(data) for data in _objects(random, FOLDER)]
        entries = (TreeEntry(f"{at // FOLDER}/{at}", digest, BYTES) for at, digest in enumerate(digests))
        return digests, store.put_tree(entries, bulk)


def _objects(random: np.random.Generator, many: int) -> list[bytes]:
    data = random.bytes(many * BYTES)
    return [data[at : at + BYTES] for at in range(0, len(data), BYTES)]


def _put(store: Store, items: list[bytes]) -> Digest:
    with store.bulk() as bulk:
        return [bulk.put(item) for item in items][-1]


def _timed(work: Callable[[], object]) -> float:
    """CPU seconds, of all threads."""
    began = time.process_time()
    work()
    return time.process_time() - began


def _index() -> Iterator[Figure]:
    """The index alone, filled pack by pack with random digests as packs come."""
    path = scratch.folder() / "index.db"
    index, random = Index(path), np.random.default_rng(0)
    began, held = time.perf_counter(), 0
    marks: list[float] = []
    while held < INDEX and time.perf_counter() - began < SECONDS:
        pack, rows = _pack(random, held)
        spent = time.process_time()
        index.add(pack, rows)
        marks.append(time.process_time() - spent)
        held += PACK
    early, late = _per_row(marks[: len(marks) // 20 + 1]), _per_row(marks[-(len(marks) // 20 + 1) :])
    unknown = [random.bytes(32) for _ in range(NEXT)]
    asked = _timed(lambda: index.known(unknown)) / NEXT * 1e6
    peer = f"its first {(len(marks) // 20 + 1) * PACK:,}"
    yield Figure(what=f"index: learn an object, at {held:,}", unit="µs", ours=late, peer=peer, theirs=early)
    yield Figure(what=f"index: ask for one, at {held:,}", unit="µs", ours=asked, peer="1.5 µs", theirs=1.5)
    size = path.stat().st_size / held
    yield Figure(what="index: bytes for each object", unit="bytes", ours=size, peer="its digest", theirs=32.0)


def _pack(random: np.random.Generator, at: int) -> tuple[PackInfo, list[Row]]:
    data = random.bytes(32 * PACK)
    rows = [Row(data[n : n + 32], n * 64, 2_000, 2_000, 0, 0) for n in range(0, len(data), 32)]
    return PackInfo(at.to_bytes(32, "little"), 32 << 20, False), sorted(rows)


def _per_row(marks: list[float]) -> float:
    return sum(marks) / len(marks) / PACK * 1e6
