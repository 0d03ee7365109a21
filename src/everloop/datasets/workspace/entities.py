"""What a working copy is made of: its metafile, how its files stand, and what the verbs did."""

from __future__ import annotations

from typing import Literal

import msgspec

from everloop.store.entities import Digest

LinkMode = Literal["copy", "hardlink", "reflink", "auto"]
"""How files get their bytes: a copy; a link or a clone of a file that other folders share; the cheapest that works."""
State = Literal["added", "modified", "removed", "renamed"]


class Metafile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `<folder>.everloop` says: the version of a dataset that the folder beside it was last made equal to.

    Numbers of versions differ between platforms, so it names the version by its commit and by its tree's root.
    """

    branch: str = "main"
    commit: str = ""
    dataset: str
    files: int
    format: Literal[1] = 1
    root: Digest
    size: int


class FileChange(msgspec.Struct, frozen=True, order=True):
    """A path whose file is not as it was committed; `before` is where a renamed one was."""

    path: str
    state: State
    before: str = ""


class FolderStatus(msgspec.Struct, frozen=True):
    """How a folder stands to the version that its metafile names."""

    dataset: str
    branch: str
    root: Digest
    clean: bool
    files: int
    changes: tuple[FileChange, ...]


class Added(msgspec.Struct, frozen=True):
    """What adding a folder made: the version, and how many files and bytes had to be read for it."""

    dataset: str
    version: int
    commit: str
    root: Digest
    files: int
    size: int
    read_files: int
    read_bytes: int
    remarks: tuple[str, ...] = ()


class CheckedOut(msgspec.Struct, frozen=True):
    """What making a folder equal to a version did; files that were equal already were not touched."""

    dataset: str
    version: int
    root: Digest
    written: int
    removed: int
    kept: int
    link: LinkMode
