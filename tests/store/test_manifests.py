"""Stores of before there were packs: what was in them is had as before, and survives sweeps."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random

import msgspec
import pytest

from everloop.backends.blobs.folder import open_blobs
from everloop.kernel.errors import NotFound
from everloop.store.chunks import chunked
from everloop.store.entities import Digest
from everloop.store.manifests import take_over
from everloop.store.objects import loose_key, raw_digest
from everloop.store.service import Store

LARGE = Random(7).randbytes(3 << 20)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(open_blobs((tmp_path / "store").as_uri()))


@pytest.fixture
def digest(store: Store) -> Digest:
    """A large object as it was kept then: its chunks as loose objects, and a manifest that names them."""
    names = []
    for chunk in chunked(memoryview(LARGE)):
        raw = raw_digest(chunk)
        names.append(raw.hex())
        store.blobs.put(loose_key(raw), bytes(chunk))
    address = Digest(raw_digest(LARGE).hex())
    store.blobs.put(manifest_key(address), msgspec.json.encode({"size": len(LARGE), "chunks": names}))
    store.blobs.put("marks/sweep", b"")
    return address


def manifest_key(digest: Digest) -> str:
    return f"manifests/{digest[:2]}/{digest[2:]}"


def test_a_large_object_is_had_as_before(store: Store, digest: Digest) -> None:
    assert take_over(store.objects) == 1
    assert store.get(digest) == LARGE
    assert list(store.blobs.keys("manifests/")) + list(store.blobs.keys("marks/")) == []


def test_its_chunks_stay_where_they_are(store: Store, digest: Digest) -> None:
    take_over(store.objects)
    assert sum(blob.size for blob in store.blobs.keys("packs/")) < 10_000


def test_a_sweep_keeps_the_chunks_of_what_is_pointed_to(store: Store, digest: Digest) -> None:
    take_over(store.objects)
    store.sweep([digest], dry_run=False, grace=timedelta(0))
    assert store.get(digest) == LARGE


def test_when_it_was_interrupted_the_rest_is_taken_over_later(store: Store, digest: Digest) -> None:
    manifest = store.blobs.get(manifest_key(digest))
    take_over(store.objects)
    store.blobs.put(manifest_key(digest), manifest)  # As if the power had failed before it was removed.
    assert take_over(store.objects) == 1
    assert store.get(digest) == LARGE


@pytest.mark.parametrize("damage", ["manifest", "chunk"])
def test_what_is_damaged_stays_where_it_is(store: Store, digest: Digest, damage: str) -> None:
    if damage == "chunk":
        store.blobs.delete(next(store.blobs.keys("objects/")).key)
    else:
        store.blobs.delete(manifest_key(digest))
        store.blobs.put(manifest_key(digest), b"{")
    assert take_over(store.objects) == 0
    assert store.blobs.has(manifest_key(digest))
    with pytest.raises(NotFound):
        store.get(digest)


def test_a_store_of_today_has_nothing_to_take_over(store: Store) -> None:
    store.put(LARGE)
    assert take_over(store.objects) == 0
