"""The port to whatever keeps bytes under a key: a folder, S3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Blobs(Protocol):
    """A place for bytes under keys such as `objects/ab/cdef…`.

    Contract (`tests/contracts/test_blobs.py`): `put` is atomic and durable when it returns, and putting the same key
    again is harmless; readers never see half an object; `keys` lists every key below a prefix once.
    """

    def put(self, key: str, data: bytes) -> None:
        """Keep the bytes under the key."""
        ...

    def get(self, key: str) -> bytes:
        """The bytes under the key.

        Raises:
            NotFound: there are none.
        """
        ...

    def has(self, key: str) -> bool:
        """Whether there is something under the key."""
        ...

    def delete(self, key: str) -> None:
        """Remove the key; removing what is not there is harmless."""
        ...

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Every key that starts with the prefix, with the size in bytes."""
        ...
