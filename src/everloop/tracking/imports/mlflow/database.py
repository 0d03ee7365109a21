"""The database that MLflow keeps its store in: SQLite or PostgreSQL, of any version from 1.0 on.

Tables and columns are taken as they are found there: those that came with a later version may be missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, Table, create_engine, func, inspect, null, select
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from everloop.kernel.errors import InvalidInput, Misconfigured, NotFound, Unavailable

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_PAGE = 500
_NEEDED = ("experiments", "runs", "metrics", "params", "tags")


class Database:
    """A database with a store of MLflow's in it, which is only read.

    Raises:
        Unavailable: it does not answer.
        InvalidInput: it is another thing.
    """

    def __init__(self, url: str) -> None:
        self._url = _url(url)
        self._engine = create_engine(self._url)
        self._tables: dict[str, Table | None] = {}
        self._check()

    @property
    def address(self) -> str:
        """Where it is, without the password."""
        return _shown(self._url.set(password=None))

    @property
    def folder(self) -> Path | None:
        """The folder that relative places of artifacts begin in, as far as anybody knows: the database's."""
        is_file = self._url.get_backend_name() == "sqlite"
        return Path((self._url.database or "").removeprefix("file:")).parent if is_file else None

    def connect(self) -> Connection:
        """A connection."""
        return self._engine.connect()

    def close(self) -> None:
        """Let the database go."""
        self._engine.dispose()

    def rows(self, name: str, columns: Sequence[str], among: str = "", of: Sequence[Any] = ()) -> Iterator[Any]:
        """Rows of a table as mappings; a column that it does not have is None, a table that is not there is empty."""
        table = self.known_table(name)
        if table is None:
            return
        query = select(*(table.c[it] if it in table.c else null().label(it) for it in columns))
        for page in pages(of) if among else [()]:
            with self._engine.connect() as connection:
                asked = query.where(table.c[among].in_(page)) if among else query
                yield from connection.execute(asked).mappings()

    def known_table(self, name: str) -> Table | None:
        """A table, if the store has it."""
        if name not in self._tables:
            there = inspect(self._engine).has_table(name)
            self._tables[name] = Table(name, MetaData(), autoload_with=self._engine) if there else None
        return self._tables[name]

    def table(self, name: str) -> Table:
        """A table that every store has."""
        found = self.known_table(name)
        if found is None:
            raise _no_store(self._url, [name])
        return found

    def count(self, name: str) -> int:
        """How many rows a table has; none where it is missing."""
        table = self.known_table(name)
        return 0 if table is None else int(self.all(select(func.count()).select_from(table))[0][0])

    def all(self, query: Any) -> Sequence[Any]:
        """Every row that a query answers."""
        with self._engine.connect() as connection:
            return connection.execute(query).all()

    def texts(self, table: str, of: str, ids: Sequence[str] | None) -> dict[str, dict[str, str]]:
        """Values by their keys, of each thing of some (None: of all)."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for row in self.rows(table, (of, "key", "value"), of if ids is not None else "", ids or ()):
            found[str(row[of])][row["key"]] = row["value"] or ""
        return found

    def _check(self) -> None:
        try:
            missing = [name for name in _NEEDED if self.known_table(name) is None]
        except DBAPIError as error:
            if "not a database" in str(error.orig) or "malformed" in str(error.orig):
                raise InvalidInput(f"{_shown(self._url)} is no database ({error.orig}).") from None
            raise Unavailable(f"{_shown(self._url)} does not answer ({error.orig}).") from None
        if missing:
            raise _no_store(self._url, missing)
        lacking = [it for it in ("run_uuid", "experiment_id", "status") if it not in self.table("runs").c]
        if lacking:
            raise InvalidInput(f"{_shown(self._url)} has runs without {', '.join(lacking)}.")


def pages(ids: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Some ids, as many at a time as fit into a statement."""
    for start in range(0, len(ids), _PAGE):
        yield ids[start : start + _PAGE]


def _url(text: str) -> URL:
    """The address of a database; a file is one of SQLite's.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is no address of a database that is read here.
    """
    if "://" not in text:
        text = f"sqlite:///{text}"
    try:
        url = make_url(text)
        backend = url.get_backend_name()
        if backend not in DRIVERS:
            raise InvalidInput(f"MLflow's stores in {backend} are not read here.", hint="Move it to PostgreSQL first.")
        url = url.set(drivername=DRIVERS[backend])
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, SQLAlchemyError) as error:
        raise InvalidInput(f"{text[:200]!r} is no address of a database ({error}).") from None
    except ModuleNotFoundError as error:
        raise Misconfigured(f"{error.name} is not installed.", hint="pip install everloop[postgresql]") from None
    if backend != "sqlite":
        return url
    path = Path(url.database or "").absolute()
    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    # Read only: a store that people still use must not change because somebody looked at it.
    return URL.create("sqlite", database=f"file:{path}", query={"mode": "ro", "uri": "true"})


def _shown(url: URL) -> str:
    return (url.database or "").removeprefix("file:") if url.get_backend_name() == "sqlite" else url.render_as_string()


def _no_store(url: URL, missing: Sequence[str]) -> InvalidInput:
    return InvalidInput(
        f"{_shown(url)} is no store of MLflow's: it has no {', '.join(missing)}.",
        hint="Give the database that `mlflow server --backend-store-uri` names, or a folder `mlruns`.",
    )
