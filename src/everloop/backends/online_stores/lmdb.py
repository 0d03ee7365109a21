"""Online features in LMDB: a mapped file that many processes read while one writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import TypeVar, cast

import lmdb

from everloop.kernel.errors import InvalidInput, Misconfigured

T = TypeVar("T")
_FIRST_SIZE = 64 << 20
_PREFIX = 16
_LONGEST_KEY = 511 - _PREFIX


class _Environment:
    """A file that is open in this process: LMDB allows that only once, so everybody here shares it.

    The lock keeps the map from being resized while another thread is inside a transaction.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Not synced: after kill -9 the kernel still has every commit, after a power failure it is filled again.
        self.handle = lmdb.open(
            str(folder), map_size=_FIRST_SIZE, sync=False, metasync=False, max_readers=512, readahead=False
        )
        self.handle.reader_check()  # Readers that were killed would keep old pages for ever.
        self.lock = Lock()
        self.users = 0


class _Shelf:
    """The environments that are open in this process, by folder."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.open: dict[Path, _Environment] = {}
        self.inherited: list[_Environment] = []

    def forget(self) -> None:
        """In a child: leave the parent's files alone (closing them would break it) and open anew when asked.

        The lock too is new: one that another thread held at the fork would never be released here.
        """
        self.lock = Lock()
        self.inherited.extend(self.open.values())
        self.open.clear()


_shelf = _Shelf()
os.register_at_fork(after_in_child=_shelf.forget)


class LmdbOnlineStore:
    """Features in an LMDB file. The file is opened at first use, and anew in a process that was forked.

    The map starts small and doubles when it is full; processes that only read follow by themselves.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._mine: _Environment | None = None

    def write(self, table: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Set the values of some keys, in one transaction."""
        prefix = _prefix(table)
        pairs = [(_key(prefix, key), value) for key, value in items]

        def put(transaction: lmdb.Transaction) -> None:
            with transaction.cursor() as cursor:
                cursor.putmulti(pairs)

        self._run(put, write=True)

    def read(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of some keys, in one transaction."""
        prefix = _prefix(table)
        wanted = [_key(prefix, key) for key in keys]

        def get(transaction: lmdb.Transaction) -> list[bytes | None]:
            return [cast("bytes | None", transaction.get(key)) for key in wanted]

        return self._run(get, write=False)

    def clear(self, table: str) -> None:
        """Remove every key of a table."""
        prefix = _prefix(table)

        def remove(transaction: lmdb.Transaction) -> None:
            with transaction.cursor() as cursor:
                going = cursor.set_range(prefix)
                while going and bytes(cursor.key()).startswith(prefix):
                    going = cursor.delete()

        self._run(remove, write=True)

    def close(self) -> None:
        """Close the file, when nobody else in this process uses it."""
        with _shelf.lock:
            mine, self._mine = self._mine, None
            if mine is None or _shelf.open.get(self._folder) is not mine:
                return
            mine.users -= 1
            if mine.users == 0:
                del _shelf.open[self._folder]
                mine.handle.close()

    def _run(self, work: Callable[[lmdb.Transaction], T], *, write: bool) -> T:
        environment = self._environment()
        with environment.lock:
            while True:
                try:
                    with environment.handle.begin(write=write) as transaction:
                        return work(transaction)
                except lmdb.MapFullError:
                    _grow(environment.handle)
                except lmdb.MapResizedError:
                    environment.handle.set_mapsize(0)  # Another process made it larger: take its size.

    def _environment(self) -> _Environment:
        mine = self._mine
        if mine is not None and _shelf.open.get(self._folder) is mine:
            return mine
        with _shelf.lock:
            mine = _shelf.open.get(self._folder)
            if mine is None:
                mine = _shelf.open[self._folder] = _opened(self._folder)
            mine.users += 1
            self._mine = mine
            return mine


def open_online_store(url: str) -> LmdbOnlineStore:
    """The store in the folder that `lmdb:///path` or a plain path names."""
    return LmdbOnlineStore(Path(url.removeprefix("lmdb://")))


def _opened(folder: Path) -> _Environment:
    try:
        return _Environment(folder)
    except (OSError, lmdb.Error) as error:
        raise Misconfigured(
            f"The online store in {folder} cannot be opened ({error}).",
            hint="Check the folder's permissions, or choose another with EVERLOOP_ONLINE_STORE_URL.",
        ) from None


def _grow(handle: lmdb.Environment) -> None:
    handle.reader_check()
    handle.set_mapsize(handle.info()["map_size"] * 2)


def _prefix(table: str) -> bytes:
    return blake2b(table.encode(), digest_size=_PREFIX).digest()


def _key(prefix: bytes, key: bytes) -> bytes:
    if not key:
        raise InvalidInput("A key of the online store is empty.")
    return prefix + (key if len(key) <= _LONGEST_KEY else blake2b(key).digest())
