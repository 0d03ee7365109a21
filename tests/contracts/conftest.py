"""Real servers for the contract suites: each is started once, each test has a database or bucket of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server, without a database."""
    with servers.postgresql() as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    """The URL of a fresh PostgreSQL database."""
    import psycopg

    name = f"everloop_{next(_numbers)}"
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{postgresql_server}/{name}"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a fresh SQLite database."""
    return f"sqlite:///{tmp_path / 'catalog.db'}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The endpoint of an S3 server."""
    with servers.s3() as endpoint:
        yield endpoint


@pytest.fixture
def s3_url(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a fresh bucket, with a prefix in it."""
    import httpx

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    bucket = f"everloop-{next(_numbers)}"
    httpx.put(f"{s3_endpoint}/{bucket}", timeout=30).raise_for_status()
    return f"s3://{bucket}/team/store?endpoint={s3_endpoint}&region=us-east-1"


@pytest.fixture(scope="session")
def azure_endpoint() -> Iterator[str]:
    """The endpoint of an Azure Blob Storage."""
    with servers.azure() as endpoint:
        yield endpoint


@pytest.fixture
def azure_url(azure_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a fresh container, with a prefix in it."""
    account, key = servers.AZURITE
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", key)
    container = f"everloop-{next(_numbers)}"
    servers.make_container(azure_endpoint, container)
    return f"az://{container}/team/store?endpoint={azure_endpoint}&account={account}"


@pytest.fixture(params=["file", *(pytest.param(name, marks=pytest.mark.slow) for name in ("s3", "azure"))])
def blobs_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh place for blobs of each kind."""
    if request.param != "file":
        return str(request.getfixturevalue(f"{request.param}_url"))
    return (tmp_path / "store").as_uri()
