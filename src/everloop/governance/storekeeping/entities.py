"""What keeping the store is about."""

from __future__ import annotations

from datetime import datetime

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.store.entities import Damage, Digest, Fault


class Dead(msgspec.Struct, frozen=True):
    """Objects that nothing refers to any more, by what they once were: a URN, or "" where the ledger does not know.

    `waiting` of them stay in the trash for now, the others go. Examples are some of the largest: kind, address, bytes.
    """

    was: str
    objects: int
    bytes: int
    oldest: datetime
    waiting: int
    examples: tuple[str, ...]


class GcReport(msgspec.Struct, frozen=True):
    """What garbage collection did, or would do in a dry run.

    `removed` objects are gone for good, `condemned` ones were put into the trash now, where all of `in_trash` are. They
    go when they have been there for the time of grace. `dead` names what nothing refers to, the largest first.
    """

    kept: int
    removed: int
    freed_bytes: int
    condemned: int
    condemned_bytes: int
    in_trash: int
    dry_run: bool
    dead: tuple[Dead, ...]


class StoreReport(msgspec.Struct, frozen=True):
    """What is in the store, and what is not as it should be. `whole` is whether nothing is damaged."""

    objects: int
    packs: int
    loose: int
    bytes: int
    missing: int
    faults: tuple[Fault, ...]
    whole: bool


class VerifyReport(msgspec.Struct, frozen=True):
    """What was read and compared with its address; damaged objects are refused wherever they are asked for."""

    objects: int
    damaged: tuple[Damage, ...]
    whole: bool


class Repair(msgspec.Struct, frozen=True):
    """What a repair did: damaged or missing objects that the remote had whole, and those that it had not."""

    mended: tuple[Digest, ...]
    lost: tuple[Digest, ...]


class StoreSwept(Event, frozen=True, kw_only=True, tag="store.swept"):
    """Objects that nothing referred to were removed from the store, or put into its trash."""

    removed: int
    freed_bytes: int
    condemned: int = 0


class StoreUndeleted(Event, frozen=True, kw_only=True, tag="store.undeleted"):
    """Objects came out of the trash."""

    objects: int


class StoreRepaired(Event, frozen=True, kw_only=True, tag="store.repaired"):
    """Damaged objects were fetched from a remote."""

    remote: Name
    mended: int
    lost: int
