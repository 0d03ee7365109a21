"""Packs from somebody who need not be trusted."""

from __future__ import annotations

import contextlib
import os
import struct

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput, NotFound, TooLarge
from everloop.store import chunks, packs, trees
from everloop.store.chunks import WHOLE as MOST
from everloop.store.chunks import Recipe
from everloop.store.entities import Digest, Entry
from everloop.store.frames import Frame, PackDraft
from everloop.store.packs import MAGIC, RAW, RECIPE, TREE, WHOLE, ZSTD, Row
from everloop.store.parcels import MOST_BYTES, MOST_NAMED, frames_in, parcel, raws_in, receive
from everloop.store.service import Store
from tests.datasets.remotes.memory import MemoryBlobs


@pytest.fixture
def store() -> Store:
    return Store(MemoryBlobs())


def frame(data: bytes, kind: int = WHOLE, digest: bytes = b"") -> Frame:
    return Frame(digest or blake3(data).digest(), len(data), RAW, kind, data)


def pack(*frames: Frame) -> bytes:
    draft = PackDraft()
    for each in frames:
        draft.add(each)
    return bytes(draft.finished()[1])


def forged(rows: list[Row], payload: bytes = b"0123456789") -> bytes:
    """A pack whose footer says what a test wants."""
    return MAGIC + payload + packs.footer(rows)[0]


def folder(*entries: Entry) -> Frame:
    return frame(trees.encode(entries), TREE)


def test_what_is_in_a_pack_is_kept(store: Store) -> None:
    received = receive(store.objects, pack(frame(b"one"), frame(b"two"), frame(b"")))
    assert (received.objects, received.there) == (3, 0)
    assert store.get(Digest(blake3(b"one").hexdigest())) == b"one"


def test_what_is_there_is_not_kept_again(store: Store) -> None:
    receive(store.objects, pack(frame(b"one")))
    before = store.stats()
    assert receive(store.objects, pack(frame(b"one"))).there == 1
    assert store.stats() == before


def test_a_large_object_comes_as_chunks_and_a_recipe(store: Store) -> None:
    data = os.urandom(3 << 20)
    other = Store(MemoryBlobs())
    digest = other.put(data)
    raws = [bytes.fromhex(each) for each in other.digests()]
    receive(store.objects, parcel(other.objects, raws))
    assert store.get(digest) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not begin"),
        (b"no pack at all", "does not begin"),
        (MAGIC, "cut off"),
        (pack(frame(b"one"))[:-1], "cut off"),
        (pack(frame(b"one"))[:-60] + b"x" + pack(frame(b"one"))[-59:], "cut off or damaged"),
        (pack(frame(b"one", digest=b"\1" * 32)), "other bytes"),
        (forged([Row(b"\1" * 32, 6, 5, 5, RAW, WHOLE), Row(b"\2" * 32, 8, 5, 5, RAW, WHOLE)]), "overlap"),
        (forged([Row(b"\1" * 32, 0, 5, 5, RAW, WHOLE)]), "before its first byte"),
        (forged([Row(b"\1" * 32, 6, 500, 500, RAW, WHOLE)]), "reach into its footer"),
        (forged([Row(b"\1" * 32, 2**63, 5, 5, RAW, WHOLE)]), "reach into its footer"),
        (forged([Row(b"\1" * 32, 6, 5, 5, 7, WHOLE)]), "not known"),
        (forged([Row(b"\1" * 32, 6, 5, 5, RAW, 9)]), "not known"),
        (forged([Row(b"\1" * 32, 6, 5, 6, RAW, WHOLE)]), "5 bytes are stored"),
        (forged([Row(b"\1" * 32, 6, 10, 10, ZSTD, WHOLE)]), "cannot be read"),
        (pack(frame(b"one", TREE)), "another kind"),
        (pack(frame(trees.encode(()), WHOLE)), "another kind"),
        (pack(frame(b"no recipe", RECIPE)), "recipe"),
        (pack(frame(chunks.encode(Recipe(chunks.FASTCDC_64K, 0, b"d" * 8, b"\0")), RECIPE)), "do not add up"),
    ],
)
def test_a_hostile_pack_is_refused_and_leaves_nothing(store: Store, data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        receive(store.objects, data)
    assert store.stats().objects == 0


def test_names_out_of_order_or_twice_are_refused() -> None:
    row = Row(blake3(b"0").digest(), 6, 1, 1, RAW, WHOLE)
    table = struct.pack("<32sQIIBB", *row) * 2
    twice = MAGIC + b"0" + table + struct.pack("<32sI6s", blake3(table).digest(), len(table), MAGIC)
    with pytest.raises(InvalidInput, match="twice"):
        frames_in(twice)


def test_a_bomb_is_refused_before_it_is_opened(store: Store) -> None:
    import zstandard

    zeros = zstandard.ZstdCompressor().compress(bytes(64 << 20))
    raw = blake3(bytes(64 << 20)).digest()
    with pytest.raises(TooLarge, match="claims to have"):
        receive(store.objects, pack(Frame(raw, 64 << 20, ZSTD, WHOLE, zeros)))
    with pytest.raises(InvalidInput, match="another size"):
        receive(store.objects, pack(Frame(raw, 100, ZSTD, WHOLE, zeros)))


def test_a_pack_that_is_too_large_is_refused() -> None:
    with pytest.raises(TooLarge, match="48 MB"):
        frames_in(bytes(MOST_BYTES + 1))


def test_a_folder_of_things_that_are_not_here_is_refused(store: Store) -> None:
    absent = Entry("gone", "file", Digest("1" * 64), 3)
    with pytest.raises(InvalidInput, match="names 1 objects"):
        receive(store.objects, pack(folder(absent)))


def test_a_folder_and_what_it_names_may_come_together(store: Store) -> None:
    file = frame(b"one")
    inner = folder(Entry("one", "file", Digest(file.digest.hex()), 3))
    outer = folder(Entry("inner", "folder", Digest(inner.digest.hex()), 3))
    receive(store.objects, pack(outer, inner, file))
    assert [entry.path for entry in store.tree(Digest(outer.digest.hex()))] == ["inner/one"]


def recipe_of(data: bytes, digest: bytes) -> Frame:
    piece = blake3(data).digest()
    recipe = Recipe(chunks.FASTCDC_64K, len(data), piece, len(data).to_bytes(4, "little"))
    return frame(chunks.encode(recipe), RECIPE, digest)


def test_a_recipe_for_something_else_does_not_take_its_address(store: Store) -> None:
    """Otherwise somebody could keep others from ever storing what has that address."""
    with pytest.raises(InvalidInput, match="do not add up"):
        receive(store.objects, pack(frame(b"chunk"), recipe_of(b"chunk", b"\1" * 32)))
    assert not store.has(Digest("01" * 32))


def test_a_recipe_without_its_chunks_is_refused(store: Store) -> None:
    with pytest.raises(InvalidInput, match="not here"):
        receive(store.objects, pack(recipe_of(b"chunk", blake3(b"chunk").digest())))


def test_a_parcel_holds_what_fits_and_the_rest_is_asked_for_again() -> None:
    store = Store(MemoryBlobs())
    with store.bulk() as bulk:
        raws = [bytes.fromhex(bulk.put(os.urandom(MOST))) for _ in range(40)]
    first = {each.digest for each in frames_in(parcel(store.objects, raws))}
    rest = {each.digest for each in frames_in(parcel(store.objects, set(raws) - first))}
    assert 0 < len(first) < 40
    assert first | rest == set(raws)


def test_what_is_not_there_cannot_be_sent(store: Store) -> None:
    with pytest.raises(NotFound, match="01" * 32):
        parcel(store.objects, [b"\1" * 32])


def test_addresses_come_32_bytes_each() -> None:
    assert raws_in(b"\1" * 32 + b"\2" * 32) == [b"\1" * 32, b"\2" * 32]
    for body in (b"\1" * 33, bytes(32 * (MOST_NAMED + 1))):
        with pytest.raises(InvalidInput, match="list of addresses"):
            raws_in(body)


@given(st.binary(max_size=300), st.binary(max_size=40), st.integers(0, 300))
def test_whatever_is_sent_is_kept_as_it_is_or_refused(content: bytes, noise: bytes, at: int) -> None:
    store, whole = Store(MemoryBlobs()), pack(frame(content), frame(b"other"))
    sent = whole[:at] + noise + whole[at + len(noise) :]
    with contextlib.suppress(InvalidInput):
        receive(store.objects, sent)
    assert store.verify() == []
