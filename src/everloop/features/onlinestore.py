"""The port to whatever keeps the newest feature values by key: LMDB, Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class OnlineStore(Protocol):
    """Tables of bytes by key that one process writes and many read at the same time.

    Contract (`tests/contracts/test_online_stores.py`): a batch is seen whole or not at all, by this process and by
    others, and survives kill -9 of its writer; keys are any bytes but none; opening happens at first use, so that an
    object made before a fork works on both sides of it. What is kept can be filled again from the snapshots, so a
    backend need not wait for the disk.
    """

    def write(self, table: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Set the values of some keys, atomically; the last one wins when a key comes twice."""
        ...

    def read(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of some keys as of one moment, in order; None where there is none."""
        ...

    def clear(self, table: str) -> None:
        """Remove every key of a table."""
        ...

    def close(self) -> None:
        """Give back what was opened; the next use opens it again."""
        ...
