"""What the store keeps."""

from __future__ import annotations

from typing import NewType

import msgspec

Digest = NewType("Digest", str)
"""BLAKE3 of the content, as 64 hexadecimal digits."""


class TreeEntry(msgspec.Struct, frozen=True, order=True):
    """A file of a tree: its path below the tree's root (with `/`), its content, its size in bytes."""

    path: str
    digest: Digest
    size: int


class Manifest(msgspec.Struct, frozen=True):
    """How a large object is put together: its chunks, in order."""

    size: int
    chunks: tuple[Digest, ...]


class SweepReport(msgspec.Struct, frozen=True):
    """What garbage collection removed, or would remove in a dry run."""

    kept: int
    removed: int
    freed_bytes: int
    dry_run: bool


class StoreStats(msgspec.Struct, frozen=True):
    """How much the store holds, deduplicated."""

    objects: int
    bytes: int
