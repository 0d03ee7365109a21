"""Migrations of the catalog's tables, by Alembic; a catalog that is up to date is recognised without importing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from everloop.catalog.database import Database
from everloop.catalog.revision import FOLDER, HEAD
from everloop.kernel.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from alembic.config import Config


def upgrade(database: Database, first: Callable[[], object] | None = None) -> None:
    """Bring the catalog's tables to this version's, whole or not at all; processes that start together take turns.

    `first` is called before the tables of an older version change; when it raises, they stay as they are.

    Raises:
        Unavailable: the database does not answer.
        Misconfigured: a newer Everloop made the catalog.
    """
    try:
        with database.engine.connect() as connection:
            if _is_current(connection):
                return
            connection.rollback()
            database.begin(connection, write=True)
            current = revision(connection)
            if first is not None and "" < current < HEAD:
                first()
            _upgrade(connection, current)
            connection.commit()
    except OperationalError as error:
        shown = database.engine.url.render_as_string(hide_password=True)
        raise Unavailable(
            f"The database {shown} did not answer ({str(error.orig).strip()}).",
            hint="Start it, or mend EVERLOOP_DATABASE_URL; everloop doctor checks it.",
        ) from None


def revision(connection: Connection) -> str:
    """The revision that the catalog is at; empty when there is no catalog yet."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def _is_current(connection: Connection) -> bool:
    """Whether there is nothing to do: one query, where looking for the table first takes ten times as long."""
    try:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
    except (OperationalError, ProgrammingError):  # There is no such table: the catalog is new.
        return False


def _upgrade(connection: Connection, current: str) -> None:
    if current == HEAD:
        return
    if current > HEAD:
        raise Misconfigured(
            f"The catalog is at revision {current}, this Everloop knows {HEAD}.",
            hint="Upgrade everloop on this machine.",
        )
    from alembic import command

    command.upgrade(configuration(connection), "head")


def configuration(connection: Connection) -> Config:
    """What Alembic needs to know to work over a connection: where the revisions are, and the connection itself."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config
