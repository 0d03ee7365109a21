"""The output of a batch: parts in a folder beside it, which takes its place when all of them are there.

Nothing is at the output's place before that. A manifest names the parts that are done with the digests of their bytes,
so that an interrupted batch goes on with what is missing and comes to the same bytes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from everloop.kernel.errors import Conflict, EverloopError, InvalidInput, Misconfigured, Unavailable
from everloop.serving.batch.entities import Job, PartDone, Written
from everloop.store.service import digest_of

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLE = 2_048
JOB, MANIFEST, SUMMARY = "_job.json", "_manifest.jsonl", "_predictions.json"
_ENDINGS: dict[str, Written] = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".arrow": "arrow"}


class Output:
    """Where the predictions of a batch go: `out` is a file if its name ends as a table's does, else a folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.format: Written = _ENDINGS.get(out.suffix.lower(), "parquet")
        self._is_file = out.suffix.lower() in _ENDINGS
        self.folder = out.with_name(f".{out.name}.partial")

    @contextmanager
    def begun(self, resume: bool) -> Iterator[Job | None]:
        """Hold the output, so that no other process writes it; the job that is to be gone on with, if there is one.

        Raises:
            Conflict: there is something already, or another process is at it.
        """
        if self.out.exists():
            raise Conflict(f"{self.out} is there already.", hint="Name another, or remove it first.")
        if self.folder.exists() and not resume and (self.folder / JOB).exists():
            raise Conflict(
                f"A batch into {self.out} was begun and did not end.",
                hint=f"Go on with --resume, or remove {self.folder}.",
            )
        with _told(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            held = os.open(self.folder / "_lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield self._job()
        except BlockingIOError:
            raise Conflict(f"Another process writes {self.out}.", hint="Wait for it.") from None
        finally:
            os.close(held)

    def begin(self, job: Job) -> None:
        """Fix what is to be done."""
        with _told(self.folder):
            _replace(self.folder / JOB, msgspec.json.format(msgspec.json.encode(job)))

    def done(self) -> dict[int, PartDone]:
        """The parts that are there, whole, by number; what an interrupted run left torn is not."""
        found: dict[int, PartDone] = {}
        try:
            lines = (self.folder / MANIFEST).read_bytes().splitlines()
        except FileNotFoundError:
            return {}
        for line in lines:
            try:
                part = msgspec.json.decode(line, type=PartDone)
                if digest_of((self.folder / part.file).read_bytes()) == part.digest:
                    found[part.number] = part
            except (msgspec.DecodeError, OSError):
                continue  # Killed while it was written: the part is made again.
        return found

    def write(self, number: int, table: pa.Table, refused: int) -> PartDone:
        """Write a part; it counts from when the manifest has it. Any number of threads may write parts.

        Raises:
            Unavailable: the disk is full, or does not let itself be written.
        """
        content = encoded(table, self.format)
        part = PartDone(
            number, f"part-{number:05}.{self.format}", table.num_rows, refused, digest_of(memoryview(content))
        )
        with _told(self.folder):
            _replace(self.folder / part.file, memoryview(content))
            self.note(part)
        return part

    def note(self, part: PartDone) -> None:
        """Put a part into the manifest, after what a killed process may have left there half; any process may."""
        with (self.folder / MANIFEST).open("ab", buffering=0) as manifest:  # One write, so that lines stay whole.
            manifest.write(b"\n" + msgspec.json.encode(part) + b"\n")

    def finish(self, parts: list[PartDone], job: Job) -> None:
        """Put the output in its place, whole.

        Raises:
            InvalidInput: the parts do not have the same columns.
            Conflict: something came to that place meanwhile.
        """
        files = [self.folder / part.file for part in parts]
        with _told(self.folder):
            if self._is_file:
                whole = self.folder / f"_whole{self.out.suffix}"
                with whole.open("wb") as file:
                    joined(files, self.format, file)
                    file.flush()
                    os.fsync(file.fileno())
                os.link(whole, self.out)  # Unlike a rename, this refuses to replace what came there meanwhile.
                shutil.rmtree(self.folder)
                return
            _replace(self.folder / SUMMARY, msgspec.json.format(msgspec.json.encode({"job": job, "parts": parts})))
            for name in (JOB, MANIFEST):
                (self.folder / name).unlink(missing_ok=True)
            (self.folder / "_lock").unlink(missing_ok=True)
            _remove_others(self.folder, {*(part.file for part in parts), SUMMARY})
            self.folder.rename(self.out)

    def forget(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _job(self) -> Job | None:
        try:
            return msgspec.json.decode((self.folder / JOB).read_bytes(), type=Job)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise InvalidInput(
                f"{self.folder / JOB} does not say what was begun ({error}).", hint=f"Remove {self.folder}."
            ) from None


def encoded(table: pa.Table, format: Written) -> pa.Buffer:
    """A table in a format; equal tables give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv, ipc

    sink = pa.BufferOutputStream()
    if format == "parquet":
        pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=_repeating(table))
    elif format == "arrow":
        with ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    elif format == "csv":
        csv.write_csv(table, sink)
    else:
        import polars

        sink.write(polars.DataFrame(table).write_ndjson().encode())
    return sink.getvalue()


def joined(files: list[Path], format: Written, out: BinaryIO) -> None:
    """The tables of files as one file, in that order, one of them in memory at a time."""
    import pyarrow.parquet as pq
    from pyarrow import ipc

    if format in ("csv", "jsonl"):
        for number, path in enumerate(files):
            with path.open("rb") as part:
                if number and format == "csv":
                    part.readline()
                shutil.copyfileobj(part, out, 1 << 20)
        return
    tables = (pq.read_table(path) if format == "parquet" else ipc.open_file(path).read_all() for path in files)
    first = next(tables)
    with (
        pq.ParquetWriter(out, first.schema, compression="zstd", compression_level=1, use_dictionary=_repeating(first))
        if format == "parquet"
        else ipc.new_file(out, first.schema)
    ) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table.cast(first.schema))


def _repeating(table: pa.Table) -> list[str]:
    """The columns whose first values repeat: a dictionary of what never does is most of what writing costs."""
    sample = table.slice(0, _SAMPLE)
    plain = [name for name in table.column_names if not _is_nested(table, name)]
    return [name for name in plain if 2 * len(sample[name].unique()) <= sample.num_rows]


def _is_nested(table: pa.Table, name: str) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_nested(table.schema.field(name).type))


def _replace(path: Path, content: bytes | memoryview) -> None:
    temporary = path.with_name(f"{path.name}.writing")
    with temporary.open("wb") as file:
        file.write(content)
    temporary.replace(path)


def _remove_others(folder: Path, wanted: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink() if path.is_file() else shutil.rmtree(path)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise Conflict(f"{error.filename2 or error.filename} is there already.", hint="Name another.") from None
    except OSError as error:
        raise unwritable(folder, error) from None


def unwritable(place: Path, error: OSError) -> EverloopError:
    """What is said when an output cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        return Unavailable(
            f"{place} cannot be written: {error.strerror}.",
            hint="Make room, then go on with --resume.",
        )
    return Misconfigured(f"{place} cannot be written: {error.strerror or error}.", hint="Choose another place.")
