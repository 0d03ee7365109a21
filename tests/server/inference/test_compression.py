"""Packed bodies: what is packed is unpacked, and never more than the limit."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput, TooLarge
from everloop.server.inference.compression import WORTHWHILE, compressed, expanded

LIMIT = 1 << 20


@given(st.binary(), st.sampled_from(["gzip", "deflate"]))
def test_what_is_packed_is_unpacked(body: bytes, encoding: str) -> None:
    packed, name = compressed(body + bytes(WORTHWHILE), encoding)
    assert name == encoding
    assert expanded(packed, name, LIMIT) == body + bytes(WORTHWHILE)


@given(st.binary(min_size=1), st.sampled_from(["gzip", "deflate"]))
def test_strange_bytes_are_unpacked_or_refused_and_nothing_else(body: bytes, encoding: str) -> None:
    try:
        assert isinstance(expanded(body, encoding, LIMIT), bytes)
    except InvalidInput:
        return


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_refused_before_it_is_unpacked(encoding: str) -> None:
    packed = (gzip.compress if encoding == "gzip" else zlib.compress)(bytes(64 << 20))
    with pytest.raises(TooLarge, match="1 MB"):
        expanded(packed, encoding, LIMIT)


def test_many_small_files_are_one_bomb_too() -> None:
    with pytest.raises(TooLarge):
        expanded(gzip.compress(bytes(100_000)) * 20, "gzip", LIMIT)


def test_files_of_gzip_after_one_another_are_one() -> None:
    assert expanded(gzip.compress(b"one ") + gzip.compress(b"other"), "gzip", LIMIT) == b"one other"


def test_exactly_the_limit_is_let_in() -> None:
    assert len(expanded(zlib.compress(bytes(LIMIT)), "deflate", LIMIT)) == LIMIT


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "zip"])
def test_an_encoding_that_nobody_knows_is_refused_by_name(encoding: str) -> None:
    with pytest.raises(InvalidInput, match=encoding):
        expanded(b"", encoding, LIMIT)


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "gzip; q=0.0"])
def test_who_does_not_want_it_gets_it_unpacked(accepted: str) -> None:
    assert compressed(bytes(10_000), accepted) == (bytes(10_000), "")


def test_what_fits_into_a_packet_is_not_packed() -> None:
    assert compressed(bytes(WORTHWHILE - 1), "gzip") == (bytes(WORTHWHILE - 1), "")


def test_many_files_of_nothing_are_refused_soon() -> None:
    with pytest.raises(InvalidInput, match="more than 64 files"):
        expanded(gzip.compress(b"") * 100_000, "gzip", 1 << 20)
