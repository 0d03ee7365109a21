"""The pack format: frozen, so that a pack of the first day is readable for ever."""

from __future__ import annotations

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import Corrupted
from everloop.store import packs
from everloop.store.packs import MAGIC, RAW, TREE, WHOLE, ZSTD, Row, footer, key, name_of, read_footer

digests = st.binary(min_size=32, max_size=32)
counts = st.integers(0, 2**32 - 1)
rows = st.lists(
    st.builds(Row, digests, st.integers(0, 2**64 - 1), counts, counts, st.sampled_from([RAW, ZSTD]), st.integers(0, 2)),
    unique_by=lambda row: row.digest,
)


def read(pack: bytes, name: bytes) -> list[Row]:
    return read_footer(lambda start, length: pack[start : start + length], len(pack), name)


@given(rows)
def test_what_is_listed_is_read_back_by_digest(listed: list[Row]) -> None:
    table, name = footer(listed)
    assert read(MAGIC + b"payloads" + table, name) == sorted(listed)


def test_a_footer_that_names_an_object_twice_is_refused() -> None:
    # No store writes one; one that a stranger put at a shared place must not stop all who look there.
    table, name = footer([Row(blake3(b"0").digest(), 6, 1, 1, RAW, WHOLE)] * 2)
    with pytest.raises(Corrupted, match="twice"):
        read(MAGIC + b"0" + table, name)


def test_a_long_table_is_read_in_two_reads() -> None:
    listed = [Row(blake3(b"%d" % n).digest(), n, 1, 1, RAW, WHOLE) for n in range(5_000)]
    table, name = footer(listed)
    pack, reads = MAGIC + table, []

    def counted(start: int, length: int) -> bytes:
        reads.append((start, length))
        return pack[start : start + length]

    assert read_footer(counted, len(pack), name) == sorted(listed)
    assert len(reads) == 2


@given(rows, st.data())
def test_a_pack_that_is_cut_off_anywhere_is_refused(listed: list[Row], data: st.DataObject) -> None:
    table, name = footer(listed)
    pack = MAGIC + b"payloads" + table
    with pytest.raises(Corrupted, match="cut off"):
        read(pack[: data.draw(st.integers(0, len(pack) - 1))], name)


@given(rows, st.data())
def test_a_footer_with_any_flipped_bit_is_refused(listed: list[Row], data: st.DataObject) -> None:
    table, name = footer(listed)
    torn = bytearray(MAGIC + table)
    at = data.draw(st.integers(len(MAGIC), len(torn) - 1))
    torn[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Corrupted, match=name.hex()[2:]):
        read(bytes(torn), name)


def test_a_pack_under_the_name_of_another_is_refused() -> None:
    table, _ = footer([Row(bytes(32), 6, 1, 1, RAW, WHOLE)])
    with pytest.raises(Corrupted):
        read(MAGIC + b"x" + table, bytes(32))


def test_the_key_of_a_pack_tells_its_name() -> None:
    name = blake3(b"table").digest()
    assert key(name).startswith(f"packs/{name.hex()[:2]}/")
    assert name_of(key(name)) == name
    assert name_of("packs/ab/cdef") is None
    assert name_of("staging/tmpabc") is None


def test_numbers_of_the_format_are_as_they_were() -> None:
    assert (RAW, ZSTD, WHOLE, packs.RECIPE, TREE, MAGIC) == (0, 1, 0, 1, 2, b"ELPK1\n")
