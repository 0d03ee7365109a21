"""Migrations: what they make is what the areas declare, on both databases, once, and together or not at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from everloop.app import areas, backends
from everloop.catalog import migrations
from everloop.catalog.database import Database
from everloop.catalog.revision import HEAD
from everloop.catalog.schema import metadata
from everloop.kernel.errors import Misconfigured, Unavailable
from tests.servers import postgresql


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    areas.load_all()
    opened: Database = backends.load("databases", "sqlite")(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield opened
    opened.close()


def differences(database: Database) -> list[object]:
    with database.engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))


def partial(database: Database) -> dict[str, str]:
    """The indexes that hold only some rows, and which."""
    with database.engine.connect() as connection:
        found = inspect(connection)
        indexes = [index for table in metadata.tables for index in found.get_indexes(table)]
    option = f"{database.engine.dialect.name}_where"
    wheres = {str(index["name"]): index.get("dialect_options", {}).get(option) for index in indexes}
    return {name: str(where).strip("()") for name, where in wheres.items() if where is not None}


def to_revision(database: Database, revision: str) -> None:
    """Make a catalog anew as an older version had it."""
    with database.engine.begin() as connection:
        for table in inspect(connection).get_table_names():
            connection.execute(text(f'DROP TABLE "{table}"'))
        command.upgrade(migrations.configuration(connection), revision)


def test_the_migrations_make_exactly_the_tables_that_the_areas_declare(database: Database) -> None:
    migrations.upgrade(database)
    assert differences(database) == []
    assert partial(database) == {"ix_metric_blocks_short": "count < 4096"}


@pytest.mark.slow
def test_they_do_so_on_postgresql_too() -> None:
    areas.load_all()
    with postgresql() as url:
        database = backends.load("databases", "postgresql")(url)
        migrations.upgrade(database)
        assert differences(database) == []
        assert partial(database) == {"ix_metric_blocks_short": "count < 4096"}
        database.close()


def test_the_tables_load_no_database_that_is_not_used() -> None:
    code = "import sys; from everloop.app import areas; areas.load_all(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "everloop.tracking.tables" in loaded
    assert "sqlalchemy.dialects.postgresql" not in loaded


def test_a_table_that_no_migration_makes_is_noticed(database: Database) -> None:
    migrations.upgrade(database)
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE lineage"))
    assert any("lineage" in str(difference) for difference in differences(database))


def test_upgrading_again_changes_nothing(database: Database) -> None:
    migrations.upgrade(database)
    migrations.upgrade(database)
    with database.engine.connect() as connection:
        assert migrations.revision(connection) == HEAD


def test_processes_that_start_together_take_turns(tmp_path: Path) -> None:
    areas.load_all()
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    starts = [Thread(target=lambda: migrations.upgrade(backends.load("databases", "sqlite")(url))) for _ in range(4)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert differences(backends.load("databases", "sqlite")(url)) == []


def test_a_migration_that_fails_leaves_nothing_behind(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: object, current: str) -> None:
        connection.execute(text("CREATE TABLE half (id INTEGER)"))  # type: ignore[attr-defined]
        raise RuntimeError("power failure")

    monkeypatch.setattr(migrations, "_upgrade", fail)
    with pytest.raises(RuntimeError):
        migrations.upgrade(database)
    assert inspect(database.engine).get_table_names() == []


def test_what_is_to_be_done_first_is_done_once_and_only_for_an_older_catalog(database: Database) -> None:
    done: list[str] = []
    migrations.upgrade(database, lambda: done.append("new"))
    to_revision(database, "0003")
    migrations.upgrade(database, lambda: done.append("older"))
    migrations.upgrade(database, lambda: done.append("current"))
    assert done == ["older"]


def test_when_that_fails_the_catalog_stays_as_it_is(database: Database) -> None:
    def fail() -> None:
        raise RuntimeError("power failure")

    migrations.upgrade(database)
    to_revision(database, "0003")
    with pytest.raises(RuntimeError):
        migrations.upgrade(database, fail)
    with database.engine.connect() as connection:
        assert migrations.revision(connection) == "0003"


def test_a_catalog_of_a_newer_everloop_is_left_alone(database: Database) -> None:
    migrations.upgrade(database)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Misconfigured, match="9999"):
        migrations.upgrade(database)


def test_a_database_that_is_away_is_named_without_its_password() -> None:
    away = backends.load("databases", "postgresql")("postgresql://me:secret@127.0.0.1:1/none")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1") as caught:
        migrations.upgrade(away)
    assert "secret" not in str(caught.value)
