"""Whether the store is whole, seen from the catalog: what is damaged or missing, and what needs that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from everloop.catalog.session import Session
from everloop.datasets.remotes.refs import refs_at
from everloop.governance import retention
from everloop.governance.storekeeping.entities import Dead, StoreReport
from everloop.kernel.errors import EverloopError
from everloop.kernel.progress import SILENT, Progress
from everloop.store.entities import Digest, Fault
from everloop.store.repair import discard_torn
from everloop.store.repair import repair as mend
from everloop.store.service import Store

if TYPE_CHECKING:
    from everloop.store.sweep import Sweep

_NAMED = 10
"""So many that need something are named."""
_ROUNDS = 64
"""A repair finds the parts of a folder when it has fetched it: so deep may folders lie."""


def dead(session: Session, sweep: Sweep) -> tuple[Dead, ...]:
    """What a sweep found dead, in the words of the ledger."""
    from everloop.governance.storekeeping import naming

    if not sweep.dead:
        return ()
    with session.begin(write=False) as unit:
        return naming.dead(unit, sweep)


def examined(session: Session, progress: Progress) -> StoreReport:
    """What is in the store, and what is not as it should be."""
    found = session.store.examine(progress)
    faults = list(_named(session, found.faults, found.above))
    held = found.found.digests
    faults += [fault for fault in _dangling(session) if bytes.fromhex(fault.digest) not in held]
    stats = session.store.stats()
    return StoreReport(
        objects=found.found.objects,
        packs=len(found.found.packs) + len(found.found.torn),
        loose=len(found.found.loose.digests),
        bytes=stats.bytes,
        missing=found.missing,
        faults=tuple(faults),
        whole=not any(fault.is_damage for fault in faults),
    )


def below(session: Session, roots: Iterable[Digest]) -> list[Digest]:
    """Some objects with all that they are made of."""
    from everloop.store import inventory, reach
    from everloop.store.digests import Digests

    objects = session.store.objects
    starts = Digests.of(map(bytes.fromhex, roots))
    return [Digest(raw.hex()) for raw in reach.reach(objects, inventory.take(objects), starts)]


def mended(session: Session, place: Store, progress: Progress) -> tuple[tuple[Digest, ...], tuple[Digest, ...]]:
    """Fetch what is damaged or missing, folder by folder; what could be had whole, and what could not."""
    done: set[Digest] = set()
    wanted = {damage.digest for damage in session.store.verify(progress=progress)}
    for _ in range(_ROUNDS):
        report = examined(session, SILENT)
        wanted |= {Digest(fault.digest) for fault in report.faults if fault.digest and fault.is_damage}
        wanted -= done
        mended, _ = mend(session.store, wanted, place) if wanted else ((), ())
        if not mended:
            break
        done.update(mended)
    if not wanted:
        discard_torn(session.store)
    return tuple(sorted(done)), tuple(sorted(wanted))


def _named(session: Session, faults: list[Fault], above: dict[bytes, set[bytes]]) -> Iterator[Fault]:
    """The faults, with what needs them."""
    names: dict[bytes, set[str]] = {}
    wanted = set().union(*above.values()) if above else set()
    for digest, name in _references(session) if wanted else ():
        if bytes.fromhex(digest) in wanted:
            names.setdefault(bytes.fromhex(digest), set()).add(name)
    for fault in faults:
        leading = above.get(bytes.fromhex(fault.digest), set())
        needed = sorted(set().union(*(names.get(raw, set()) for raw in leading)))
        yield msgspec.structs.replace(fault, needed_by=tuple(needed[:_NAMED]))


def _references(session: Session) -> Iterator[tuple[Digest, str]]:
    with session.begin(write=False) as unit:
        yield from retention.references(unit)
    for ref in refs_at(session.store.blobs):
        yield ref.commit, f"ref {ref.name}"


def _dangling(session: Session) -> Iterator[Fault]:
    """What the catalog and refs must find in the store."""
    needed: dict[Digest, list[str]] = {}
    with session.begin(write=False) as unit:
        for digest, name in retention.required(unit):
            needed.setdefault(digest, []).append(name)
    try:
        for ref in refs_at(session.store.blobs):
            needed.setdefault(ref.commit, []).append(f"ref {ref.name}")
    except EverloopError as error:
        yield Fault("dangling", "", Digest("0" * 64), error.message, ("refs",))
    for digest, names in needed.items():
        yield Fault("dangling", "", digest, "It is not there.", tuple(sorted(set(names))[:_NAMED]))
