"""Compaction: the finished segments of an inference log become Parquet by day, and days past retention go.

A reader sees each prediction once at any moment, wherever this is killed: files are complete before they have their
names, a segment is archived by one rename, and its own file goes only after that. What was half done is done again,
into files of the same names.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from everloop.kernel.errors import Conflict, Corrupted
from everloop.serving.archive import OFFSET, ArchivedFile, Entry, ParquetArchive, entry_path, key_hash, read_entry
from everloop.serving.entities import Compaction, Endpoint
from everloop.serving.inferencelog import folder_of
from everloop.serving.segments import SegmentReader

if TYPE_CHECKING:
    import pyarrow as pa

GROUP = 8192
"""A row group holds about so many rows: few enough to find one row in milliseconds."""
log = logging.getLogger("everloop.serving")


def compact(home: Path, project: str, endpoint: Endpoint, now: datetime) -> Compaction:
    """Archive every segment that nobody writes any more, and remove what the policy does not keep.

    Raises:
        Conflict: another process is at it.
    """
    folder = folder_of(home, project, endpoint.name)
    if not folder.exists():
        return Compaction(0, 0, 0, ())
    with _alone(folder):
        done = [archived for segment in _finished(folder) if (archived := _archive(folder, segment)) is not None]
        removed = (
            _retire(folder, now - timedelta(days=endpoint.log.retention_days)) if endpoint.log.retention_days else []
        )
        files = [file for entry in done for file in entry.files]
        return Compaction(len(done), sum(f.rows for f in files), sum(f.bytes for f in files), tuple(removed))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    (folder / "archive").mkdir(exist_ok=True, mode=0o700)
    with (folder / "archive" / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"The log in {folder} is being compacted.", hint="Wait for it to end.") from None
        yield


def _finished(folder: Path) -> Iterator[str]:
    """The segments that no process writes, oldest first; files that are archived already go now.

    Each is locked until the next one is asked for: a writer that has just made its file, and not locked it yet, sees
    after its lock whether the file is still there.
    """
    archive = ParquetArchive(folder)
    for segment in SegmentReader(folder).segments():
        if archive.has(segment):
            (folder / segment).unlink()
            continue
        with (folder / segment).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield segment


def _archive(folder: Path, segment: str) -> Entry | None:
    """Archive a segment; None when it cannot be read, or holds nothing."""
    try:
        records = list(SegmentReader(folder).batches(segment))
    except Corrupted as error:
        log.error("%s stays as it is: %s", segment, error)
        return None
    files = []
    # A record was made at one moment, so that it lies in one day.
    for date, those in groupby(sorted(records, key=_date), _date):
        files.append(_write(folder, segment, date, [(place.offset, batch) for place, batch in those]))
    if not records:
        (folder / segment).unlink()
        return None
    last = records[-1][0]
    entry = Entry(last.offset + last.size, tuple(files))
    _put(entry_path(folder, segment), msgspec.json.encode(entry))
    (folder / segment).unlink()
    return entry


def _write(folder: Path, segment: str, date: str, records: Sequence[tuple[int, pa.RecordBatch]]) -> ArchivedFile:
    """The records of one day as a Parquet file, with an index of their keys."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / f"date={date}" / f"{segment.removesuffix('.arrows')}.parquet"
    path.parent.mkdir(exist_ok=True, mode=0o700)
    half = path.with_name("." + path.name)
    schema = records[0][1].schema.append(pa.field(OFFSET, pa.int64()))
    texts = [field.name for field in schema if field.type == pa.string() and field.name not in _IDS]
    hashes, groups, times = [], [], []
    with pq.ParquetWriter(half, schema, compression="zstd", use_dictionary=texts, write_page_index=True) as writer:
        for number, rows in enumerate(_grouped(records)):
            table = pa.Table.from_batches([_with_offset(batch, offset, schema) for offset, batch in rows])
            writer.write_table(table, row_group_size=table.num_rows)
            hashes += [key_hash(key) for key in table.column("key").to_pylist()]
            groups += [number] * table.num_rows
            times += [int(batch.column("at")[0].as_py()) // 1000 for _, batch in rows]
    index = np.empty(len(hashes), dtype=[("hash", np.uint64), ("group", np.uint32)])
    index["hash"], index["group"] = hashes, groups
    _settle(half, path)
    keys = half.with_name(half.name + ".keys")
    with keys.open("wb") as file:
        np.save(file, np.unique(index))
    _settle(keys, path.with_name(path.name + ".keys"))
    name = path.relative_to(folder).as_posix()
    return ArchivedFile(name, date, len(hashes), path.stat().st_size, min(times), max(times))


_IDS = ("prediction_id", "request_id", "key")
"""Columns in which every row has another value."""


def _grouped(records: Sequence[tuple[int, pa.RecordBatch]]) -> Iterator[list[tuple[int, pa.RecordBatch]]]:
    """Records in runs of about `GROUP` rows."""
    run: list[tuple[int, pa.RecordBatch]] = []
    rows = 0
    for record in records:
        run.append(record)
        rows += record[1].num_rows
        if rows >= GROUP:
            yield run
            run, rows = [], 0
    if run:
        yield run


def _with_offset(batch: pa.RecordBatch, offset: int, schema: pa.Schema) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    from everloop.serving.arrow import numbers

    return pa.RecordBatch.from_arrays(
        [*batch.columns, numbers(np.full(batch.num_rows, offset), pa.int64())], schema=schema
    )


def _retire(folder: Path, until: datetime) -> list[str]:
    """Remove the files of the days before a moment's; the files that went."""
    before, removed = f"{until.astimezone(UTC):%Y-%m-%d}", []
    for segment in sorted(ParquetArchive(folder).segments()):
        entry = read_entry(folder, segment)
        old = [file for file in entry.files if file.date < before]
        if old:
            kept = Entry(entry.end, tuple(file for file in entry.files if file not in old))
            _put(entry_path(folder, segment), msgspec.json.encode(kept))
            removed += [file.path for file in old]
    known = {f.path for s in ParquetArchive(folder).segments() for f in read_entry(folder, s).files}
    for path in folder.glob("date=*/*.parquet"):
        if path.relative_to(folder).as_posix() not in known:  # Those of a killed run that was past its entry, too.
            path.unlink()
            path.with_name(path.name + ".keys").unlink(missing_ok=True)
    return removed


def _date(record: tuple[object, pa.RecordBatch]) -> str:
    at = record[1].column("at")[0].as_py()
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d}"


def _put(path: Path, data: bytes) -> None:
    half = path.with_name("." + path.name)
    half.write_bytes(data)
    _settle(half, path)


def _settle(half: Path, path: Path) -> None:
    """Give a whole file its name, durably."""
    _sync(half)
    half.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
