"""Objects that come piece by piece, from a network say: hashed, cut and kept while the rest is on its way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from blake3 import blake3

from everloop.store.bulk import Bulk
from everloop.store.chunks import FASTCDC_64K, WHOLE, Recipe, chunked
from everloop.store.entities import Digest

if TYPE_CHECKING:
    from everloop.store.service import Store

BLOCK = 1 << 20
"""Blocks of about this many bytes are cheapest: they stay in the cache of a processor while they are hashed and cut."""


class Receiving:
    """Takes one object in blocks. It is durable when `finish` returns; before that, nothing of it can be found.

    A large one is cut where the same bytes of a file would be, so that they are kept once. Some ten megabytes of it are
    in memory at a time, and the packs that are being written. `close` it in any case.
    """

    def __init__(self, store: Store) -> None:
        self.size = 0
        self._store = store
        self._rest: bytes | memoryview = b""
        self._bulk: Bulk | None = None
        self._whole = blake3()
        self._digests, self._sizes = bytearray(), bytearray()

    def feed(self, block: Iterable[bytes]) -> None:
        """Take the next bytes, in as many pieces as they came in.

        Raises:
            Unavailable: the place cannot be written.
        """
        data = b"".join((self._rest, *block))
        self.size += len(data) - len(self._rest)
        if self.size <= WHOLE:
            self._rest = data
            return
        self._bulk = self._bulk or Bulk(self._store.objects)
        pieces = list(chunked(memoryview(data)))
        for piece in pieces[:-1]:
            self._take(self._bulk, piece)
        self._rest = bytes(pieces[-1])  # It ends where the block does, not where its content says.

    def finish(self) -> Digest:
        """The address of what came, which is durable now.

        Raises:
            Unavailable: the place cannot be written.
            Conflict: a sweep removed meanwhile what was there already; send it again.
        """
        if self._bulk is None:
            return self._store.put(self._rest)
        if self._rest:
            self._take(self._bulk, memoryview(self._rest))
        digest = Digest(self._whole.hexdigest())
        self._bulk.add_recipe(digest, Recipe(FASTCDC_64K, self.size, bytes(self._digests), bytes(self._sizes)))
        self._bulk.flush()
        return digest

    def close(self) -> None:
        """Give back what it holds; what was not finished is forgotten."""
        self._rest = b""
        if self._bulk is not None:
            self._bulk.close()

    def _take(self, bulk: Bulk, piece: memoryview) -> None:
        self._whole.update(piece)
        self._digests += bulk.keep(piece)
        self._sizes += len(piece).to_bytes(4, "little")
