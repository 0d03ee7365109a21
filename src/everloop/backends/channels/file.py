"""Notices as lines of JSON in a file."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from everloop.kernel.errors import Misconfigured, Unavailable
from everloop.monitoring.entities import Notice


class FileChannel:
    """Appends each notice as a line, on disk when `send` returns. Several processes may share the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, notice: Notice) -> None:
        """Append the notice."""
        line = msgspec.json.encode(notice) + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                # One write to a file opened for appending: lines of several processes do not mix.
                os.write(handle, line)
                os.fdatasync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise Unavailable(
                f"The notice cannot be written to {self._path} ({error.strerror}).",
                hint="Check that the folder can be written and has space.",
            ) from None


def open_channel(url: str) -> FileChannel:
    """The channel into the file that a `file:///…` URL names."""
    path = unquote(urlsplit(url).path)
    if not path or path.endswith("/"):
        raise Misconfigured(f"The channel {url!r} names no file.", hint="Write file:///folder/alerts.jsonl.")
    return FileChannel(Path(path))
