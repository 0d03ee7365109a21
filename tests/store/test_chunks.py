"""Chunks are cut by content, and a recipe is believed only when it adds up."""

from __future__ import annotations

import contextlib
import io
from random import Random

import msgspec
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import Corrupted
from everloop.store import chunks
from everloop.store.chunks import AVERAGE, FASTCDC_64K, Recipe, chunked, chunked_stream, decode, encode

NOISE = Random(7).randbytes(3 << 20)


def recipe_of(data: bytes) -> Recipe:
    pieces = list(chunked(memoryview(data)))
    digests = b"".join(blake3(piece).digest() for piece in pieces)
    return Recipe(FASTCDC_64K, len(data), digests, b"".join(len(piece).to_bytes(4, "little") for piece in pieces))


class TestCutting:
    def test_loses_nothing(self) -> None:
        assert b"".join(chunked(memoryview(NOISE))) == NOISE

    def test_makes_pieces_of_bounded_size(self) -> None:
        *inner, last = [len(piece) for piece in chunked(memoryview(NOISE))]
        assert min(inner) >= AVERAGE // 4
        assert max(*inner, last) <= AVERAGE * 4

    def test_an_edit_changes_only_the_pieces_around_it(self) -> None:
        before = {bytes(piece) for piece in chunked(memoryview(NOISE))}
        edited = NOISE[: 1 << 20] + b"a word" + NOISE[1 << 20 :]
        after = [bytes(piece) for piece in chunked(memoryview(edited))]
        assert sum(piece not in before for piece in after) <= 3

    @pytest.mark.parametrize("size", [0, 1, AVERAGE, (1 << 20) + 1, 3 << 20])
    def test_of_a_stream_is_that_of_the_whole(self, size: int) -> None:
        data = NOISE[:size]
        assert [bytes(piece) for piece in chunked_stream(io.BytesIO(data))] == [
            bytes(it) for it in chunked(memoryview(data))
        ]

    def test_of_a_stream_does_not_depend_on_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = [bytes(piece) for piece in chunked(memoryview(NOISE))]
        monkeypatch.setattr(chunks, "_BLOCK", 300_000)
        assert [bytes(piece) for piece in chunked_stream(io.BytesIO(NOISE))] == whole

    def test_a_reader_that_gives_little_at_a_time_is_fine(self) -> None:
        class Slow(io.BytesIO):
            def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
                return super().readinto(buffer[:100_000])

        data = NOISE[: 1 << 20]
        assert b"".join(chunked_stream(Slow(data))) == data


class TestRecipes:
    def test_come_back_as_they_were(self) -> None:
        recipe = recipe_of(NOISE)
        assert decode(encode(recipe)) == recipe
        assert sum(recipe.lengths) == len(NOISE)
        assert b"".join(recipe.chunks) == recipe.digests

    @pytest.mark.parametrize(
        "data", [b"", b"\xc1", b"no recipe", msgspec.msgpack.encode([1, 2]), msgspec.msgpack.encode({})]
    )
    def test_that_are_none_are_refused(self, data: bytes) -> None:
        with pytest.raises(Corrupted, match="The recipe of a large object is damaged"):
            decode(data)

    def test_of_a_later_version_say_so(self) -> None:
        with pytest.raises(Corrupted, match="A recipe has version 2") as caught:
            decode(encode(Recipe(2, 0, b"", b"")))
        assert caught.value.hint == "A newer Everloop may have written it."

    @pytest.mark.parametrize(
        ("size", "digests", "sizes"),
        [
            *((5, 32, b"\4\0\0\0"), (4, 33, b"\4\0\0\0"), (4, 0, b"\4\0\0\0"), (0, 32, b""), (-1, 0, b"")),
            *((4, 40, b"\4\0\0\0\0"), (0, 8, b"\0"), (0, 24, b"\0\0\0"), (4, 64, b"\4\0\0\0")),
        ],
    )
    def test_whose_chunks_do_not_add_up_are_refused(self, size: int, digests: int, sizes: bytes) -> None:
        with pytest.raises(Corrupted, match="do not add up"):
            decode(encode(Recipe(FASTCDC_64K, size, b"d" * digests, sizes)))

    @given(st.binary(max_size=60))
    def test_of_any_bytes_are_read_or_refused(self, data: bytes) -> None:
        try:
            recipe = decode(data)
        except Corrupted:
            return
        assert len(recipe.chunks) == len(recipe.lengths)

    @given(st.integers(), st.binary(max_size=100), st.binary(max_size=20))
    def test_of_any_fields_are_read_or_refused(self, size: int, digests: bytes, sizes: bytes) -> None:
        written = msgspec.msgpack.encode([FASTCDC_64K, size % (1 << 60), digests, sizes])
        with contextlib.suppress(Corrupted):
            assert sum(decode(written).lengths) == size % (1 << 60)
