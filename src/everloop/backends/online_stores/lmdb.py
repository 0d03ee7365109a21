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
    """A folder that this process uses: LMDB allows it to be open once in a process, so everybody here shares it.

    The lock keeps the map from being resized, and the file from being closed, while a thread is in a transaction.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle: lmdb.Environment | None = None
        self.lock = Lock()
        self.users = 0

    def handle(self) -> lmdb.Environment:
        """The open environment; the lock must be held."""
        if self._handle is None:
            self._handle = _opened(self._folder)
        return self._handle

    def close(self) -> None:
        """Close the file; the lock must be held. The next use opens it again."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None


class _Shelf:
    """The environments of this process, by folder."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.environments: dict[Path, _Environment] = {}

    def before_fork(self) -> None:
        """Close everything, and keep every other thread out until the fork is over.

        A child can neither use nor close what its parent opened without breaking it, so neither side inherits anything.
        """
        self.lock.acquire()
        for environment in self.environments.values():
            environment.lock.acquire()
            environment.close()

    def after_fork(self) -> None:
        """Let everybody in again, in the parent and in the child; each opens what it uses."""
        for environment in self.environments.values():
            environment.lock.release()
        self.lock.release()


_shelf = _Shelf()
os.register_at_fork(before=_shelf.before_fork, after_in_parent=_shelf.after_fork, after_in_child=_shelf.after_fork)


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
            if mine is None:
                return
            mine.users -= 1
            if not mine.users:
                del _shelf.environments[self._folder]
                with mine.lock:
                    mine.close()

    def _run(self, work: Callable[[lmdb.Transaction], T], *, write: bool) -> T:
        environment = self._mine or self._join()
        with environment.lock:
            handle = environment.handle()
            while True:
                try:
                    with handle.begin(write=write) as transaction:
                        return work(transaction)
                except lmdb.MapFullError:
                    _grow(handle)
                except lmdb.MapResizedError:
                    handle.set_mapsize(0)  # Another process made it larger: take its size.

    def _join(self) -> _Environment:
        with _shelf.lock:
            if self._mine is None:
                self._mine = _shelf.environments.setdefault(self._folder, _Environment(self._folder))
                self._mine.users += 1
            return self._mine


def open_online_store(url: str) -> LmdbOnlineStore:
    """The store in the folder that `lmdb:///path` or a plain path names."""
    return LmdbOnlineStore(Path(url.removeprefix("lmdb://")))


def _opened(folder: Path) -> lmdb.Environment:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Not synced: after kill -9 the kernel still has every commit, after a power failure it is filled again.
        handle = lmdb.open(
            str(folder), map_size=_FIRST_SIZE, sync=False, metasync=False, max_readers=512, readahead=False
        )
    except (OSError, lmdb.Error) as error:
        raise Misconfigured(
            f"The online store in {folder} cannot be opened ({error}).",
            hint="Check the folder's permissions, or choose another with EVERLOOP_ONLINE_STORE_URL.",
        ) from None
    handle.reader_check()  # Readers that were killed would keep old pages for ever.
    return handle


def _grow(handle: lmdb.Environment) -> None:
    handle.reader_check()
    handle.set_mapsize(handle.info()["map_size"] * 2)


def _prefix(table: str) -> bytes:
    return blake2b(table.encode(), digest_size=_PREFIX).digest()


def _key(prefix: bytes, key: bytes) -> bytes:
    if not key:
        raise InvalidInput("A key of the online store is empty.")
    return prefix + (key if len(key) <= _LONGEST_KEY else blake2b(key).digest())
