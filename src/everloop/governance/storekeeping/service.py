"""What one can do to keep the store: free bytes, bring them back, see that all is whole, mend what is not."""

from __future__ import annotations

import re

import msgspec

from everloop.catalog.session import Session
from everloop.datasets import content
from everloop.datasets.remotes.commits import roots_at
from everloop.datasets.remotes.known import remote_of
from everloop.datasets.remotes.places import Places
from everloop.governance import retention
from everloop.governance.storekeeping import health
from everloop.governance.storekeeping.entities import (
    GcReport,
    Repair,
    StoreRepaired,
    StoreReport,
    StoreSwept,
    StoreUndeleted,
    VerifyReport,
)
from everloop.kernel.durations import duration
from everloop.kernel.errors import Corrupted, NotFound
from everloop.kernel.ids import Name
from everloop.kernel.progress import Progress
from everloop.kernel.usecase import usecase
from everloop.store.entities import Digest, TrashBin, Undeleted

_ADDRESS = re.compile(r"[0-9a-f]{64}")


@usecase("store.gc", permission="governance:manage", route="POST /store/gc", long=True)
def gc(session: Session, dry_run: bool = True, grace: str = "1d", thorough: bool = False) -> GcReport:
    """Put what nothing refers to into the trash, and free what has been there for the time of `grace`; or tell of it.

    What counts: the catalogs' references of all projects, refs that others pushed to this store, what was written or
    relied on within the grace. With `0s` all that is dead goes now, and nobody may write; `thorough` frees it
    from packs that are mostly needed, too: what was purged is then really gone.
    """
    spared = duration(grace)
    progress = session.ports.get(Progress)
    sweep = session.store.planned_sweep(_roots(session), spared, progress, thorough=thorough)
    dead = health.dead(session, sweep)
    done = sweep.report() if dry_run else sweep.carry_out()
    if not dry_run:
        with session.begin() as unit:
            subject = unit.urn("principal", unit.principal)
            unit.emit(
                StoreSwept(
                    subject=subject, removed=done.removed, freed_bytes=done.freed_bytes, condemned=done.condemned
                )
            )
    waiting = sum(each.waiting for each in dead)
    return GcReport(**msgspec.structs.asdict(done), in_trash=waiting, dead=dead)


@usecase("store.trash", permission="governance:read", route="GET /store/trash", long=True)
def trash(session: Session) -> list[TrashBin]:
    """What garbage collections condemned and have not freed yet, oldest first: a bin for each, by its stamp."""
    return session.store.trash()


@usecase("store.undelete", permission="governance:manage", route="POST /store/undeletions", long=True)
def undelete(session: Session, stamp: str = "all") -> Undeleted:
    """Take a bin (or all) out of the trash. Its objects are safe for the time of grace: point to them within it.

    Versions and models that were removed from the catalog do not come back by it: their content can be committed again.
    """
    done = session.store.undelete(stamp)
    with session.begin() as unit:
        unit.emit(StoreUndeleted(subject=unit.urn("principal", unit.principal), objects=done.objects))
    return done


@usecase("store.fsck", permission="governance:manage", route="POST /store/examinations", long=True)
def fsck(session: Session, rebuild: bool = False) -> StoreReport:
    """Whether the store hangs together: packs, index, folders and recipes, what the catalog and refs point to.

    Faults say what needs them. `rebuild` makes the index anew first. The bytes of files are read by `store.verify`.
    """
    if rebuild:
        session.store.rebuild_index()
    return health.examined(session, session.ports.get(Progress))


@usecase("store.verify", permission="governance:manage", route="POST /store/verifications", long=True)
def verify(session: Session, reference: str = "") -> VerifyReport:
    """Read every byte of the store, or of one reference with all below it, and compare it with its address.

    `reference` is `flights@2`, a URN such as `model:default/delay@3`, or an address. Damaged objects are named.
    """
    progress = session.ports.get(Progress)
    if not reference:
        damaged = session.store.verify(progress=progress)
        objects = session.store.stats().objects
    else:
        wanted = health.below(session, _meant(session, reference))
        damaged, objects = session.store.verify(wanted, progress), len(wanted)
    return VerifyReport(objects, tuple(damaged), not damaged)


@usecase("store.repair", permission="governance:manage", route="POST /store/repairs", long=True)
def repair(session: Session, remote: Name) -> Repair:
    """Read all of the store, and fetch what is damaged or missing from a remote that has it whole."""
    with session.begin(write=False) as unit:
        place = session.ports.get(Places).store(remote_of(unit, remote).url)
    mended, lost = health.mended(session, place, session.ports.get(Progress))
    with session.begin() as unit:
        unit.emit(StoreRepaired(subject=unit.urn("remote", remote), remote=remote, mended=len(mended), lost=len(lost)))
    return Repair(mended, lost)


def _roots(session: Session) -> set[Digest]:
    """What the catalog refers to, and what others' refs in this store lead to."""
    with session.begin(write=False) as unit:
        roots = retention.roots(unit)
    try:
        return roots | roots_at(session.store)
    except NotFound as error:
        raise Corrupted(
            f"A ref of the store leads to what is missing, so nothing was freed: {error.message}",
            hint="everloop store fsck tells which; everloop store repair fetches it from a remote.",
        ) from None


def _meant(session: Session, reference: str) -> set[Digest]:
    """The addresses that a reference stands for."""
    if _ADDRESS.fullmatch(reference):
        return {Digest(reference)}
    with session.begin(write=False) as unit:
        name = reference if ":" in reference else content.urn_of(unit, content.resolve(unit, reference))
        found = {digest for digest, spelled in retention.references(unit) if spelled == name}
    if not found:
        raise NotFound(f"Nothing in the store belongs to {reference!r}.", hint="Write flights@2, or a URN.")
    return found
