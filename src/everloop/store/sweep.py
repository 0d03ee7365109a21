"""Garbage collection: what no root reaches goes, object by object, loose or packed; first to the trash, then for good.

Only keys that the store itself writes are ever removed: objects, packs, adopted files, leases, killed writers' rests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt

from everloop.kernel.clock import micros
from everloop.kernel.errors import Corrupted, InvalidInput, NotFound
from everloop.kernel.progress import SILENT, Progress
from everloop.store import compaction, removal, trash
from everloop.store.blobs import Blob
from everloop.store.digests import TYPE, Digests, Raws
from everloop.store.entities import Digest, SweepReport
from everloop.store.inventory import Inventory, leased, table_of, take, young
from everloop.store.objects import RESTORE, Objects, raw_of
from everloop.store.reach import reach

DEAD = np.dtype([("digest", TYPE), ("size", "<u8"), ("written", "<i8"), ("kind", "u1")])
"""What is dead: address, bytes in the store, when it was written (microseconds), kind."""


class Sweep:
    """What a sweep would do: planned by a walk over all that the roots reach, and done by `carry_out`.

    With a `grace` what is found dead goes to the trash, and only what has been there that long is removed. Without one
    all that is dead is removed at once. `thorough` also removes it from packs that are mostly needed.

    Raises:
        Corrupted: a folder on the way is damaged or missing, or a pack is torn: what it leads to cannot be known.
    """

    def __init__(
        self,
        objects: Objects,
        roots: Iterable[Digest],
        grace: timedelta,
        progress: Progress = SILENT,
        *,
        thorough: bool = False,
    ) -> None:
        self._objects = objects
        self._progress = progress
        self._grace = grace
        self.found = take(objects)
        _require_whole(self.found)
        self._oldest = self.found.now - grace
        live = reach(objects, self.found, _addresses(roots), strict=True, progress=progress)
        self._live = reach(objects, self.found, young(objects, self.found, grace), live, progress=progress)
        self.dead = self.found.digests - self._live
        self._bins = list(trash.bins(objects.blobs))
        self.condemned, self.doomed = self._sentences()
        self._going = compaction.going(objects, self.found, self.doomed, self._oldest, thorough=thorough)
        self._loose = self.found.loose.digests & self.doomed
        self._stray = [blob for blob in self.found.stray if blob.modified <= self._oldest]

    @cached_property
    def details(self) -> npt.NDArray[np.void]:
        """All that is dead, one by one, by address; each copy counts."""
        loose = self.found.loose
        found = [_details(loose.digests.raws, loose.sizes, loose.written, 0, self.dead)]
        for pack in self.found.packs:
            try:
                table = table_of(self._objects, pack.info)
            except (NotFound, Corrupted):
                continue
            written = micros(pack.written)
            found.append(_details(table["digest"], table["stored"], written, table["kind"], self.dead))
        every = np.concatenate(found)
        return every[np.argsort(every["digest"], kind="stable")]

    def size_of(self, some: Digests) -> int:
        """The bytes that some of the dead take."""
        return int(self.details["size"][some.holds(self.details["digest"])].sum())

    def report(self) -> SweepReport:
        """What would be done."""
        return self._told(self._going, self._loose, self._stray, dry_run=True)

    def carry_out(self) -> SweepReport:
        """Do it. Interrupted anywhere, nothing that is needed is lost, and the next sweep goes on."""
        blobs = self._objects.blobs
        told = self.report()  # Before what it is about is gone.
        removal.forget_dead(blobs, self.found.now)
        if self.condemned:
            trash.condemn(blobs, self.found.now, self.condemned)
        gone, loose = self._remove()
        for blob in self._stray:
            blobs.delete(blob.key)
        self._empty_bins(Digests.packed(b"".join(each.lost.tobytes() for each in gone)) | loose)
        self._remove_leases()
        compaction.pack_loose(self._objects, self.found, self.found.digests - self.doomed, self._oldest)
        self._objects.index.tidy()
        done = self._told(gone, loose, self._stray, dry_run=False)
        return msgspec.structs.replace(done, condemned=told.condemned, condemned_bytes=told.condemned_bytes)

    def _sentences(self) -> tuple[Digests, Digests]:
        """What is condemned now, and what goes for good: what was condemned long ago and nothing condemned needs."""
        if not self._grace:
            return Digests(), self.dead
        ripe, waiting = Digests(), Digests()
        for each in self._bins:
            if each.at <= self._oldest:
                ripe |= each.digests & self.dead
            else:
                waiting |= each.digests & self.dead
        condemned = self.dead - ripe - waiting
        return condemned, ripe - reach(self._objects, self.found, condemned | waiting)

    def _remove(self) -> tuple[list[compaction.Going], Digests]:
        """Remove packs and loose objects; those that really went."""
        gone: list[compaction.Going] = []
        loose = self._loose
        removed = Digests()
        for batch in compaction.batches(self._going):
            saved = compaction.carry_over(self._objects, batch)
            if not saved and not loose:
                continue
            announced = compaction.objects_of(saved) + loose.tobytes()
            with removal.Removal(self._objects.blobs, announced) as under_way:
                needed, rewritten = self._needed_by_now()
                for each in saved:
                    if needed.holds(each.lost.raws).any() or each.pack.info.name in rewritten:
                        continue
                    under_way.go_on()
                    compaction.remove(self._objects, each)
                    gone.append(each)
                removed |= compaction.remove_loose(self._objects, loose - needed, self._oldest, under_way.go_on)
                loose = Digests()
                self._objects.index.forget([each.pack.info.name for each in saved])
            self._objects.refresh()  # What stayed is found again.
            self._progress.advance(sum(each.freed for each in gone), None, "freed", "bytes")
        return gone, removed

    def _needed_by_now(self) -> tuple[Digests, set[bytes]]:
        """What others have come to rely on since the store was listed, and the packs that they wrote again."""
        before = {pack.info.name: pack.written for pack in self.found.packs}
        now = take(self._objects, frozenset(before))
        leases = {lease.key: lease.modified for lease in self.found.leases}
        needed = leased(self._objects, [one for one in now.leases if leases.get(one.key) != one.modified])
        needed |= _touched(self.found, now)
        for pack in now.packs:
            needed |= Digests(table_of(self._objects, pack.info)["digest"])
        listed = self._objects.listed()
        rewritten = {name for name, at in before.items() if name in listed and listed[name][0].modified != at}
        both = msgspec.structs.replace(now, inner=self.found.inner | now.inner)
        return reach(self._objects, both, needed), rewritten

    def _empty_bins(self, gone: Digests) -> None:
        """Take out of the trash what is gone, and what somebody needs again."""
        for each in self._bins:
            left = (each.digests & self.dead) - gone
            trash.narrow(self._objects.blobs, each, left if self._grace else Digests())

    def _remove_leases(self) -> None:
        old = {lease.key for lease in self.found.leases if lease.modified <= self._oldest}
        for lease in list(self._objects.blobs.keys("leases/")) if old else ():
            if lease.key in old and lease.modified <= self._oldest:
                self._objects.blobs.delete(lease.key)

    def _told(self, going: list[compaction.Going], loose: Digests, stray: list[Blob], *, dry_run: bool) -> SweepReport:
        lost = Digests.packed(b"".join(each.lost.tobytes() for each in going)) | loose
        removed = len(lost) + len(stray)
        sizes = self.found.loose.sizes[loose.holds(self.found.loose.digests.raws)]
        freed = int(sizes.sum()) + sum(blob.size for blob in stray) + sum(each.freed for each in going)
        return SweepReport(
            kept=self.found.objects + len(self.found.stray) - removed,
            removed=removed,
            freed_bytes=freed,
            dry_run=dry_run,
            condemned=len(self.condemned),
            condemned_bytes=self.size_of(self.condemned) if self.condemned else 0,
        )


def _touched(before: Inventory, now: Inventory) -> Digests:
    """The loose objects that were written or touched between two listings."""
    there = before.loose.digests.holds(now.loose.digests.raws)
    fresh = ~there
    at = np.searchsorted(before.loose.digests.raws, now.loose.digests.raws[there])
    fresh[there] = before.loose.written[at] != now.loose.written[there]
    return Digests(now.loose.digests.raws[fresh], unique=True)


def _addresses(roots: Iterable[Digest]) -> Digests:
    return Digests.of(_raws(roots))


def _raws(roots: Iterable[Digest]) -> Iterator[bytes]:
    for root in roots:
        try:
            yield raw_of(root)
        except InvalidInput:  # Whatever has 64 letters in the catalog may look like one.
            continue


def _require_whole(found: Inventory) -> None:
    if found.torn:
        raise Corrupted(
            f"The pack {found.torn[0]} is torn, so nothing was freed: what its folders lead to would be lost.",
            hint=f"everloop store fsck names all that is damaged. {RESTORE}",
        )


def _details(
    raws: Raws,
    sizes: npt.NDArray[np.integer],
    written: npt.NDArray[np.int64] | int,
    kinds: npt.NDArray[np.uint8] | int,
    dead: Digests,
) -> npt.NDArray[np.void]:
    chosen = dead.holds(raws)
    found = np.empty(int(chosen.sum()), DEAD)
    found["digest"], found["size"] = raws[chosen], sizes[chosen]
    found["written"] = written if isinstance(written, int) else written[chosen]
    found["kind"] = kinds if isinstance(kinds, int) else kinds[chosen]
    return found
