"""Where each packed object lies: a cache in SQLite, shared by all processes of a machine, made anew when it is lost."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from everloop.kernel.errors import Unavailable
from everloop.store.packs import Row

T = TypeVar("T")
_VERSION = 1
_AT_ONCE = 1_000
"""Digests in one query: more are not faster."""
_WAIT = 60.0
_SCHEMA = """
CREATE TABLE packs (id INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,
    adopted INTEGER NOT NULL, objects INTEGER NOT NULL);
CREATE TABLE places (digest BLOB NOT NULL, pack INTEGER NOT NULL, offset INTEGER NOT NULL, stored INTEGER NOT NULL,
    size INTEGER NOT NULL, codec INTEGER NOT NULL, kind INTEGER NOT NULL, PRIMARY KEY (digest, pack)) WITHOUT ROWID;
"""
_PLACES = "SELECT digest, offset, stored, size, codec, kind, pack FROM places WHERE digest IN"


class PackInfo(NamedTuple):
    """A pack as the index knows it: its name, its bytes (of the footer alone, if it is an adopted file)."""

    name: bytes
    size: int
    adopted: bool


class Place(NamedTuple):
    """Where an object lies: its row, in the pack of this name."""

    digest: bytes
    offset: int
    stored: int
    size: int
    codec: int
    kind: int
    pack: PackInfo


class Index:
    """The places of packed objects. It may forget at any time, and only ever says what was in a pack's footer.

    Threads share one connection; a process that was forked opens its own. Without a path it lives in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._packs: dict[int, PackInfo] = {}
        self._packs_of = -1

    def find(self, digests: Collection[bytes]) -> dict[bytes, Place]:
        """The places of those that are known; ~3 µs for each."""

        def found(connection: sqlite3.Connection) -> dict[bytes, Place]:
            packs = self._known_packs(connection)
            rows = _selected(connection, _PLACES, digests)
            return {row[0]: Place._make((*row[:6], packs[row[6]])) for row in rows if row[6] in packs}

        return self._asked(found)

    def known(self, digests: Collection[bytes]) -> set[bytes]:
        """Those that are known; ~1.5 µs for each."""
        return set(self.holders(digests))

    def holders(self, digests: Collection[bytes]) -> dict[bytes, bytes]:
        """For each that is known, the name of a pack that holds it; ~1.5 µs for each."""

        def found(connection: sqlite3.Connection) -> dict[bytes, bytes]:
            names = {number: pack.name for number, pack in self._known_packs(connection).items()}
            if not names:
                return {}
            rows = _selected(connection, "SELECT digest, pack FROM places WHERE digest IN", digests)
            return {digest: names[pack] for digest, pack in rows if pack in names}

        return self._asked(found)

    def place(self, digest: bytes) -> Place | None:
        """The place of one object, if it is known."""
        return self.find((digest,)).get(digest)

    def packs(self) -> dict[bytes, PackInfo]:
        """Every pack that is known, by name."""
        return {pack.name: pack for pack in self._asked(self._known_packs).values()}

    def add(self, pack: PackInfo, rows: Collection[Row]) -> None:
        """Learn what is in a pack; learning it again changes nothing."""
        self._change(lambda connection: _add(connection, pack, rows))

    def forget(self, packs: Iterable[bytes]) -> None:
        """Know nothing more of these packs."""
        names = [(name,) for name in packs]
        self._change(lambda connection: connection.executemany("DELETE FROM packs WHERE name = ?", names))

    def tidy(self) -> None:
        """Free the space of what belonged to packs that were forgotten; reads the whole index."""
        query = "DELETE FROM places WHERE pack NOT IN (SELECT id FROM packs)"
        self._change(lambda connection: connection.execute(query))

    def digests(self) -> set[bytes]:
        """Every object that is known."""
        query = "SELECT DISTINCT p.digest FROM places p CROSS JOIN packs k ON k.id = p.pack"
        return self._asked(lambda connection: {digest for (digest,) in connection.execute(query)})

    def totals(self) -> tuple[int, int]:
        """How many objects are known, and how many bytes their packs have."""
        query = "SELECT coalesce(sum(objects), 0), coalesce(sum(size), 0) FROM packs"
        found: tuple[int, int] = self._asked(lambda connection: connection.execute(query).fetchone())
        return found

    def sums(self) -> dict[bytes, tuple[int, int, int, int]]:
        """For each pack how many objects it has, and the sums of their offsets, stored sizes and sizes; reads all."""
        query = (
            "SELECT k.name, count(*), sum(p.offset), sum(p.stored), sum(p.size)"
            " FROM places p JOIN packs k ON k.id = p.pack GROUP BY p.pack"
        )
        return self._asked(lambda connection: {name: tuple(sums) for name, *sums in connection.execute(query)})

    def digests_of(self, pack: bytes) -> list[bytes]:
        """What is known to be in a pack; reads all."""
        query = "SELECT p.digest FROM places p JOIN packs k ON k.id = p.pack WHERE k.name = ?"
        return self._asked(lambda connection: [digest for (digest,) in connection.execute(query, (pack,))])

    def clear(self) -> None:
        """Forget everything, also that the file may be damaged."""
        with self._lock:
            self.close()
            self._discard()

    def close(self) -> None:
        """Give the connection back; the next question opens another."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def _asked(self, ask: Callable[[sqlite3.Connection], T], mode: str = "DEFERRED") -> T:
        """The answer to a question. An index that is damaged is thrown away, and asked again when it is empty."""
        with self._lock:
            try:
                with _transaction(self._opened(), mode) as connection:
                    return ask(connection)
            except (sqlite3.OperationalError, OSError) as error:
                raise Unavailable(
                    f"The index of the store at {self._path} cannot be used ({error}).",
                    hint="Free space there, or mend its permissions; it is a cache, and may be removed.",
                ) from None
            except sqlite3.DatabaseError:
                self.clear()
                with _transaction(self._opened(), mode) as connection:
                    return ask(connection)

    def _known_packs(self, connection: sqlite3.Connection) -> dict[int, PackInfo]:
        """The packs by their numbers, read again when anybody has changed the index."""
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._packs_of:
            rows = connection.execute("SELECT id, name, size, adopted FROM packs")
            self._packs = {number: PackInfo(name, size, bool(adopted)) for number, name, size, adopted in rows}
            self._packs_of = version
        return self._packs

    def _change(self, statements: Callable[[sqlite3.Connection], object]) -> None:
        def change(connection: sqlite3.Connection) -> None:
            self._packs_of = -1  # SQLite's number tells of the changes of others only.
            statements(connection)

        self._asked(change, "IMMEDIATE")

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None or self._process != os.getpid():
            self._connection, self._process, self._packs_of = self._open(), os.getpid(), -1
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self._path or ":memory:", timeout=_WAIT, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 16384")  # Random digests touch every page: write each rarely.
        connection.execute("PRAGMA cache_size = -65536")
        connection.execute("PRAGMA mmap_size = 1073741824")
        with _transaction(connection, "IMMEDIATE"):
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version != _VERSION:
                _remake(connection)
        return connection

    def _discard(self) -> None:
        if self._path is not None:
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _remake(connection: sqlite3.Connection) -> None:
    for table in ("places", "packs"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in _SCHEMA.strip().split(";")[:-1]:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {_VERSION}")


@contextmanager
def _transaction(connection: sqlite3.Connection, mode: str) -> Iterator[sqlite3.Connection]:
    connection.execute(f"BEGIN {mode}")
    try:
        yield connection
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _selected(connection: sqlite3.Connection, query: str, digests: Collection[bytes]) -> Iterator[tuple[Any, ...]]:
    left = iter(sorted(digests))  # Neighbours in the table lie on one page.
    while some := list(islice(left, _AT_ONCE)):
        yield from connection.execute(f"{query} ({','.join('?' * len(some))})", some)


def _add(connection: sqlite3.Connection, pack: PackInfo, rows: Collection[Row]) -> None:
    query = "INSERT OR IGNORE INTO packs (name, size, adopted, objects) VALUES (?, ?, ?, ?) RETURNING id"
    added = connection.execute(query, (pack.name, pack.size, pack.adopted, len(rows))).fetchone()
    if added is not None:
        query = "INSERT INTO places (digest, offset, stored, size, codec, kind, pack) VALUES (?, ?, ?, ?, ?, ?, ?)"
        connection.executemany(query, [(*row, added[0]) for row in rows])
