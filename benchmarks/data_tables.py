"""Tables: an edit in the middle of large Parquet, and changes of rows, beside Arrow's writer, Delta and Iceberg.

The table has a million rows of 20 columns (floats, integers, texts), some 105 MB of Parquet. Growth is what a change
adds to a store or folder, in MB. The edit in the middle replaces and inserts 0.75 % of the rows of a table of four
times that size (`EVERLOOP_BENCH_ROWS` gives another number of rows); Arrow's writer cuts pages by content, too.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import scratch
from benchmarks.harness import Cost, Figure
from benchmarks.report import say
from everloop.app.platform import Platform
from everloop.datasets.content import resolve
from everloop.datasets.parquet import put_table
from everloop.datasets.tablecache import TableCache
from everloop.store.service import Store

ROWS = 1_000_000
CHANGED = 10_000
Measured = tuple[Cost, float]


def run() -> Sequence[Figure]:
    """Growth by an edit in the middle; time and growth of changes of rows; time of reading what they leave."""
    rows = int(os.environ.get("EVERLOOP_BENCH_ROWS", 4 * ROWS))
    figures = [_edited(rows)]
    base, change, more = (
        _table(np.arange(ROWS)),
        _table(_scattered(), seed=2),
        _table(ROWS + np.arange(CHANGED), seed=3),
    )
    platform = scratch.platform()
    ours = _ours(platform, base, change, more)
    for name, theirs in (("Delta", _delta(base, change, more)), ("Iceberg (overwrite by key)", _iceberg(base, change))):
        for work, (cost, growth) in theirs.items():
            figures += _beside(work, ours[work], name, cost, growth)
    return [*figures, _reading(platform)]


def _edited(rows: int) -> Figure:
    say(f"an edit in the middle of {rows:,} rows")
    table = _table(np.arange(rows))
    edited = _edit(table)
    sides = [_growth(write, table, edited) for write in (_put, _arrow)]
    what = f"growth by an edit of 0.75 % in the middle of {sides[0][1] / 1e6:.0f} MB"
    return Figure(what=what, unit="MB", ours=sides[0][0] / 1e6, peer="Arrow's writer", theirs=sides[1][0] / 1e6)


def _growth(write: Callable[[Store, pa.Table], int], table: pa.Table, edited: pa.Table) -> tuple[int, int]:
    store = scratch.platform().resources.store
    size = write(store, table)
    before = store.stats().bytes
    write(store, edited)
    return store.stats().bytes - before, size


def _put(store: Store, table: pa.Table) -> int:
    return put_table(store, table).bytes


def _arrow(store: Store, table: pa.Table) -> int:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", use_content_defined_chunking=True)
    store.put(sink.getvalue())
    return sink.tell()


def _ours(platform: Platform, base: pa.Table, change: pa.Table, more: pa.Table) -> dict[str, Measured]:
    def call(verb: str, table: pa.Table, **arguments: object) -> Callable[[], object]:
        sink = io.BytesIO()
        pq.write_table(table, sink)
        digest = platform.resources.store.put(sink.getvalue())
        given = {"name": "t", "digest": digest, "format": "parquet"} | arguments
        return lambda: platform.call(f"datasets.{verb}", given)

    call("commit", base)()
    grown = platform.resources.store.stats
    works = {"upsert 1 % of the rows": call("upsert", change, keys=["id"]), "append 1 %": call("append", more)}
    return {name: _measured(work, lambda: grown().bytes) for name, work in works.items()}


def _delta(base: pa.Table, change: pa.Table, more: pa.Table) -> dict[str, Measured]:
    from deltalake import DeltaTable, write_deltalake

    place = scratch.folder()
    write_deltalake(str(place), base)
    merge = DeltaTable(str(place)).merge(change, "s.id = t.id", source_alias="s", target_alias="t")
    works: dict[str, Callable[[], object]] = {
        "upsert 1 % of the rows": merge.when_matched_update_all().when_not_matched_insert_all().execute,
        "append 1 %": lambda: write_deltalake(str(place), more, mode="append"),
    }
    return {name: _measured(work, lambda: _used(place)) for name, work in works.items()}


def _iceberg(base: pa.Table, change: pa.Table) -> dict[str, Measured]:
    from pyiceberg.catalog.memory import InMemoryCatalog

    place = scratch.folder()
    catalog = InMemoryCatalog("bench", warehouse=place.as_uri())
    catalog.create_namespace("n")
    table = catalog.create_table("n.t", schema=base.schema)
    table.append(base)
    few = change.slice(0, 2_000)
    wanted = f"id in ({', '.join(map(str, few['id'].to_pylist()))})"
    work = {"upsert 1 % of the rows": lambda: table.overwrite(few, overwrite_filter=wanted)}
    return {name: _measured(one, lambda: _used(place)) for name, one in work.items()}


def _reading(platform: Platform) -> Figure:
    """Reading three columns of the table in layers, beside reading them of its base; from the store each time."""

    def read(reference: str) -> Cost:
        snapshot, store = resolve(platform.session(), reference), platform.resources.store
        begun, wall = time.process_time(), time.perf_counter()
        TableCache().rows(store, snapshot.digest, snapshot.layers, ["id", "x1", "city"])
        return Cost(time.process_time() - begun, time.perf_counter() - wall)

    costs = [(read("t"), read("t@1")) for _ in range(5)]
    (ours, our_wall), (theirs, their_wall) = (
        sorted((pair[side].cpu, pair[side].wall) for pair in costs)[2] for side in (0, 1)
    )
    return Figure(
        what="read three columns of the table after both",
        unit="ms",
        ours=ours * 1e3,
        peer="of the table before",
        theirs=theirs * 1e3,
        our_wall=our_wall * 1e3,
        their_wall=their_wall * 1e3,
    )


def _beside(work: str, ours: Measured, peer: str, cost: Cost, growth: float) -> list[Figure]:
    mine, grown = ours
    time_taken = Figure(
        what=work, unit="s", ours=mine.cpu, peer=peer, theirs=cost.cpu, our_wall=mine.wall, their_wall=cost.wall
    )
    return [time_taken, Figure(what=f"growth: {work}", unit="MB", ours=grown, peer=peer, theirs=growth)]


def _measured(work: Callable[[], object], used: Callable[[], int]) -> Measured:
    before, begun, wall = used(), time.process_time(), time.perf_counter()
    work()
    cost = Cost(time.process_time() - begun, time.perf_counter() - wall)
    return cost, (used() - before) / 1e6


def _used(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def _scattered() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.sort(np.random.default_rng(5).choice(ROWS, CHANGED, replace=False))


def _table(ids: np.ndarray[tuple[int], np.dtype[np.int64]], seed: int = 1) -> pa.Table:
    generator = np.random.default_rng(seed)
    floats = {f"x{number}": generator.normal(size=len(ids)) for number in range(12)}
    wholes = {f"k{number}": generator.integers(0, 1000, len(ids)) for number in range(5)}
    names = pa.array([f"user-{number}" for number in generator.integers(0, 100_000, len(ids))])
    cities = pa.array(np.array(["Riga", "Oslo", "Bern", "Rome"])[generator.integers(0, 4, len(ids))])
    return pa.table({"id": ids, **floats, **wholes, "name": names, "city": cities})


def _edit(table: pa.Table) -> pa.Table:
    rows = int(table.num_rows * 0.0075)
    middle = table.num_rows // 2
    fresh = _table(table.num_rows + np.arange(rows), seed=4)
    return pa.concat_tables([table.slice(0, middle), fresh, table.slice(middle + rows // 2)]).combine_chunks()
