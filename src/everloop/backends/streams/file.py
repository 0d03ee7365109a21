"""Streams in files: a log of JSON lines that grows, or a folder that such files come into; results as parts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import sleep
from urllib.parse import quote, unquote

import msgspec

from everloop.kernel.errors import Conflict, Unavailable
from everloop.serving.batch.stream import Record, Refusal

_AGAIN = 0.02
"""Seconds between two looks at a file that has not grown."""
_ENDINGS = (".jsonl", ".ndjson", ".log")
_MOST_BYTES = 8 << 20


class FileStream:
    """Lines of a file, or of the files of a folder in the order of their names. A position is a name and an offset.

    In a folder a file is done when there is one with a later name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, after: str, most: int, seconds: float) -> list[Record]:
        """Whole lines after a position. It looks again every 20 ms while there is none."""
        waited = 0.0
        while True:
            found = self._now(after, most)
            if found or waited >= seconds:
                return found
            sleep(_AGAIN)
            waited += _AGAIN

    def done(self, position: str) -> None:
        """Nothing is to be done: files stay as they are."""

    def lag(self, after: str) -> int:
        """Bytes that wait."""
        name, offset = _parsed(after)
        return sum(path.stat().st_size - (offset if path.name == name else 0) for path in self._files(name))

    def close(self) -> None:
        """Nothing is open between two reads."""

    def _now(self, after: str, most: int) -> list[Record]:
        name, offset = _parsed(after)
        found: list[Record] = []
        for path in self._files(name):
            start = offset if path.name == name else 0
            found += _lines(path, start, most - len(found))
            if len(found) >= most or (found and not found[-1].position.endswith(f":{path.stat().st_size}")):
                break
        return found

    def _files(self, name: str) -> Iterator[Path]:
        """The file of a name and those after it."""
        if not self._path.is_dir():
            if self._path.exists():
                yield self._path
            return
        hidden = (".", "_")
        for path in sorted(self._path.iterdir()):
            if path.name >= name and path.suffix in _ENDINGS and not path.name.startswith(hidden):
                yield path


def _lines(path: Path, start: int, most: int) -> list[Record]:
    size = path.stat().st_size
    if size < start:
        raise Conflict(
            f"{path} has {size:,} bytes, and {start:,} of it were read: it is another file now.",
            hint="A log only grows; begin anew with other results.",
        )
    found: list[Record] = []
    with path.open("rb") as file:
        file.seek(start)
        for line in file.read(_MOST_BYTES).splitlines(keepends=True) if size > start else ():
            if not line.endswith(b"\n") or len(found) == most:
                break
            start += len(line)
            if line.strip():
                found.append(Record(f"{path.name}:{start}", line.strip()))
    return found


class FolderResults:
    """Results in a folder: a part for each batch, whose name ends with the position that it reaches to.

    The rename that shows a part is what commits it, so a killed process leaves a whole part or none. What was refused
    lies in the folder `_refused`, under the part's number.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "_refused").mkdir(parents=True, exist_ok=True)
        last = max((path.name for path in folder.glob("part-*.jsonl")), default="")
        self._number = int(last[5:17]) + 1 if last else 0
        self._position = unquote(last[18:-6]) if last else ""

    def position(self) -> str:
        """The position in the last part's name."""
        return self._position

    def write(self, answers: Sequence[bytes], refused: Sequence[Refusal], position: str) -> None:
        """Write a part. A part without answers is there, too: it says how far the results reach."""
        name = f"part-{self._number:012}-{quote(position, safe='')}.jsonl"
        try:
            if refused:
                lines = [_told(one) for one in refused]
                _written(self._folder / "_refused" / f"{self._number:012}.jsonl", lines)
            _written(self._folder / name, answers)
        except OSError as error:
            raise Unavailable(
                f"{self._folder} cannot be written: {error.strerror}.", hint="Make room; it goes on where it was."
            ) from None
        self._number += 1
        self._position = position

    def close(self) -> None:
        """Nothing is open between two parts."""


def _told(refusal: Refusal) -> bytes:
    value = refusal.record.value.decode("utf-8", "replace")
    return msgspec.json.encode({"position": refusal.record.position, "reason": refusal.reason, "record": value})


def _written(path: Path, lines: Sequence[bytes]) -> None:
    temporary = path.with_name(f".{path.name}"[:250])
    with temporary.open("wb") as file:
        file.write(b"".join(line + b"\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _parsed(position: str) -> tuple[str, int]:
    name, _, offset = position.rpartition(":")
    return name, int(offset or 0)


def open_stream(url: str) -> FileStream:
    """The lines at a path."""
    return FileStream(Path(url.removeprefix("file://")))


def open_results(url: str) -> FolderResults:
    """The results in a folder."""
    return FolderResults(Path(url.removeprefix("file://")))
