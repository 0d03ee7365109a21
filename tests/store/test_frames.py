"""Frames: objects as packs hold them, checked when read, found again when packs move, written some packs at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import Corrupted, NotFound, Unavailable
from everloop.store import chunks, packs
from everloop.store.chunks import Recipe
from everloop.store.entities import Digest
from everloop.store.frames import Frame, FrameWriter, PackDraft, frames_of, opened, salvaged
from everloop.store.packs import MAGIC, RAW, RECIPE, TREE, WHOLE, ZSTD
from everloop.store.service import Store
from tests.datasets.remotes.memory import MemoryBlobs

TEXT = b"2013-01-01,JFK\n" * 100


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def store(blobs: MemoryBlobs) -> Store:
    return Store(blobs)


@pytest.fixture
def writer(store: Store) -> Iterator[FrameWriter]:
    fresh = FrameWriter(store.objects)
    yield fresh
    fresh.close()


def frame(data: bytes, kind: int = WHOLE) -> Frame:
    return Frame(blake3(data).digest(), len(data), RAW, kind, data)


def packed(store: Store, *contents: bytes) -> list[bytes]:
    """The addresses of objects that are in one pack."""
    with store.bulk() as bulk:
        return [bytes.fromhex(bulk.put(data)) for data in contents]


def pack_key(blobs: MemoryBlobs) -> str:
    (key,) = [key for key in blobs.kept if key.startswith("packs/")]
    return key


def spoil(blobs: MemoryBlobs, key: str, at: int) -> None:
    """Flip a bit of what is kept under a key."""
    data, when = blobs.kept[key]
    blobs.kept[key] = (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], when)


class TestOpening:
    def test_a_frame_has_the_bytes_of_its_address(self) -> None:
        assert opened(frame(b"one")) == b"one"

    @pytest.mark.parametrize(
        "wrong",
        [
            frame(b"one")._replace(stored=b"two"),
            frame(b"one")._replace(digest=b"\1" * 32),
            frame(b"one")._replace(size=4),
            frame(b"one")._replace(codec=ZSTD),
            frame(b"one")._replace(codec=9),
            frame(b"one", RECIPE),
        ],
    )
    def test_what_is_in_it_otherwise_is_refused_by_address(self, wrong: Frame) -> None:
        with pytest.raises(Corrupted, match=f"Object {wrong.digest.hex()} is damaged: ") as caught:
            opened(wrong)
        assert caught.value.hint

    def test_a_recipe_is_known_by_its_form_alone(self) -> None:
        recipe = chunks.encode(Recipe(chunks.FASTCDC_64K, 3, b"d" * 32, b"\3\0\0\0"))
        assert opened(frame(recipe, RECIPE)._replace(digest=b"\1" * 32)) == recipe


class TestReading:
    def test_objects_are_had_from_packs_and_one_by_one(self, store: Store) -> None:
        raws = [*packed(store, b"one", TEXT), bytes.fromhex(store.put(b"loose"))]
        found = {each.digest: opened(each) for each in frames_of(store.objects, raws)}
        assert found == dict(zip(raws, (b"one", TEXT, b"loose"), strict=True))

    def test_each_is_given_once(self, store: Store) -> None:
        raws = packed(store, b"one", b"two")
        assert len(list(frames_of(store.objects, raws * 3))) == 2

    def test_of_nothing_nothing_is_read(self, store: Store, blobs: MemoryBlobs) -> None:
        packed(store, b"one")
        before = len(blobs.requests)
        assert list(frames_of(store.objects, [])) == []
        assert len(blobs.requests) == before

    def test_what_was_compressed_stays_so(self, store: Store) -> None:
        (raw,) = packed(store, TEXT)
        (found,) = frames_of(store.objects, [raw])
        assert (found.codec, found.size) == (ZSTD, len(TEXT))
        assert len(found.stored) < len(TEXT) // 4

    def test_a_loose_object_is_compressed_for_its_pack(self, store: Store) -> None:
        (found,) = frames_of(store.objects, [bytes.fromhex(store.put(TEXT))])
        assert (found.codec, opened(found)) == (ZSTD, TEXT)

    def test_folders_are_told_from_files(self, store: Store) -> None:
        raws = [bytes.fromhex(store.put_tree([])), bytes.fromhex(store.put(b"file"))]
        assert {each.digest: each.kind for each in frames_of(store.objects, raws)} == dict(
            zip(raws, (TREE, WHOLE), strict=True)
        )

    def test_what_is_not_there_is_named(self, store: Store) -> None:
        packed(store, b"one")
        with pytest.raises(NotFound, match="07" * 32):
            list(frames_of(store.objects, [b"\7" * 32]))

    def test_damage_is_named_with_where_it_lies(self, store: Store, blobs: MemoryBlobs) -> None:
        (raw,) = packed(store, b"some words that are kept")
        spoil(blobs, pack_key(blobs), len(MAGIC) + 2)
        with pytest.raises(Corrupted, match=f"In {pack_key(blobs)}: Object {raw.hex()} is damaged"):
            list(frames_of(store.objects, [raw]))

    def test_what_was_moved_to_another_pack_meanwhile_is_found_there(self, store: Store, blobs: MemoryBlobs) -> None:
        raws = packed(store, b"one", b"two")
        old = pack_key(blobs)
        other = Store(blobs)
        moving = FrameWriter(other.objects)
        for each in [*frames_of(other.objects, raws), frame(b"three")]:
            moving.add(each)
        moving.flush()
        moving.close()
        blobs.delete(old)
        assert {opened(each) for each in frames_of(store.objects, raws)} == {b"one", b"two"}

    def test_what_is_whole_beside_damage_is_salvaged(self, store: Store, blobs: MemoryBlobs) -> None:
        raws = packed(store, b"first words", b"second words", b"third words")
        (pack,) = {place.pack for place in store.objects.index.find(raws).values()}
        spoil(blobs, pack_key(blobs), len(MAGIC) + 1)
        found = {bytes(each.stored) for each in salvaged(store.objects, pack, set())}
        assert len(found) == 2
        assert found < {b"first words", b"second words", b"third words"}
        but = {blake3(data).digest() for data in found}
        assert list(salvaged(store.objects, pack, but)) == []


class TestDrafts:
    def test_a_draft_is_a_pack_of_what_was_added(self) -> None:
        draft = PackDraft()
        for data in (b"one", b"", b"three"):
            draft.add(frame(data))
        name, payload = draft.finished()
        rows = packs.read_footer(lambda start, length: bytes(payload[start : start + length]), len(payload), name)
        assert {row.digest: payload[row.offset : row.offset + row.stored] for row in rows} == {
            blake3(data).digest(): data for data in (b"one", b"", b"three")
        }

    def test_it_is_full_when_it_has_the_size_of_a_pack(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packs, "TARGET", 100)
        draft = PackDraft()
        draft.add(frame(b"x" * 93))
        assert not draft.full
        draft.add(frame(b"y"))
        assert draft.full

    def test_equal_contents_make_equal_names(self) -> None:
        one, other = PackDraft(), PackDraft()
        for data in (b"a", b"b"):
            one.add(frame(data))
            other.add(frame(data))
        assert one.finished() == other.finished()


class TestWriting:
    def test_what_was_flushed_is_there_for_all(self, writer: FrameWriter, blobs: MemoryBlobs) -> None:
        writer.add(frame(b"one"))
        assert not any(key.startswith("packs/") for key in blobs.kept)
        writer.flush()
        assert Store(blobs).get(Digest(blake3(b"one").hexdigest())) == b"one"

    def test_flushing_nothing_writes_nothing(self, writer: FrameWriter, blobs: MemoryBlobs) -> None:
        writer.flush()
        writer.flush()
        assert blobs.kept == {}
        assert writer.names == set()

    def test_folders_have_packs_of_their_own(self, writer: FrameWriter, store: Store, blobs: MemoryBlobs) -> None:
        writer.add(frame(b"one"))
        writer.add(next(frames_of(store.objects, [bytes.fromhex(store.put_tree([]))])))
        writer.flush()
        assert len(writer.names) == len([key for key in blobs.kept if key.startswith("packs/")]) == 2

    def test_a_full_pack_goes_on_its_way(
        self, store: Store, blobs: MemoryBlobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(packs, "TARGET", 1000)
        told: list[tuple[int, int]] = []
        writer = FrameWriter(store.objects, lambda objects, size: told.append((objects, size)))
        contents = [os.urandom(400) for _ in range(20)]
        for data in contents:
            writer.add(frame(data))
        writer.flush()
        writer.close()
        assert sum(objects for objects, _ in told) == 20
        assert len(told) == len(writer.names) == 7
        assert all(store.get(Digest(blake3(data).hexdigest())) == data for data in contents)

    def test_a_write_that_fails_is_said_at_the_flush(
        self, store: Store, blobs: MemoryBlobs, writer: FrameWriter
    ) -> None:
        def lost(key: str, data: bytes) -> None:
            raise Unavailable("The line went dead.")

        blobs.put = lost  # type: ignore[method-assign,assignment]
        writer.add(frame(b"one"))
        with pytest.raises(Unavailable):
            writer.flush()
        assert store.objects.missing({blake3(b"one").digest()})

    @pytest.mark.parametrize("replace", [True, False])
    def test_a_damaged_pack_of_the_same_name_is_written_again_when_told_to(self, tmp_path: Path, replace: bool) -> None:
        store = Store(FolderBlobs(tmp_path))
        kept = list(frames_of(store.objects, packed(store, b"some words that are kept")))
        (path,) = [found for found in (tmp_path / "packs").rglob("*") if found.is_file()]
        good = path.read_bytes()
        path.chmod(0o600)
        path.write_bytes(good.replace(b"words", b"sword"))
        writer = FrameWriter(store.objects, replace=replace)
        writer.add(kept[0])
        writer.flush()
        writer.close()
        assert (path.read_bytes() == good) is replace
