"""The rows of tables that were read lately, in memory: reading them again costs nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from everloop.datasets import parquet
from everloop.datasets.entities import Layer
from everloop.datasets.layers import merged
from everloop.store.entities import Digest
from everloop.store.service import Store

if TYPE_CHECKING:
    import pyarrow as pa

CACHE_BYTES = 256 << 20
"""How many bytes of tables that were read lately are kept in memory, for each store."""


class TableCache:
    """The columns that were read lately, by the address of their snapshot or file, up to a number of bytes."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._tables: OrderedDict[Digest, pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def rows(self, store: Store, digest: Digest, layers: Sequence[Layer], columns: Sequence[str]) -> pa.Table:
        """Columns of a table: of the Parquet at an address or, if there are layers, of what they add up to."""
        if not layers:
            return self.read(store, digest, columns)
        return self._held(digest, columns, lambda missing: merged(layers, missing, partial(self.read, store)))

    def read(self, store: Store, digest: Digest, columns: Sequence[str]) -> pa.Table:
        """Those of the columns that the Parquet at an address has."""
        return self._held(digest, columns, lambda missing: parquet.read(store, digest, missing))

    def _held(self, digest: Digest, columns: Sequence[str], load: Callable[[list[str]], pa.Table]) -> pa.Table:
        held: pa.Table | None = self._tables.get(digest)
        known = [] if held is None else held.column_names
        missing = [name for name in columns if name not in known]
        if missing or held is None:
            fresh = load(missing)
            for name in known:
                fresh = fresh.append_column(name, held[name])  # type: ignore[index]  # known is empty when it is None.
            held = fresh
        self._keep(digest, held)
        return held.select([name for name in columns if name in held.column_names])

    def _keep(self, digest: Digest, table: pa.Table) -> None:
        with self._lock:
            self._tables[digest] = table
            self._tables.move_to_end(digest)
            while len(self._tables) > 1 and sum(kept.nbytes for kept in self._tables.values()) > self._limit:
                self._tables.popitem(last=False)


_caches: WeakKeyDictionary[Store, TableCache] = WeakKeyDictionary()
_opening = threading.Lock()


def cache_of(store: Store) -> TableCache:
    """The cache of a store."""
    with _opening:
        return _caches.setdefault(store, TableCache())
