"""The port to whatever keeps bytes under a key: a folder, S3."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from everloop.kernel.errors import InvalidInput

GRACE = timedelta(days=1)
"""How long bytes that nothing points to are left alone by default: somebody may be about to point to them."""

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")


class Blob(msgspec.Struct, frozen=True):
    """A key that is taken, its size in bytes, and when it was last written or touched, by the place's own clock."""

    key: str
    size: int
    modified: datetime


class Range(NamedTuple):
    """A stretch of the bytes under a key."""

    key: str
    start: int
    length: int


class Blobs(Protocol):
    """A place for bytes under keys such as `objects/ab/cdef…`.

    Contract (`tests/contracts/test_blobs.py`): `put` is atomic and durable when it returns, and putting the same key
    again is harmless (a key always has the same bytes); readers never see half an object; `keys` lists every key below
    a prefix once; a key that could leave the place (`checked_key`) is refused with InvalidInput by every method.
    Keys that `swap` writes are the exception: their bytes change, and they are never written by `put`.
    """

    @property
    def local(self) -> Path | None:
        """The folder of this machine that holds it all, if one does."""
        ...

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """Keep the bytes under the key."""
        ...

    def put_all(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Keep many, several at a time; all are durable when it returns."""
        ...

    def get(self, key: str) -> bytes:
        """The bytes under the key.

        Raises:
            NotFound: there are none.
        """
        ...

    def get_all(self, keys: Iterable[str]) -> Iterator[bytes]:
        """The bytes under many keys, in their order; some are fetched ahead.

        Raises:
            NotFound: one has none.
        """
        ...

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Some of the bytes under the key; fewer than asked for where they end before.

        Raises:
            NotFound: there are none.
        """
        ...

    def get_ranges(self, ranges: Iterable[Range]) -> Iterator[bytes]:
        """Many stretches, in their order; some are fetched ahead.

        Raises:
            NotFound: a key has nothing.
        """
        ...

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """The bytes under a key that changes, and a tag that tells them from others.

        Raises:
            NotFound: there are none.
        """
        ...

    def swap(self, key: str, data: bytes, expected: str | None) -> str:
        """Write a key that changes, if it still has the expected tag (None: if there is nothing); the new tag.

        Of several that swap at once exactly one wins.

        Raises:
            Conflict: somebody was faster; nothing was changed.
        """
        ...

    def has(self, key: str) -> bool:
        """Whether there is something under the key."""
        ...

    def touch(self, key: str) -> bool:
        """Whether there is something under the key, which then is as safe from a sweep as if it were written now.

        No means: write it. A place that cannot touch cheaply may say no to what has become old.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the key; removing what is not there is harmless."""
        ...

    def keys(self, prefix: str) -> Iterator[Blob]:
        """Every key that starts with the prefix."""
        ...


def checked_key(key: str) -> str:
    """The key, when it stays inside of the place: two or more plain names with slashes between.

    Raises:
        InvalidInput: it may not.
    """
    if not _KEY.fullmatch(key):
        raise InvalidInput(f"{key!r} is not a key of a blob store.", hint="Keys look like objects/ab/cdef.")
    return key
