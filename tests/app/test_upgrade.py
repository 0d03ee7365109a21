"""A home that an earlier version made, opened by this one: its data is had as before, and has a history from now on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from alembic import command
from sqlalchemy import text

from everloop.app import areas, backends
from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.backends.blobs.folder import open_blobs
from everloop.catalog import migrations
from everloop.store.blobs import Blobs
from everloop.store.chunks import WHOLE, chunked
from everloop.store.objects import loose_key, raw_digest

pytestmark = pytest.mark.slow
OLDER = "0003"
ROWS = 200_000
COLUMNS = [{"name": "x", "type": "float64", "nullable": False}]


def kept_then(blobs: Blobs, data: bytes) -> str:
    """Keep bytes as that version did: large ones as chunks, and a manifest of them."""
    digest = raw_digest(data).hex()
    names = []
    for chunk in chunked(memoryview(data)):
        names.append(raw_digest(chunk).hex())
        blobs.put(loose_key(raw_digest(chunk)), bytes(chunk))
    blobs.put(f"manifests/{digest[:2]}/{digest[2:]}", json.dumps({"size": len(data), "chunks": names}).encode())
    return digest


@pytest.fixture
def upgraded(tmp_path: Path) -> Iterator[Platform]:
    """The home of an earlier version with a large table in it, opened by this version."""
    areas.load_all()
    home = tmp_path / "home"
    pq.write_table(pa.table({"x": np.random.default_rng(7).random(ROWS)}), tmp_path / "large.parquet")
    data = (tmp_path / "large.parquet").read_bytes()
    assert len(data) > WHOLE
    home.mkdir()
    digest = kept_then(open_blobs((home / "store").as_uri()), data)
    database = backends.load("databases", "sqlite")(f"sqlite:///{home / 'catalog.db'}")
    with database.engine.begin() as connection:
        command.upgrade(migrations.configuration(connection), OLDER)
        connection.execute(text("INSERT INTO datasets VALUES ('default', 'large', '', 1, 1795370366208798)"))
        connection.execute(
            text("INSERT INTO snapshots VALUES ('default', 'large', 1, :d, :r, :b, :c, '[]', '', 1795370366208798)"),
            {"d": digest, "r": ROWS, "b": len(data), "c": json.dumps(COLUMNS)},
        )
    database.close()
    platform = open_platform(load({"home": str(home)}, environment={}, folder=tmp_path))
    yield platform
    platform.close()


def test_a_version_of_before_is_read(upgraded: Platform) -> None:
    assert len(upgraded.call("datasets.preview", {"name": "large", "limit": 3})) == 3
    assert upgraded.call("store.fsck", {}).whole


def test_it_stands_on_main_and_was_made_from_nothing(upgraded: Platform) -> None:
    (version,) = upgraded.call("datasets.log", {"name": "large"})
    assert (version.kind, version.branch, version.base, version.layers) == ("table", "main", (), ())
    assert [branch.version for branch in upgraded.call("datasets.branches", {"name": "large"})] == [1]


def test_the_next_version_is_made_from_it(upgraded: Platform) -> None:
    digest = upgraded.resources.store.put(b"x\n0.5\n")
    made = upgraded.call("datasets.append", {"name": "large", "digest": digest, "format": "csv"})
    assert (made.version, made.rows, made.base) == (2, ROWS + 1, (1,))


def test_garbage_collection_keeps_what_it_needs(upgraded: Platform) -> None:
    upgraded.call("store.gc", {"dry_run": False, "grace": "0s"})
    assert len(upgraded.call("datasets.preview", {"name": "large"})) == 20


def test_it_is_pushed_with_a_commit_that_it_gets_then(upgraded: Platform, tmp_path: Path) -> None:
    upgraded.call("remotes.add", {"name": "origin", "url": (tmp_path / "remote").as_uri()})
    pushed = upgraded.call("remotes.push", {"name": "origin", "dataset": "large"})
    assert upgraded.call("datasets.get", {"name": "large"}).commit in (pushed.commit, "")
    assert len(pushed.commit) == 64
