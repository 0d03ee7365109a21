"""Which changes of columns are let through."""

from __future__ import annotations

from itertools import product

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.datasets.entities import Column
from everloop.datasets.evolution import fitted, require_compatible, widened
from everloop.datasets.text import arrow_type, type_name
from everloop.kernel.errors import InvalidInput

INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
KINDS = [
    *INTEGERS,
    pa.null(),
    pa.bool_(),
    pa.string(),
    pa.float32(),
    pa.float64(),
    pa.date32(),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
    pa.decimal128(10, 2),
]


@pytest.mark.parametrize("kind", [*KINDS, pa.timestamp("ns", "Europe/Riga"), pa.time64("us"), pa.duration("us")])
def test_a_plain_type_is_found_by_its_name(kind: pa.DataType) -> None:
    assert arrow_type(type_name(kind)) == kind


def test_types_that_hold_types_are_not_looked_for() -> None:
    assert arrow_type(type_name(pa.list_(pa.int64()))) is None


@pytest.mark.parametrize(("one", "other"), list(product(KINDS, KINDS)))
def test_widening_does_not_depend_on_the_order_and_stays(one: pa.DataType, other: pa.DataType) -> None:
    wider = widened(one, other)
    assert wider == widened(other, one)
    if wider is not None:
        assert widened(wider, one) == widened(wider, other) == wider


@given(st.sampled_from(INTEGERS), st.sampled_from(INTEGERS), st.data())
def test_a_wider_integer_holds_the_values_of_both(one: pa.DataType, other: pa.DataType, data: st.DataObject) -> None:
    wider = widened(one, other)
    for kind in (one, other):
        signed = pa.types.is_signed_integer(kind)
        least, most = (-(2 ** (kind.bit_width - 1)) if signed else 0), 2 ** (kind.bit_width - signed) - 1
        value = data.draw(st.sampled_from([least, most]) | st.integers(least, most))
        if wider is not None:
            assert pa.scalar(value, kind).cast(wider).as_py() == value


@pytest.mark.parametrize(
    ("before", "after"),
    [(pa.int64(), pa.string()), (pa.int64(), pa.int32()), (pa.string(), pa.int64()), (pa.date32(), pa.timestamp("us"))],
)
def test_a_column_that_gets_narrower_or_other_is_refused(before: pa.DataType, after: pa.DataType) -> None:
    with pytest.raises(InvalidInput, match=r"n was .* and is"):
        require_compatible([Column("n", type_name(before))], pa.table({"n": pa.array([], after)}), "t")


def test_new_and_wider_columns_pass() -> None:
    before = [Column("n", "int32"), Column("m", "null"), Column("x", "float32")]
    require_compatible(before, pa.table({"x": [1.5], "new": ["a"], "n": [1], "m": ["text"]}), "t")


def test_every_column_that_is_gone_is_named() -> None:
    with pytest.raises(InvalidInput, match="a is gone, b is gone"):
        require_compatible([Column("a", "int64"), Column("b", "int64")], pa.table({"c": [1]}), "t")


class TestFitting:
    def test_rows_take_the_order_and_types_of_the_columns(self) -> None:
        rows = pa.table({"new": [True], "n": pa.array([1], pa.int64())})
        found = fitted(rows, [Column("n", "int16")], "t", "compatible")
        assert found.schema == pa.schema([("n", pa.int16()), ("new", pa.bool_())])

    def test_values_that_are_too_large_widen_the_column(self) -> None:
        found = fitted(pa.table({"n": [2**40]}), [Column("n", "int16")], "t", "compatible")
        assert found.schema.field("n").type == pa.int64()

    def test_nanoseconds_that_are_whole_microseconds_fit(self) -> None:
        stamps = pa.array([1_000], pa.timestamp("ns"))
        found = fitted(pa.table({"t": stamps}), [Column("t", "timestamp[us]")], "t", "compatible")
        assert found["t"].cast(pa.int64()).to_pylist() == [1]

    def test_nanoseconds_that_would_be_lost_are_refused(self) -> None:
        stamps = pa.array([1_001], pa.timestamp("ns"))
        with pytest.raises(InvalidInput, match=r"Column 't' of x is timestamp\[us\]"):
            fitted(pa.table({"t": stamps}), [Column("t", "timestamp[us]")], "x", "compatible")

    def test_times_without_a_zone_are_no_times_with_one(self) -> None:
        stamps = pa.array([1], pa.timestamp("us"))
        with pytest.raises(InvalidInput, match="in the rows it is"):
            fitted(pa.table({"t": stamps}), [Column("t", "timestamp[us, tz=UTC]")], "x", "compatible")
