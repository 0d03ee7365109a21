"""Blocks of points: every bit comes back, in few bytes, or the damage is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from everloop.kernel.errors import Corrupted
from everloop.tracking.series import blocks

if TYPE_CHECKING:
    from everloop.tracking.points import Columns

INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
BITS = st.integers(0, (1 << 64) - 1)


@st.composite
def integers(draw: st.DrawFn, size: int) -> np.ndarray:
    """Whatever integers, or a line, or one that trembles."""
    if draw(st.booleans()):
        return np.array(draw(st.lists(INTEGERS, min_size=size, max_size=size)), np.int64)
    noise = draw(st.integers(0, 1 << 40))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    with np.errstate(over="ignore"):
        line = np.int64(draw(INTEGERS)) + np.arange(size) * np.int64(draw(INTEGERS))
    return line + random.integers(0, noise + 1, size)


@st.composite
def columns(draw: st.DrawFn) -> Columns:
    size = draw(st.integers(1, 60))
    values = st.one_of(
        st.lists(BITS, min_size=size, max_size=size).map(lambda bits: np.array(bits, np.uint64).view(np.float64)),
        st.lists(st.floats(-100, 100).map(lambda value: round(value, 2)), min_size=size, max_size=size).map(np.array),
        st.lists(st.sampled_from([0.0, -0.0, 1.0, np.nan, np.inf]), min_size=size, max_size=size).map(np.array),
    )
    return draw(integers(size)), draw(integers(size)), draw(values)


def same(one: Columns, other: Columns) -> bool:
    return all(np.array_equal(a.view(np.uint64), b.view(np.uint64)) for a, b in zip(one, other, strict=True))


def line(count: int) -> Columns:
    return np.arange(count), 10**15 + 20_000 * np.arange(count), np.full(count, 0.1)


@given(columns())
@settings(deadline=None)
@example((np.array([-(1 << 63), (1 << 63) - 1]), np.array([(1 << 63) - 1, -(1 << 63)]), np.array([1e308, -5e-324])))
@example((np.arange(3), np.arange(3), np.array([0.1 + 0.2, 0.3, 1e300])))
def test_every_bit_comes_back(points: Columns) -> None:
    assert same(blocks.decode(blocks.encode(*points)), points)


@pytest.mark.parametrize("count", [1, 2, 3, 4_095, 4_096])
def test_blocks_of_any_size_come_back(count: int) -> None:
    random = np.random.default_rng(count)
    points = random.integers(-5, 5, count), random.integers(0, 1 << 50, count), random.normal(0, 1, count)
    assert same(blocks.decode(blocks.encode(*points)), points)


def test_a_line_takes_no_bytes_a_point() -> None:
    assert len(blocks.encode(*line(4_096))) < 120


def test_decimals_take_as_many_bytes_as_they_have_digits() -> None:
    random = np.random.default_rng(1)
    step, at, _ = line(4_096)
    assert len(blocks.encode(step, at, np.round(random.uniform(0, 100, 4_096), 1))) < 2 * 4_096


def test_values_of_half_the_precision_take_half_the_bytes() -> None:
    random = np.random.default_rng(1)
    step, at, _ = line(4_096)
    value = random.normal(0, 1, 4_096).astype(np.float32).astype(np.float64)
    assert len(blocks.encode(step, at, value)) < 4.5 * 4_096


@given(st.integers(0, 1_000_000), st.integers(0, 7))
def test_a_changed_bit_is_found(place: int, bit: int) -> None:
    random = np.random.default_rng(1)
    block = bytearray(blocks.encode(*line(50)[:2], random.normal(0, 1, 50)))
    block[place % len(block)] ^= 1 << bit
    with pytest.raises(Corrupted):
        blocks.decode(bytes(block))


@given(st.integers(0, 1_000_000))
def test_a_block_that_was_cut_is_found(end: int) -> None:
    block = blocks.encode(*line(50))
    with pytest.raises(Corrupted):
        blocks.decode(block[: end % len(block)])
