"""Values that expectations name are read as the type of the column that they are compared with."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.datasets.quality.expectations import Value
from everloop.datasets.quality.literals import Family, bound, family, literal, unit
from everloop.datasets.text import type_name
from everloop.kernel.clock import EPOCH
from everloop.kernel.errors import InvalidInput

FAMILIES: list[tuple[pa.DataType, Family]] = [
    *((kind, "integer") for kind in (pa.int8(), pa.int64(), pa.uint16(), pa.uint64())),
    *((kind, "float") for kind in (pa.float16(), pa.float32(), pa.float64())),
    *((kind, "decimal") for kind in (pa.decimal128(9, 2), pa.decimal256(50, 3))),
    *((kind, "text") for kind in (pa.string(), pa.large_string(), pa.string_view())),
    *((kind, "date") for kind in (pa.date32(), pa.date64())),
    *((kind, "timestamp") for kind in (pa.timestamp("s"), pa.timestamp("ns", "Europe/Berlin"))),
    *((kind, "time") for kind in (pa.time32("s"), pa.time64("ns"))),
    (pa.duration("ms"), "duration"),
    (pa.bool_(), "bool"),
    *(
        (kind, "other")
        for kind in (pa.null(), pa.binary(), pa.list_(pa.int64()), pa.struct([("timestamp", pa.int8())]))
    ),
]
INSTANTS = st.integers(-(8 * 10**15), 8 * 10**15).map(lambda us: EPOCH + timedelta(microseconds=us))


@pytest.mark.parametrize(("kind", "of"), FAMILIES, ids=[str(kind) for kind, _ in FAMILIES])
def test_every_type_of_arrow_has_a_family(kind: pa.DataType, of: Family) -> None:
    assert family(type_name(kind)) == of


@pytest.mark.parametrize(
    ("kind", "nanoseconds"),
    [
        *(("timestamp[ns]", 1), ("timestamp[us, tz=UTC]", 1_000), ("time32[ms]", 1_000_000), ("duration[s]", 10**9)),
        *(("date32[day]", 86_400 * 10**9), ("date64[ms]", 1_000_000), ("int64", 1)),
    ],
)
def test_a_type_of_times_counts_in_steps(kind: str, nanoseconds: int) -> None:
    assert unit(kind) == nanoseconds


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "read"),
        [(7, 7), (7.0, 7), ("7", 7), (" +7 ", 7), ("-7", -7), ("1e3", 1000), (True, 1), ("true", 1), ("FALSE", 0)],
    )
    def test_are_read_as_whole_numbers(self, value: Value, read: int) -> None:
        assert literal(value, "int64") == read

    @pytest.mark.parametrize("value", [1.5, "1.5", "0.1", -0.25])
    def test_between_whole_ones_equal_none_of_them(self, value: Value) -> None:
        assert literal(value, "int32") is None
        assert bound(value, "int32") == Fraction(float(value))

    @given(st.integers(-(2**80), 2**80))
    def test_beyond_what_floats_hold_lose_no_digit(self, value: int) -> None:
        assert literal(value, "int64") == literal(str(value), "int64") == value

    @given(st.floats(allow_nan=False))
    def test_among_floats_stay_what_they_are(self, value: float) -> None:
        assert literal(value, "float64") == literal(repr(value), "float64") == value

    @pytest.mark.parametrize("kind", ["int64", "float64", "decimal128(9, 2)"])
    def test_may_be_without_end(self, kind: str) -> None:
        assert (literal("-inf", kind), literal(math.inf, kind)) == (-math.inf, math.inf)

    @pytest.mark.parametrize("value", ["one", "", "nan", math.nan, "0x10", "2013-01-01", "1 2"])
    @pytest.mark.parametrize("kind", ["int64", "float32", "bool", "decimal128(9, 2)"])
    def test_are_nothing_else(self, value: Value, kind: str) -> None:
        with pytest.raises(InvalidInput, match=f"cannot be read as {kind.partition('(')[0]}") as refused:
            literal(value, kind)
        assert refused.value.hint == "Write a number."

    def test_that_no_float_holds_are_refused(self) -> None:
        with pytest.raises(InvalidInput, match="cannot be read as float64"):
            literal(10**400, "float64")


class TestTexts:
    @pytest.mark.parametrize(("value", "read"), [("a", "a"), (1, "1"), (1.5, "1.5"), (True, "true"), (False, "false")])
    def test_are_read_from_anything(self, value: Value, read: str) -> None:
        assert literal(value, "string") == bound(value, "large_string") == read

    def test_are_not_trimmed(self) -> None:
        assert literal(" a ", "string") == " a "


class TestMoments:
    @given(INSTANTS, st.sampled_from(["us", "ns"]))
    def test_are_counted_as_arrow_counts_them(self, at: datetime, step: str) -> None:
        kind = pa.timestamp(step, "UTC")
        assert literal(at.isoformat(), type_name(kind)) == pa.scalar(at, kind).value

    @given(st.dates())
    def test_days_are_counted_as_arrow_counts_them(self, day: date) -> None:
        assert literal(str(day), "date32[day]") == pa.scalar(day, pa.date32()).cast(pa.int32()).as_py()

    @given(st.times(), st.integers(0, 999))
    def test_times_of_day_are_counted_to_the_nanosecond(self, at: time, nanoseconds: int) -> None:
        text = f"{at.isoformat('microseconds')}{nanoseconds:03}"
        whole = pa.scalar(at, pa.time64("ns")).cast(pa.int64()).as_py()
        assert literal(text, "time64[ns]") == whole + nanoseconds

    def test_without_a_zone_are_in_utc(self) -> None:
        zoned = [literal(text, "timestamp[s]") for text in ("2013-01-01T02:00", "2013-01-01T04:00+02:00")]
        assert zoned == [1_357_005_600, 1_357_005_600]

    def test_have_nanoseconds(self) -> None:
        moment = "1970-01-01T00:00:00.123456789Z"
        assert literal(moment, "timestamp[ns]") == 123_456_789
        assert literal("1970-01-01T00:00:00.1234567Z", "timestamp[ns]") == 123_456_700
        assert literal(moment, "timestamp[us]") is None
        assert bound(moment, "timestamp[us]") == Fraction(123_456_789, 1000)

    def test_between_two_steps_equal_neither(self) -> None:
        assert literal("2013-01-01T12:00:00Z", "date32[day]") is None
        assert literal("2013-01-01T00:00:00.5Z", "timestamp[s]") is None
        assert literal("1ms", "duration[s]") is None

    @pytest.mark.parametrize(("text", "seconds"), [("2h", 7200), ("1d 12h", 129_600), ("90s", 90), ("1500ms", None)])
    def test_spans_are_written_as_durations(self, text: str, seconds: int | None) -> None:
        assert literal(text, "duration[s]") == seconds

    @pytest.mark.parametrize(
        ("value", "kind", "hint"),
        [
            ("2013-02-30", "date32[day]", "Write days as 2013-01-31."),
            ("yesterday", "timestamp[us]", "Write times as 2013-01-31T08:00:00Z."),
            ("25:00", "time64[us]", "Write times of day as 08:00."),
            ("08:00+02:00", "time32[s]", "Write times of day as 08:00."),
            ("soon", "duration[s]", "Write spans as 2h or 1d 12h."),
            (5, "timestamp[us]", "Write times as 2013-01-31T08:00:00Z."),
            (5.5, "duration[us]", "Write spans as 2h or 1d 12h."),
            (True, "date32[day]", "Write days as 2013-01-31."),
        ],
    )
    def test_that_cannot_be_read_are_refused_with_how_to_write_them(self, value: Value, kind: str, hint: str) -> None:
        with pytest.raises(InvalidInput, match="cannot be read as") as refused:
            literal(value, kind)
        assert refused.value.hint == hint


@pytest.mark.parametrize("kind", ["binary", "list<item: int64>", "null"])
def test_with_other_types_nothing_can_be_compared(kind: str) -> None:
    with pytest.raises(InvalidInput, match=f"Values of type {kind} cannot be compared with 1"):
        bound(1, kind)


@given(st.timedeltas(timedelta(0), timedelta(days=10_000)))
def test_every_span_that_arrow_counts_can_be_written(span: timedelta) -> None:
    milliseconds = span // timedelta(milliseconds=1)
    assert literal(f"{milliseconds}ms", "duration[ms]") == milliseconds
