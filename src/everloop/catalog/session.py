"""The session: one unit of work, and all that a use case is handed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Executable, Table, insert
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from everloop.catalog import ledger
from everloop.catalog.database import Database, Kept
from everloop.kernel.clock import Clock
from everloop.kernel.errors import Conflict, EverloopError, InvalidInput, NotFound, Unavailable
from everloop.kernel.events import Event
from everloop.kernel.ids import Urn, new_id
from everloop.kernel.ports import Ports
from everloop.store.service import Store

T = TypeVar("T", bound=msgspec.Struct)
_active: ContextVar[Session | None] = ContextVar("everloop_session", default=None)


@dataclass(frozen=True)
class Resources:
    """What a running platform holds for all of its sessions."""

    home: Path
    database: Database
    store: Store
    clock: Clock
    random: Random
    ports: Ports


@dataclass(frozen=True)
class Session:
    """A unit of work on behalf of a principal in a project.

    Inside `begin` everything that is executed, emitted and linked commits together or not at all. Use cases are given
    a session that has begun, long ones one that has not; `begin` inside a begun session joins it, so use cases compose.
    """

    resources: Resources
    principal: str
    project: str
    writes: bool = False
    """Whether what this unit of work sees may be its own, and never be committed."""
    _connection: Connection | None = None
    _events: dict[tuple[str, str], list[Event]] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The folder that this platform keeps its files in."""
        return self.resources.home

    @property
    def store(self) -> Store:
        """Bytes by content."""
        return self.resources.store

    @property
    def clock(self) -> Clock:
        """What time it is."""
        return self.resources.clock

    @property
    def random(self) -> Random:
        """The seeded generator that all randomness comes from."""
        return self.resources.random

    @property
    def ports(self) -> Ports:
        """The backends."""
        return self.resources.ports

    @property
    def connection(self) -> Connection:
        """The open transaction."""
        if self._connection is None:
            raise RuntimeError("this session has not begun: use `with session.begin() as unit:`")
        return self._connection

    @contextmanager
    def begin(self, *, write: bool = True) -> Iterator[Session]:
        """A unit of work: commits at the end of the block, rolls back when it raises. Nested, it joins the outer one.

        A unit that has ended can begin another.

        Raises:
            InvalidInput: a value is none that the database can keep, such as a number beyond 64 bits.
            Conflict: the database refused the change because something with that name or number is there already.
            Unavailable: the database did not answer.
        """
        if self._connection is not None and not self._connection.closed:
            yield self
            return
        with _told(), self.resources.database.engine.connect() as connection:
            self.resources.database.begin(connection, write=write)
            unit = Session(self.resources, self.principal, self.project, write, connection)
            yield unit
            unit._commit()

    @contextmanager
    def begin_on(self, kept: Kept) -> Iterator[Session]:
        """A unit of work that writes, on a connection that its thread keeps: for many small ones, one after the other.

        Raises:
            InvalidInput, Conflict, Unavailable: as `begin` does; the connection is given back then.
        """
        with _told():
            try:
                unit = Session(self.resources, self.principal, self.project, True, kept.begun())
                yield unit
                unit._commit()
            except BaseException:
                kept.close()
                raise

    def _commit(self) -> None:
        """Put the events into the ledger, and all of it into the database."""
        for (project, principal), events in self._events.items():
            ledger.append(self.connection, self.clock.now(), project, principal, events)
        self.connection.commit()

    @contextmanager
    def activate(self) -> Iterator[None]:
        """Make this the session that `active_session` finds, for the code of a user's step."""
        token = _active.set(self)
        try:
            yield
        finally:
            _active.reset(token)

    def emit(self, event: Event) -> None:
        """Put an event into the ledger, in this unit of work."""
        self._events.setdefault((self.project, self.principal), []).append(event)

    def acting(self, principal: str, project: str) -> Session:
        """The same unit of work on behalf of another principal, in another project."""
        return Session(self.resources, principal, project, self.writes, self._connection, self._events)

    def new_id(self) -> str:
        """A fresh id that sorts by time."""
        return new_id(self.clock.now(), self.random)

    def urn(self, kind: str, name: str, version: str | int = "") -> str:
        """The URN of a thing in this session's project."""
        return str(Urn(kind, self.project, name, str(version)))

    def insert(self, table: Table, value: msgspec.Struct | Mapping[str, object]) -> None:
        """Add a row whose columns are the value's fields (and the project, where the table has one)."""
        fields = (
            dict(value)
            if isinstance(value, Mapping)
            else {name: getattr(value, name) for name in value.__struct_fields__}
        )
        if "project" in table.c:
            fields.setdefault("project", self.project)
        self.connection.execute(_insert(table), {k: v for k, v in fields.items() if k in table.c})

    def execute(self, statement: Executable) -> int:
        """Run a statement; the number of rows that it changed."""
        return self.connection.execute(statement).rowcount

    def all(self, kind: type[T], statement: Executable) -> list[T]:
        """The rows of a query as Structs; columns are matched to fields by name."""
        return [_struct(kind, row._mapping) for row in self.connection.execute(statement)]

    def first(self, kind: type[T], statement: Executable) -> T | None:
        """The first row of a query as a Struct."""
        row = self.connection.execute(statement).first()
        return None if row is None else _struct(kind, row._mapping)

    def one(self, kind: type[T], statement: Executable, missing: str, hint: str = "") -> T:
        """The first row of a query as a Struct.

        Raises:
            NotFound: with the sentence `missing`, when there is none.
        """
        found = self.first(kind, statement)
        if found is None:
            raise NotFound(missing, hint=hint)
        return found

    def scalars(self, statement: Executable) -> Sequence[Any]:
        """The first column of a query (of whatever type it has)."""
        return self.connection.execute(statement).scalars().all()


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the database in our words."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(f"Something with that name is there already ({error.orig}).") from error
    except (DataError, OverflowError, UnicodeEncodeError) as error:
        raise InvalidInput(
            f"A value cannot be kept ({getattr(error, 'orig', error)}).",
            hint="Numbers have up to 64 bits, texts no NUL character.",
        ) from error
    except OperationalError as error:
        raise Unavailable(
            f"The database did not answer ({error.orig}).", hint="Check EVERLOOP_DATABASE_URL with everloop doctor."
        ) from error
    except PoolTimeout as error:
        raise Unavailable("Every connection to the database is in use.", hint="Try again in a moment.") from error
    except StatementError as error:
        if isinstance(error.orig, EverloopError):
            raise error.orig from None  # A column type refused the value before the database saw it.
        raise


_insert = cache(insert)
"""The statement that adds a row to a table, made once: building one costs SQLAlchemy as much as executing it does."""


def active_session() -> Session:
    """The session that the running step belongs to.

    Raises:
        NotFound: outside of a step or of `with platform:`.
    """
    session = _active.get()
    if session is None:
        raise NotFound(
            "No platform is active here.", hint="Call this inside a step, or inside `with everloop.open():`."
        )
    return session


def _struct(kind: type[T], row: Mapping[Any, Any]) -> T:
    return msgspec.convert({name: row[name] for name in kind.__struct_fields__ if name in row}, kind)
