"""Files in a bucket of a cloud, below a prefix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import obstore

from everloop.backends.blobs import azure, gcs, s3
from everloop.backends.blobs.bucket import BucketBlobs
from everloop.datasets.remotes.reach import Reach
from everloop.datasets.remotes.sources import Reference
from everloop.kernel.errors import Conflict, NotFound

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

_BLOCK = 1 << 20
_OPENERS = {"s3": s3.open_blobs, "gs": gcs.open_blobs, "az": azure.open_blobs}


class BucketSource:
    """The objects below a bucket's prefix, a thousand at a request; nothing of them is read until it is asked for."""

    def __init__(self, blobs: BucketBlobs, url: str) -> None:
        self._blobs = blobs
        self._url = url

    def listed(self) -> Iterator[Reference]:
        """Every object; what stands for folders (names that end with a slash) is left out."""
        found = False
        for meta in self._blobs.listed(""):
            found = True
            if not meta["path"].endswith("/"):
                yield self._reference(meta)
        if not found:
            raise NotFound(f"There is nothing below {self._url}.", hint="Check the bucket and the prefix.")

    def read(self, reference: Reference) -> Iterator[bytes]:
        """The bytes of an object, if it still has its ETag."""
        options = cast("GetOptions", {"if_match": reference.tag} if reference.tag else {})
        try:
            answer = self._blobs.asked(
                lambda: obstore.get(self._blobs.store, reference.path, options=options), reference.path
            )
            blocks = iter(answer.stream(min_chunk_size=_BLOCK))
            while (block := self._blobs.asked(lambda: next(blocks, None), reference.path)) is not None:
                yield bytes(block)
        except Conflict:
            raise Conflict(
                f"{reference.path} of {self._url} was changed since it was imported.", hint="Import it again."
            ) from None

    def _reference(self, meta: ObjectMeta) -> Reference:
        tag = meta["e_tag"] or f"modified {meta['last_modified'].isoformat()}"
        return Reference(self._url, meta["path"], meta["size"], tag, meta["version"] or "")


def open_source(url: str, reach: Reach) -> BucketSource:
    """The objects below what `s3://`, `gs://` or `az://bucket/prefix` names."""
    reach.check(url)
    return BucketSource(_OPENERS[url.partition(":")[0]](url), url)
