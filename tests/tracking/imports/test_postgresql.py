"""A store of MLflow's in PostgreSQL comes over like one in SQLite."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, Table, create_engine

from everloop.app.platform import Platform
from everloop.registry.imports import bring as bring_models
from everloop.tracking.imports.entities import Report
from everloop.tracking.imports.mlflow.store import MlflowDatabase
from tests.servers import postgresql

Bring = Callable[..., Report]


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """An empty database."""
    with postgresql() as server:
        yield f"{server}/postgres"


def copied(store: Path, url: str) -> None:
    """The tables of a store in SQLite, with what they hold, in another database."""
    source, target = (
        create_engine(f"sqlite:///{store}"),
        create_engine(url.replace("postgresql:", "postgresql+psycopg:")),
    )
    known = MetaData()
    known.reflect(source)
    plain = MetaData()  # SQLite's conditions mean nothing to PostgreSQL.
    for table in known.tables.values():
        Table(table.name, plain, *(Column(it.name, it.type) for it in table.columns))
    with source.connect() as reading, target.begin() as writing:
        plain.create_all(writing)
        for table in plain.sorted_tables:
            rows = [dict(row) for row in reading.execute(table.select()).mappings()]
            if rows:
                writing.execute(table.insert(), rows)
    source.dispose()
    target.dispose()


@pytest.mark.slow
def test_a_store_in_postgresql_comes_whole(
    mlflow_store: Path, postgres_url: str, platform: Platform, bring: Bring
) -> None:
    copied(mlflow_store / "mlflow.db", postgres_url)
    source = MlflowDatabase(postgres_url, mlflow_store / "artifacts")
    report = bring(source)
    assert (report.added, report.points, report.files, report.wrong) == (4, 304, 3, ())
    done = bring_models(platform.session(), source.registered())
    assert (done.models, done.versions, done.untaken) == (1, 2, [])
    (run,) = platform.call("runs.search", {"where": "metrics.loss < 0.01"})
    odd = [it.value for it in platform.call("runs.history", {"id": run.id, "key": "odd"})]
    assert math.isnan(odd[0])
    assert odd[1:3] == [math.inf, -math.inf]
    source.close()
