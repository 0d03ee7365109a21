"""References stand for files elsewhere: they are written the same each time, and tell when a file has changed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.datasets.remotes.sources import Reference, decoded, encoded, same
from everloop.kernel.errors import InvalidInput

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
REFERENCES = st.builds(Reference, TEXT, TEXT, st.integers(0, 2**62), TEXT, TEXT)
FILE = Reference("s3://bucket/data", "a/b.csv", 10, "etag-1", "v1")


def changed(**fields: object) -> Reference:
    return msgspec.structs.replace(FILE, **fields)


@given(REFERENCES)
def test_a_reference_is_read_as_it_was_written(reference: Reference) -> None:
    assert decoded(encoded(reference), "x") == reference


def test_what_is_not_known_is_not_written() -> None:
    assert (
        encoded(Reference("file:///x", "a", 1))
        == b'{"everloop":"reference/1","origin":"file:///x","path":"a","size":1}'
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a,b\n1,2\n",
        b"{}",
        b'{"everloop":"commit/1"}',
        b'{"everloop":"reference/1","origin":5}',
        b'{"origin":"a","path":"b","size":1}',
        b"\xff\x00",
    ],
)
def test_bytes_of_a_file_are_no_reference(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"'a/b\.csv' holds bytes") as refused:
        decoded(data, "a/b.csv")
    assert "datasets.import_url" in refused.value.hint


class TestChanges:
    @pytest.mark.parametrize("now", [FILE, changed(origin="https://mirror"), changed(path="other")])
    def test_where_a_file_is_does_not_change_it(self, now: Reference) -> None:
        assert same(FILE, now)

    @pytest.mark.parametrize("now", [changed(size=11), changed(tag="etag-2"), changed(tag=""), changed(version="v2")])
    def test_size_tag_or_version_tell(self, now: Reference) -> None:
        assert not same(FILE, now)

    def test_a_version_that_was_not_kept_before_says_nothing(self) -> None:
        assert same(changed(version=""), FILE)

    def test_without_a_tag_only_the_size_is_compared(self) -> None:
        before = Reference("https://host", "a", 10)
        assert same(before, msgspec.structs.replace(before))
        assert not same(before, msgspec.structs.replace(before, size=9))

    @given(REFERENCES)
    def test_what_did_not_change_is_the_same(self, reference: Reference) -> None:
        assert same(reference, reference)
