"""What stores looked like before there were packs: each large object had a manifest, which now becomes its recipe."""

from __future__ import annotations

from itertools import chain

import msgspec

from everloop.store.bulk import Bulk
from everloop.store.chunks import FASTCDC_64K, Recipe
from everloop.store.entities import Digest
from everloop.store.objects import OBJECTS, Objects, digest_at, raw_of

_MANIFESTS = "manifests/"
_MARK = "marks/sweep"


class _Manifest(msgspec.Struct, frozen=True):
    size: int
    chunks: tuple[Digest, ...]


def take_over(objects: Objects) -> int:
    """Keep a recipe for every manifest, and remove the manifests; how many objects that were.

    Chunks stay where they are, so it costs a listing. Interrupted, it can be done again. A manifest that is damaged, or
    that lacks chunks, stays: its object cannot be had, and fsck says so.
    """
    found = list(objects.blobs.keys(_MANIFESTS))
    if not found:
        return 0
    sizes = {digest_at(blob.key): blob.size for blob in objects.blobs.keys(OBJECTS)}
    taken = []
    bulk = Bulk(objects)
    try:
        for blob in found:
            recipe = _recipe(objects.blobs.get(blob.key), sizes)
            if recipe is not None:
                bulk.add_recipe(digest_at(blob.key), recipe)
                taken.append(blob.key)
        bulk.flush()
    finally:
        bulk.close()
    for key in chain(taken, [_MARK]):
        objects.blobs.delete(key)
    return len(taken)


def _recipe(data: bytes, sizes: dict[Digest, int]) -> Recipe | None:
    """The recipe that a manifest comes to, if it is whole and its chunks are there."""
    try:
        manifest = msgspec.json.decode(data, type=_Manifest)
    except msgspec.DecodeError:
        return None
    lengths = [sizes.get(chunk, -1) for chunk in manifest.chunks]
    if min(lengths, default=-1) < 0 or sum(lengths) != manifest.size:
        return None
    digests = b"".join(map(raw_of, manifest.chunks))
    return Recipe(FASTCDC_64K, manifest.size, digests, b"".join(length.to_bytes(4, "little") for length in lengths))
