"""The store against a plain dictionary: whatever is done to it, in whatever order."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import NotFound
from everloop.store.chunks import WHOLE
from everloop.store.entities import Digest, TreeEntry
from everloop.store.service import Store, digest_of
from everloop.store.sweep import Sweep
from tests.examples import examples
from tests.store.aging import age

SIZES = st.sampled_from([0, 1, 100, WHOLE, WHOLE + 1, WHOLE + 300_000])


class StoreAgainstDictionary(RuleBasedStateMachine):
    """Objects and trees go in, some are pointed to, the rest is swept; a dictionary says what must be there."""

    digests = Bundle("digests")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store(FolderBlobs(self.folder / "store"))
        self.other = Store(FolderBlobs(self.folder / "store"))
        self.planned: Sweep | None = None
        self.fresh: set[Digest] = set()
        self.objects: dict[Digest, bytes] = {}
        self.trees: dict[Digest, tuple[TreeEntry, ...]] = {}

    @rule(target=digests, seed=st.integers(0, 3), size=SIZES)
    def put(self, seed: int, size: int) -> Digest:
        data = Random(seed).randbytes(size)
        digest = self.store.put(data)
        self.objects[digest] = data
        self.fresh.add(digest)
        return digest

    @rule(target=digests, seed=st.integers(0, 3), size=SIZES, at=st.integers(0, 100_000))
    def put_file_with_an_edit(self, seed: int, size: int, at: int) -> Digest:
        data = bytearray(Random(seed).randbytes(size))
        data[at:at] = b"edit"
        (self.folder / "file").write_bytes(data)
        digest = self.store.put_file(self.folder / "file")
        self.objects[digest] = bytes(data)
        self.fresh.add(digest)
        return digest

    @rule(target=digests, seeds=st.lists(st.integers(0, 9), min_size=1, max_size=6), size=SIZES)
    def put_many(self, seeds: list[int], size: int) -> Digest:
        datas = [Random(seed).randbytes(size) for seed in seeds]
        with self.store.bulk() as bulk:
            for data in datas:
                self.objects[bulk.put(data)] = data
        self.fresh |= {digest_of(data) for data in datas}
        return digest_of(datas[0])

    @rule(target=digests, files=st.lists(digests, min_size=1, max_size=4), deep=st.booleans(), bulk=st.booleans())
    def put_tree(self, files: list[Digest], deep: bool, bulk: bool) -> Digest:
        there = [digest for digest in files if digest in self.objects]
        names = [f"{n % 2}/f{n}" if deep else f"f{n}" for n in range(len(there))]
        pairs = zip(names, there, strict=True)
        entries = tuple(sorted(TreeEntry(name, digest, len(self.objects[digest])) for name, digest in pairs))
        if bulk:
            with self.store.bulk() as many:
                digest = self.store.put_tree(entries, many)
        else:
            digest = self.store.put_tree(entries)
        self.trees[digest] = entries
        self.objects[digest] = self.store.get(digest)
        self.fresh.add(digest)
        return digest

    @rule(wanted=st.lists(digests, max_size=6))
    def read_many(self, wanted: list[Digest]) -> None:
        there = [digest for digest in wanted if digest in self.objects]
        found = list(self.store.get_many(there))
        assert len(found) == len(set(there))
        assert dict(found) == {digest: self.objects[digest] for digest in there}

    @rule()
    def rebuild(self) -> None:
        self.store.rebuild_index()

    @rule()
    def lose_the_index(self) -> None:
        self.store.objects.index.close()
        self.other.objects.index.close()
        shutil.rmtree(self.folder / "store" / ".index", ignore_errors=True)

    @rule()
    def go_on_with_the_other(self) -> None:
        self.store, self.other = self.other, self.store

    @rule(roots=st.sets(digests, max_size=4))
    def sweep(self, roots: set[Digest]) -> None:
        roots = {root for root in roots if root in self.objects}
        self.planned = None
        live = roots | {entry.digest for root in roots for entry in self.trees.get(root, ())}
        self.store.sweep(roots, dry_run=False, grace=timedelta(0))
        for digest in [digest for digest in self.objects if digest not in live]:
            # A file may stay in a pack that is mostly needed, and may be a chunk of a large one.
            if digest in self.trees or len(self.objects[digest]) > WHOLE:
                assert not self.store.has(digest) or self._in_a_tree(digest, live)
            if not self.store.has(digest):
                self.objects.pop(digest)
                self.trees.pop(digest, None)

    @rule(days=st.sampled_from([0.4, 2.0]))
    def time_passes(self, days: float) -> None:
        """All that was put before is older now: it is safe no more unless something points to it."""
        age(self.folder / "store", days)
        self.planned = None
        self.fresh = set()

    @rule(roots=st.sets(digests, max_size=4))
    def plan_a_sweep(self, roots: set[Digest]) -> None:
        """What is put from now on, until it is carried out, must survive it, whatever it finds in the store."""
        self.roots = {root for root in roots if root in self.objects}
        self.planned = self.other.planned_sweep(self.roots)
        self.fresh = set()

    @rule()
    def carry_the_sweep_out(self) -> None:
        if self.planned is None:
            return
        self.planned.carry_out()
        self.planned = None
        live = self.roots | self.fresh
        live |= {entry.digest for root in live for entry in self.trees.get(root, ())}
        assert self.store.missing(live & self.objects.keys()) == set()
        self._forget_the_gone()

    @rule()
    def undelete(self) -> None:
        """It keeps all that the trash held, even from a sweep that was planned before."""
        self.planned = None
        assert self.store.undelete("all").gone == 0
        held = set(self.store.digests())
        assert self.store.sweep([], dry_run=False, grace=timedelta(days=0.9)).removed == 0
        assert set(self.store.digests()) == held

    def _forget_the_gone(self) -> None:
        for digest in [digest for digest in self.objects if not self.store.has(digest)]:
            self.objects.pop(digest)
            self.trees.pop(digest, None)

    def _in_a_tree(self, digest: Digest, live: set[Digest]) -> bool:
        """Whether the folder is one below a tree that is needed."""
        below = {
            entry.digest
            for root in live & self.trees.keys()
            for entry in self.store.folder(root)
            if entry.kind == "folder"
        }
        below |= {entry.digest for it in live if it in self.objects for entry in self.trees.get(it, ())}
        return digest in below

    @rule(digest=digests)
    def read(self, digest: Digest) -> None:
        if digest in self.objects:
            assert self.store.get(digest) == self.objects[digest]
            self.store.write_to(digest, self.folder / "out")
            assert (self.folder / "out").read_bytes() == self.objects[digest]
        elif not self.store.has(digest):
            with pytest.raises(NotFound):
                self.store.get(digest)

    @rule(digest=digests)
    def read_tree(self, digest: Digest) -> None:
        if digest in self.trees:
            assert self.store.tree(digest) == self.trees[digest]

    @rule()
    def open_again(self) -> None:
        self.store = Store(FolderBlobs(self.folder / "store"))

    @invariant()
    def everything_is_there(self) -> None:
        assert all(store.missing(self.objects) == set() for store in (self.store, self.other))

    @invariant()
    def nothing_is_without_its_parts(self) -> None:
        assert self.store.examine().faults == []

    @invariant()
    def everything_is_as_its_address_says(self) -> None:
        assert self.store.verify() == []

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


TestStoreAgainstDictionary = pytest.mark.slow(StoreAgainstDictionary.TestCase)
TestStoreAgainstDictionary.settings = settings(
    max_examples=examples(25), stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
