"""SQLite as the catalog's database: what the contract of databases leaves to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from everloop.backends.databases.sqlite import SqliteDatabase, open_database
from everloop.kernel.errors import Misconfigured


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    """A database in a folder that is not there yet."""
    return open_database(f"sqlite:///{tmp_path / 'deep' / 'er' / 'catalog.db'}")


def pragma(database: SqliteDatabase, name: str) -> object:
    with database.engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


@pytest.mark.parametrize(
    ("name", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 30_000)]
)
def test_each_connection_is_durable_and_patient(database: SqliteDatabase, name: str, value: object) -> None:
    assert pragma(database, name) == value
    database.close()
    assert pragma(database, name) == value


def test_the_folder_is_made(database: SqliteDatabase, tmp_path: Path) -> None:
    pragma(database, "user_version")
    assert (tmp_path / "deep" / "er" / "catalog.db").is_file()


def test_a_folder_that_cannot_be_made_is_misconfigured(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="cannot be made") as caught:
        open_database(f"sqlite:///{tmp_path / 'file' / 'catalog.db'}")
    assert "EVERLOOP_HOME" in caught.value.problem.hint


def test_a_file_that_is_no_database_is_misconfigured_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    path.write_bytes(b"a letter to a friend" * 100)
    with pytest.raises(Misconfigured, match="is no SQLite database"):
        pragma(open_database(f"sqlite:///{path}"), "user_version")
    assert path.read_bytes() == b"a letter to a friend" * 100


def test_a_change_of_the_schema_is_part_of_its_transaction(database: SqliteDatabase) -> None:
    with database.engine.connect() as connection:
        database.begin(connection, write=True)
        connection.execute(text("CREATE TABLE half (id INTEGER)"))
        connection.rollback()
        assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 0


def test_a_row_that_refers_to_nothing_is_refused(database: SqliteDatabase) -> None:
    with database.engine.connect() as connection:
        database.begin(connection, write=True)
        connection.execute(text("CREATE TABLE a (id INTEGER PRIMARY KEY)"))
        connection.execute(text("CREATE TABLE b (a INTEGER REFERENCES a (id))"))
        with pytest.raises(IntegrityError):
            connection.execute(text("INSERT INTO b VALUES (5)"))


def test_a_reader_sees_one_moment_while_a_writer_commits(database: SqliteDatabase) -> None:
    with database.engine.connect() as writer, database.engine.connect() as reader:
        database.begin(writer, write=True)
        writer.execute(text("CREATE TABLE a (id INTEGER)"))
        writer.commit()
        database.begin(reader, write=False)
        assert reader.execute(text("SELECT count(*) FROM a")).scalar() == 0
        database.begin(writer, write=True)
        writer.execute(text("INSERT INTO a VALUES (1)"))
        writer.commit()
        assert reader.execute(text("SELECT count(*) FROM a")).scalar() == 0
        reader.rollback()
        assert reader.execute(text("SELECT count(*) FROM a")).scalar() == 1
