"""Compression only where it pays, and nothing believed that was stored."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import Corrupted
from everloop.store.compression import Compression, decoded
from everloop.store.packs import RAW, ZSTD


@given(st.binary(max_size=300), st.integers(1, 400))
def test_whatever_is_stored_comes_back(unit: bytes, times: int) -> None:
    data = unit * times
    codec, stored = Compression().stored(memoryview(data))
    assert decoded(codec, stored, len(data)) == data
    assert len(stored) <= len(data)


def test_text_shrinks_and_noise_is_left() -> None:
    assert Compression().stored(memoryview(b"2013-01-01,JFK\n" * 1000))[0] == ZSTD
    assert Compression().stored(memoryview(os.urandom(5_000)))[0] == RAW
    assert Compression().stored(memoryview(os.urandom(50_000)))[0] == RAW


def test_a_sample_decides_for_what_is_large() -> None:
    text = b"2013-01-01,JFK\n" * 10_000
    noise = os.urandom(len(text) // 2)
    assert Compression().stored(memoryview(noise + text + noise))[0] == ZSTD


def test_noise_soon_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    compression = Compression()
    smaller = compression._smaller

    def counted(data: memoryview) -> bytes | None:
        nonlocal looked
        looked += 1
        return smaller(data)

    monkeypatch.setattr(compression, "_smaller", counted)
    for _ in range(5_000):
        compression.stored(memoryview(os.urandom(200)))
    assert looked < 100


def test_text_after_noise_is_found_again() -> None:
    compression = Compression()
    for _ in range(1_000):
        compression.stored(memoryview(os.urandom(200)))
    codecs = [compression.stored(memoryview(b"text " * 100))[0] for _ in range(200)]
    assert codecs.count(ZSTD) > 130


@pytest.mark.parametrize("size", [0, 1, 499, 501, 1 << 40])
def test_a_size_that_is_not_the_stored_one_is_refused(size: int) -> None:
    _, stored = Compression().stored(memoryview(b"text " * 100))
    with pytest.raises(Corrupted):
        decoded(ZSTD, stored, size)
    with pytest.raises(Corrupted):
        decoded(RAW, b"x" * 500, size)


@pytest.mark.parametrize("codec", [ZSTD, 2, 255])
def test_bytes_that_no_codec_wrote_are_refused(codec: int) -> None:
    with pytest.raises(Corrupted):
        decoded(codec, b"not a frame", 11)
