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
from everloop.store.service import Store
from tests.examples import examples

SIZES = st.sampled_from([0, 1, 100, WHOLE, WHOLE + 1, WHOLE + 300_000])


class StoreAgainstDictionary(RuleBasedStateMachine):
    """Objects and trees go in, some are pointed to, the rest is swept; a dictionary says what must be there."""

    digests = Bundle("digests")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store(FolderBlobs(self.folder / "store"))
        self.objects: dict[Digest, bytes] = {}
        self.trees: dict[Digest, tuple[TreeEntry, ...]] = {}

    @rule(target=digests, seed=st.integers(0, 3), size=SIZES)
    def put(self, seed: int, size: int) -> Digest:
        data = Random(seed).randbytes(size)
        digest = self.store.put(data)
        self.objects[digest] = data
        return digest

    @rule(target=digests, seed=st.integers(0, 3), size=SIZES, at=st.integers(0, 100_000))
    def put_file_with_an_edit(self, seed: int, size: int, at: int) -> Digest:
        data = bytearray(Random(seed).randbytes(size))
        data[at:at] = b"edit"
        (self.folder / "file").write_bytes(data)
        digest = self.store.put_file(self.folder / "file")
        self.objects[digest] = bytes(data)
        return digest

    @rule(target=digests, files=st.lists(digests, min_size=1, max_size=4))
    def put_tree(self, files: list[Digest]) -> Digest:
        there = [digest for digest in files if digest in self.objects]
        entries = tuple(TreeEntry(f"f{n}", digest, len(self.objects[digest])) for n, digest in enumerate(there))
        digest = self.store.put_tree(entries)
        self.trees[digest] = entries
        self.objects[digest] = self.store.get(digest)
        return digest

    @rule(roots=st.sets(digests, max_size=4))
    def sweep(self, roots: set[Digest]) -> None:
        live = roots | {entry.digest for root in roots for entry in self.trees.get(root, ())}
        self.store.sweep(roots, dry_run=False, grace=timedelta(0))
        for digest in [digest for digest in self.objects if digest not in live]:
            # A small one may also be a chunk of a large one that stays.
            if len(self.objects[digest]) > WHOLE or not self.store.has(digest):
                assert not self.store.has(digest)
                self.objects.pop(digest)
                self.trees.pop(digest, None)

    @rule(digest=digests)
    def read(self, digest: Digest) -> None:
        if digest in self.objects:
            assert self.store.get(digest) == self.objects[digest]
            self.store.write_to(digest, self.folder / "out")
            assert (self.folder / "out").read_bytes() == self.objects[digest]
        else:
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
        assert all(self.store.has(digest) for digest in self.objects)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


TestStoreAgainstDictionary = pytest.mark.slow(StoreAgainstDictionary.TestCase)
TestStoreAgainstDictionary.settings = settings(
    max_examples=examples(25), stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
