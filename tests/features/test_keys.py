"""Entity keys."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.features.keys import NULL, UNKNOWN, Keys, encode_key
from everloop.kernel.errors import InvalidInput

parts = st.text(max_size=6) | st.integers(-(2**63), 2**63 - 1)
pairs = st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from([1, 2, 3, None]))


def table_of(rows: list[tuple[str | None, int | None]]) -> pa.Table:
    """Rows with two key columns."""
    names, numbers = [name for name, _ in rows], [number for _, number in rows]
    return pa.table({"name": pa.array(names, pa.string()), "number": pa.array(numbers, pa.int64())})


@given(st.lists(pairs, max_size=20), st.lists(pairs, max_size=20))
def test_rows_have_one_code_exactly_when_their_keys_are_equal(
    source: list[tuple[str | None, int | None]], rows: list[tuple[str | None, int | None]]
) -> None:
    keys = Keys(table_of(source), ["name", "number"])
    known = {pair: code for pair, code in zip(source, keys.of_rows.tolist(), strict=True) if None not in pair}
    assert len(set(known.values())) == len(known) == keys.count
    expected = [NULL if None in pair else known.get(pair, UNKNOWN) for pair in rows]
    assert keys.codes(table_of(rows)).tolist() == expected


@given(st.lists(pairs, max_size=20))
def test_a_code_has_the_bytes_of_its_key(source: list[tuple[str | None, int | None]]) -> None:
    keys = Keys(table_of(source), ["name", "number"])
    for (name, number), code in zip(source, keys.of_rows.tolist(), strict=True):
        if name is not None and number is not None:
            assert keys.encoded(code) == encode_key([name, number])


@given(st.lists(parts, min_size=1, max_size=3), st.lists(parts, min_size=1, max_size=3))
def test_different_keys_have_different_bytes(one: list[str | int], two: list[str | int]) -> None:
    if len(one) == len(two):
        assert (encode_key(one) == encode_key(two)) == (one == two)


def test_a_number_is_no_text() -> None:
    assert encode_key(["7"]) != encode_key([7])


def test_three_key_columns_are_told_apart() -> None:
    columns = {"a": ["x", "x", "y", "y"], "b": [1, 2, 1, 2], "c": ["p", "q", "q", "p"]}
    keys = Keys(pa.table(columns), ["a", "b", "c"])
    assert sorted(keys.of_rows.tolist()) == [0, 1, 2, 3]
    asked = pa.table({"a": ["y", "y", None], "b": [2, 2, 2], "c": ["p", "q", "p"]})
    assert keys.codes(asked).tolist() == [keys.of_rows[3], UNKNOWN, NULL]
    assert keys.encoded(int(keys.of_rows[1])) == encode_key(["x", 2, "q"])


def test_a_fraction_is_no_key() -> None:
    keys = Keys(pa.table({"n": [1, 2]}), ["n"])
    with pytest.raises(InvalidInput, match="'n' cannot be read as int64"):
        keys.codes(pa.table({"n": [1.5]}))
