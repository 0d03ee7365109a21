"""Versions out of a catalog's file: what the platform says, or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.datasets.workspace.lookup import version_in
from everloop.datasets.workspace.workspace import Workspace, metafile_for

Opened = Callable[[Path], Workspace]


@pytest.fixture
def catalog(platform: Platform, opened: Opened, images: Path) -> Path:
    opened(images).add()
    (images / "a.txt").write_text("changed")
    opened(images).add()
    return platform.resources.home / "catalog.db"


@pytest.mark.parametrize("version", [1, 2])
def test_a_version_is_told_as_the_platform_tells_it(catalog: Path, platform: Platform, version: int) -> None:
    told = metafile_for(platform.call("datasets.get", {"name": "images", "version": version}))
    assert version_in(catalog, "default", "images", version) == told


@pytest.mark.parametrize(
    ("project", "dataset", "version"), [("other", "images", 1), ("default", "x", 1), ("default", "images", 3)]
)
def test_of_what_is_not_there_nothing_is_told(catalog: Path, project: str, dataset: str, version: int) -> None:
    assert version_in(catalog, project, dataset, version) is None


def test_no_catalog_is_made_by_looking(tmp_path: Path) -> None:
    assert version_in(tmp_path / "catalog.db", "default", "images", 1) is None
    assert not list(tmp_path.iterdir())


def test_a_catalog_of_another_revision_is_left_to_the_platform(catalog: Path) -> None:
    with sqlite3.connect(catalog) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert version_in(catalog, "default", "images", 1) is None


@pytest.mark.parametrize("change", ["kind = 'table'", "purged = '{}'"])
def test_a_version_without_files_is_left_to_the_platform(catalog: Path, change: str) -> None:
    with sqlite3.connect(catalog) as connection:
        connection.execute(f"UPDATE snapshots SET {change} WHERE version = 1")
    assert version_in(catalog, "default", "images", 1) is None
    assert version_in(catalog, "default", "images", 2) is not None


def test_a_file_that_is_no_catalog_is_left_to_the_platform(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_text("no catalog")
    assert version_in(tmp_path / "catalog.db", "default", "images", 1) is None
