"""Spans of time as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.durations import duration
from everloop.kernel.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("30d", timedelta(days=30)),
        ("1w", timedelta(weeks=1)),
        ("20ms", timedelta(milliseconds=20)),
        ("1.5h", timedelta(minutes=90)),
        ("1d 12h", timedelta(hours=36)),
        ("1d12h", timedelta(hours=36)),
        ("0s", timedelta()),
        (" 2 h ", timedelta(hours=2)),
    ],
)
def test_spans_are_read(text: str, span: timedelta) -> None:
    assert duration(text) == span


@pytest.mark.parametrize(
    "text", ["", "2", "h", "2 hours", "-2h", "2h later", "1e3s", "1.5.2h", "two h", "2H", "99999999999999d"]
)
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="duration"):
        duration(text)


@given(st.integers(0, 10_000), st.integers(0, 23), st.integers(0, 59))
def test_parts_add_up(days: int, hours: int, minutes: int) -> None:
    assert duration(f"{days}d {hours}h {minutes}m") == timedelta(days=days, hours=hours, minutes=minutes)
