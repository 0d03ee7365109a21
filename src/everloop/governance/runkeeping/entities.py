"""What keeping runs is about."""

from __future__ import annotations

import msgspec

from everloop.kernel.events import Event


class Freed(msgspec.Struct, frozen=True):
    """A run, logged model or experiment that goes (or went): bytes in the database, files, and their bytes."""

    urn: str
    name: str
    bytes: int = 0
    files: int = 0
    files_bytes: int = 0


class Kept(msgspec.Struct, frozen=True):
    """One that was asked for and stays, and each reason why."""

    urn: str
    name: str
    why: tuple[str, ...]


class RunsGc(msgspec.Struct, frozen=True):
    """What was freed for good, or would be in a dry run, and what stays.

    `bytes` are those of metrics and documents in the database, of which `returned_bytes` went back to the file system.
    Bytes of files are freed by the store's own garbage collection, unless something else has the same files.
    """

    freed: tuple[Freed, ...]
    kept: tuple[Kept, ...]
    bytes: int
    files: int
    files_bytes: int
    returned_bytes: int = 0


class HoldPlaced(Event, frozen=True, kw_only=True, tag="governance.held"):
    """Something must not be deleted for good from now on."""

    reason: str


class HoldReleased(Event, frozen=True, kw_only=True, tag="governance.released"):
    """A hold ended."""

    reason: str
    was: str
