"""What the store keeps."""

from __future__ import annotations

from typing import Literal, NewType

import msgspec

Digest = NewType("Digest", str)
"""BLAKE3 of the content, as 64 hexadecimal digits."""

Kind = Literal["file", "executable", "folder", "link"]
"""What a name in a folder stands for."""


class Entry(msgspec.Struct, frozen=True, order=True):
    """One name in one folder. A link's content is its target; a folder's size in bytes is the sum of all below it."""

    name: str
    kind: Kind
    digest: Digest
    size: int


class TreeEntry(msgspec.Struct, frozen=True, order=True):
    """A file of a tree: its path below the tree's root (with `/`), its content, its size in bytes.

    Folders are there by the files in them; the kind `folder` is for one that is empty.
    """

    path: str
    digest: Digest
    size: int
    kind: Kind = "file"


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


class Damage(msgspec.Struct, frozen=True, order=True):
    """An object that cannot be had as its address says, the key that should hold it, and why not."""

    digest: Digest
    key: str
    reason: str
