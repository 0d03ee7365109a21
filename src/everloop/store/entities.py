"""What the store keeps."""

from __future__ import annotations

from datetime import datetime
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
    """What garbage collection did, or would do in a dry run.

    `removed` objects are gone for good; `condemned` ones were put into the trash, and go when they have been there for
    the time of grace and nobody has come to need them.
    """

    kept: int
    removed: int
    freed_bytes: int
    dry_run: bool
    condemned: int = 0
    condemned_bytes: int = 0


class TrashBin(msgspec.Struct, frozen=True):
    """What one garbage collection found needless, and when, by the clock of the store's place."""

    stamp: str
    at: datetime
    objects: int


class Undeleted(msgspec.Struct, frozen=True):
    """What came out of the trash: objects that are safe again, and those that were gone already."""

    stamps: tuple[str, ...]
    objects: int
    gone: int


class Fault(msgspec.Struct, frozen=True):
    """Something that is not as it should be: the key or object that it is about, and what needs that (URNs).

    A missing part that nothing needs is what a killed writer left: the next garbage collection takes its rest away.
    """

    kind: Literal["torn pack", "adopted file", "index", "unreadable", "missing part", "dangling"]
    key: str
    digest: Digest | Literal[""]
    reason: str
    needed_by: tuple[str, ...] = ()

    @property
    def is_damage(self) -> bool:
        """Whether something is lost by it, unless it is mended."""
        return self.kind != "missing part" or bool(self.needed_by)


class StoreStats(msgspec.Struct, frozen=True):
    """How much the store holds, deduplicated."""

    objects: int
    bytes: int


class Damage(msgspec.Struct, frozen=True, order=True):
    """An object that cannot be had as its address says, the key that should hold it, and why not."""

    digest: Digest
    key: str
    reason: str
