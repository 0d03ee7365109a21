"""Segments of metric points, and which point is the latest."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from datetime import timedelta

import msgspec
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.clock import EPOCH, from_micros, micros
from everloop.kernel.errors import InvalidInput
from everloop.tracking import points as codec
from everloop.tracking.entities import MetricPoint, Points

LOGGED = st.builds(
    MetricPoint,
    st.sampled_from(["loss", "auc", "é", "a/b"]),
    st.floats(),
    st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, 3),
    st.integers(0, 1 << 50).map(from_micros) | st.just(EPOCH),
)
FEW = st.lists(LOGGED, max_size=20)
MANY = st.lists(LOGGED, min_size=65, max_size=200)


def columns(count: int, keys: tuple[str, ...] = ("loss",)) -> Points:
    step = struct.pack(f"<{count}q", *range(count))
    index = struct.pack(f"<{count}I", *(number % len(keys) for number in range(count)))
    return Points(keys, index, step, step, struct.pack(f"<{count}d", *range(count)))


def forged(header: object, body: bytes) -> bytes:
    """A segment whose digest is right, whatever it says."""
    head = msgspec.msgpack.encode(header)
    rest = struct.pack("<II", len(head), len(body)) + head + body
    return b"ELP1" + blake3(rest).digest(16) + rest


@given(FEW | MANY)
def test_a_segment_gives_back_its_points(logged: list[MetricPoint]) -> None:
    packed = codec.pack(codec.points_of(logged))
    assert repr(codec.metric_points(codec.unpack(packed))) == repr(logged)


@given(st.integers(0, 300), st.binary(min_size=8, max_size=8))
def test_every_bit_of_a_value_survives(count: int, bits: bytes) -> None:
    points = msgspec.structs.replace(columns(count), value=bits * count)
    assert codec.unpack(codec.pack(points)) == points


@given(st.lists(FEW, max_size=4))
def test_segments_that_stand_one_behind_the_other_are_read_one_by_one(logged: list[list[MetricPoint]]) -> None:
    segments = [codec.points_of(points) for points in logged]
    assert list(codec.unpack_all(b"".join(map(codec.pack, segments)))) == segments


def test_many_points_take_less_than_half_of_their_bytes() -> None:
    assert len(codec.pack(columns(10_000))) < 10_000 * 28 // 2


def test_one_point_takes_some_dozen_bytes() -> None:
    assert len(codec.pack(columns(1))) < 70


@given(FEW | MANY, st.data())
def test_a_segment_with_a_changed_bit_is_refused(logged: list[MetricPoint], data: st.DataObject) -> None:
    packed = bytearray(codec.pack(codec.points_of(logged)))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(InvalidInput):
        codec.unpack(bytes(packed))


@given(FEW | MANY, st.data())
def test_a_segment_that_was_cut_is_refused(logged: list[MetricPoint], data: st.DataObject) -> None:
    packed = codec.pack(codec.points_of(logged))
    with pytest.raises(InvalidInput):
        codec.unpack(packed[: data.draw(st.integers(0, len(packed) - 1))])


@given(st.binary(max_size=200))
def test_what_is_no_segment_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        codec.unpack(data)


def test_a_journal_tells_where_its_torn_end_begins() -> None:
    whole = codec.pack(columns(3))
    torn = whole + whole[:-1]
    assert codec.unpack_first(torn) == (columns(3), len(whole))
    with pytest.raises(InvalidInput, match="cut short"):
        codec.unpack_first(torn, len(whole))


def test_bytes_behind_a_segment_are_refused() -> None:
    with pytest.raises(InvalidInput, match="1 bytes follow"):
        codec.unpack(codec.pack(columns(3)) + b"x")


@pytest.mark.parametrize(
    "header",
    [
        ["loss"],
        [["loss"], -1, False],
        [["loss"], 1 << 40, False],
        [["loss"], 2, False],
        [["loss"], 1, True],
        [["loss", "loss"], 1, False],
        [[], 1, False],
        [[b"\xff"], 1, False],
        "x",
    ],
)
def test_a_header_that_cannot_be_right_is_refused_though_its_digest_is(header: object) -> None:
    with pytest.raises(InvalidInput):
        codec.unpack(forged(header, b"\0" * 28))


def test_a_header_that_is_nested_without_end_is_refused() -> None:
    deep = b"\x94" + msgspec.msgpack.encode(["loss"]) + b"\x00\xc2" + b"\x91" * 60_000 + b"\xc0"
    with pytest.raises(InvalidInput, match="header"):
        codec.unpack(forged(msgspec.Raw(deep), b""))


@pytest.mark.parametrize("size", [10_000_000_000, 29, 0])
def test_a_body_that_claims_another_size_is_refused_before_it_is_expanded(size: int) -> None:
    descriptor = b"\x28\xb5\x2f\xfd" + b"\xe0" + struct.pack("<Q", size)  # zstd: single segment, size in 8 bytes
    with pytest.raises(InvalidInput):
        codec.unpack(forged([["loss"], 1, True], descriptor + b"\0" * 10))


@pytest.mark.parametrize("column", ["step", "at", "value", "key"])
def test_columns_of_other_lengths_are_refused(column: str) -> None:
    points = columns(3)
    short = msgspec.structs.replace(points, **{column: getattr(points, column)[:-1]})
    with pytest.raises(InvalidInput, match="columns"):
        codec.pack(short)


@pytest.mark.parametrize("count", [1, 100])
def test_a_point_of_a_key_that_is_not_there_is_refused(count: int) -> None:
    points = msgspec.structs.replace(columns(count), key=struct.pack("<I", 1) * count)
    with pytest.raises(InvalidInput, match="key 1 of 1"):
        codec.pack(points)


def test_a_key_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="repeated"):
        codec.check(columns(2, ("loss", "loss")))


def test_more_points_than_a_segment_holds_are_refused() -> None:
    zeros = bytes(8 * (codec.MOST + 1))
    with pytest.raises(InvalidInput, match="at most 1,048,576"):
        codec.check(Points(("loss",), zeros[: len(zeros) // 2], zeros, zeros, zeros))


def test_a_step_beyond_64_bits_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="'loss' has step 9223372036854775808"):
        codec.points_of([MetricPoint("loss", 1.0, 1 << 63)])


def test_a_point_without_a_time_gets_the_one_that_is_given() -> None:
    made = codec.metric_points(codec.points_of([MetricPoint("loss", 1.0)], now=7))
    assert made[0].at == EPOCH + timedelta(microseconds=7)


def test_what_json_could_not_carry_is_not_a_number() -> None:
    made = codec.metric_points(codec.points_of([MetricPoint("loss", None)]))
    assert math.isnan(made[0].value or 0)


@given(FEW.filter(bool), st.randoms())
def test_the_latest_point_does_not_depend_on_the_order_of_logging(logged: list[MetricPoint], random: object) -> None:
    shuffled = list(logged)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # what Hypothesis hands out is a Random
    first, second = codec.latest(logged), codec.latest(shuffled)
    assert (first.step, first.at) == (second.step, second.at)
    assert first.value == second.value or (math.isnan(first.value or 0) and math.isnan(second.value or 0))


def test_a_number_wins_over_not_a_number_at_the_same_moment() -> None:
    assert codec.latest([MetricPoint("a", math.nan), MetricPoint("a", -1.0)]).value == -1.0


@given(FEW | MANY)
def test_the_latest_of_columns_is_the_latest_of_the_points_of_each_key(logged: list[MetricPoint]) -> None:
    series: dict[str, list[MetricPoint]] = defaultdict(list)
    for point in logged:
        series[point.key].append(point)
    found = codec.latest_of(codec.points_of(logged))
    for key, points in series.items():
        newest = codec.latest(points)
        assert newest.at is not None
        expected = codec.Latest(codec.number_of(newest), newest.step, micros(newest.at), len(points))
        assert repr(found.pop(key)).replace("-0.0", "0.0") == repr(expected).replace("-0.0", "0.0")
    assert not found


def test_the_later_of_two_counts_the_points_of_both() -> None:
    old, new = codec.Latest(1.0, 5, 0, 10), codec.Latest(2.0, 6, 0, 3)
    assert codec.later(old, new) == codec.later(new, old) == codec.Latest(2.0, 6, 0, 13)
