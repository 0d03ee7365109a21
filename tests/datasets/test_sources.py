"""Queries over tables, and over files that hold tables."""

from __future__ import annotations

import gzip

import pytest

from everloop.app.platform import Platform
from everloop.datasets.entities import Snapshot
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.store.entities import TreeEntry
from tests.datasets.conftest import commit


@pytest.fixture
def photos(platform: Platform) -> Snapshot:
    """Two files: a packed table of labels, and what is no table."""
    store = platform.resources.store
    files = {"meta/labels.csv.gz": gzip.compress(b"photo,label\n1,cat\n2,dog\n"), "1.jpg": b"\xff\xd8"}
    tree = store.put_tree([TreeEntry(path, store.put(data), len(data)) for path, data in files.items()])
    made: Snapshot = platform.call("datasets.commit_files", {"name": "photos", "digest": tree})
    return made


def ask(platform: Platform, sql: str, *inputs: str, **more: int) -> object:
    return platform.call("datasets.query", {"sql": sql, "inputs": list(inputs), **more})


class TestQueries:
    def test_the_first_rows_of_a_query_are_answered(self, platform: Platform, planes: Snapshot) -> None:
        assert ask(platform, "SELECT seats * 2 AS twice FROM planes", "planes@1", limit=1) == [{"twice": 110}]

    def test_nothing_is_kept(self, platform: Platform, planes: Snapshot) -> None:
        ask(platform, "SELECT 1 FROM planes", "planes")
        assert [each.name for each in platform.call("datasets.list", {})] == ["planes"]

    @pytest.mark.parametrize("sql", ["DROP TABLE planes", "COPY planes TO '/tmp/x'", "SELECT * FROM '/etc/passwd'", ""])
    def test_a_query_changes_and_reaches_nothing_else(self, platform: Platform, planes: Snapshot, sql: str) -> None:
        with pytest.raises(InvalidInput):
            ask(platform, sql, "planes")

    def test_two_inputs_of_one_name_are_refused(self, platform: Platform, planes: Snapshot) -> None:
        with pytest.raises(InvalidInput, match="called 'planes'"):
            ask(platform, "SELECT 1", "planes@1", "planes")


class TestFiles:
    def test_a_file_that_is_a_table_is_queried_by_its_name(self, platform: Platform, photos: Snapshot) -> None:
        found = ask(platform, "SELECT label FROM labels WHERE photo = 2", "photos@1/meta/labels.csv.gz")
        assert found == [{"label": "dog"}]

    def test_a_table_derived_from_a_file_comes_from_its_snapshot(self, platform: Platform, photos: Snapshot) -> None:
        arguments = {"name": "cats", "sql": "SELECT photo FROM labels", "inputs": ["photos/meta/labels.csv.gz"]}
        assert platform.call("datasets.derive", arguments).parents == ("dataset:default/photos@1",)

    def test_a_file_that_is_no_table_is_refused(self, platform: Platform, photos: Snapshot) -> None:
        with pytest.raises(InvalidInput, match=r"'1\.jpg' is no table"):
            ask(platform, "SELECT 1", "photos/1.jpg")

    def test_a_file_that_is_not_there_is_not_found(self, platform: Platform, photos: Snapshot) -> None:
        with pytest.raises(NotFound, match=r"has no file labels\.csv"):
            ask(platform, "SELECT 1", "photos/labels.csv")

    def test_a_table_has_no_files(self, platform: Platform, planes: Snapshot) -> None:
        commit(platform, "planes", b"tailnum,seats\nN1,2\n")
        with pytest.raises(InvalidInput, match="is a table"):
            ask(platform, "SELECT 1", "planes/a.csv")
