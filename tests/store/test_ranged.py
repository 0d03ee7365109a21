"""Large objects are read where they are needed, and each piece is verified."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import Corrupted, NotFound
from everloop.store.chunks import WHOLE
from everloop.store.ranged import ObjectFile, opened
from everloop.store.service import Store, digest_of

CONTENT = np.random.default_rng(1).bytes(3 * WHOLE)
PLACES = st.integers(0, len(CONTENT) + 10)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> ObjectFile:
    store = Store(FolderBlobs(tmp_path_factory.mktemp("store")))
    found = opened(store, store.put(CONTENT))
    assert isinstance(found, ObjectFile)
    return found


class TestAFile:
    @given(start=PLACES, size=st.integers(-1, 400_000), ahead=st.lists(st.tuples(PLACES, PLACES), max_size=4))
    def test_any_part_is_that_of_the_bytes(
        self, large: ObjectFile, start: int, size: int, ahead: list[tuple[int, int]]
    ) -> None:
        large.prefetch((min(pair), min(max(pair), len(CONTENT))) for pair in ahead if min(pair) < len(CONTENT))
        plain = io.BytesIO(CONTENT)
        assert large.seek(start) == plain.seek(start)
        assert large.read(size) == plain.read(size)
        assert large.tell() == plain.tell()

    def test_it_goes_to_its_end_and_on_from_where_it_is(self, large: ObjectFile) -> None:
        assert (large.readable(), large.seekable(), large.seek(-4, io.SEEK_END)) == (True, True, len(CONTENT) - 4)
        assert (large.read(10), large.read(10)) == (CONTENT[-4:], b"")
        large.seek(10)
        large.seek(5, io.SEEK_CUR)
        buffer = bytearray(3)
        assert (large.readinto(buffer), bytes(buffer)) == (3, CONTENT[15:18])

    def test_what_was_fetched_ahead_is_not_fetched_again(
        self, large: ObjectFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        large.prefetch([(100, 200_000), (WHOLE, WHOLE + 1)])
        monkeypatch.setattr(large, "_objects", None)
        large.seek(100)
        assert large.read(199_900) == CONTENT[100:200_000]
        large.seek(WHOLE)
        assert large.read(1) == CONTENT[WHOLE : WHOLE + 1]


def test_a_small_object_is_its_bytes(tmp_path: Path) -> None:
    store = Store(FolderBlobs(tmp_path))
    assert opened(store, store.put(b"small")) == b"small"


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        opened(Store(FolderBlobs(tmp_path)), digest_of(b"never"))


def test_a_damaged_chunk_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    store = Store(FolderBlobs(tmp_path))
    digest = store.put(CONTENT)
    pack = max(tmp_path.rglob("packs/*/*"), key=lambda path: path.stat().st_size)
    data = bytearray(pack.read_bytes())
    data[data.find(CONTENT[WHOLE : WHOLE + 64])] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(data)
    file = opened(store, digest)
    assert isinstance(file, ObjectFile)
    assert file.read(1000) == CONTENT[:1000]
    file.seek(WHOLE)
    with pytest.raises(Corrupted):
        file.read(1)
