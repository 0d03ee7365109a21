"""Time is handed in."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.clock import EPOCH, SharedClock, SimulatedClock, SystemClock, from_micros, micros
from everloop.kernel.errors import InvalidInput

AT = datetime(2013, 3, 1, 12, 30, 0, 123_456, tzinfo=UTC)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  Bounds have no zone.
def test_times_go_to_microseconds_and_back(at: datetime) -> None:
    assert from_micros(micros(at)) == at


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00"])
def test_times_without_a_zone_and_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=text.replace("+", r"\+")):
        micros(datetime.fromisoformat(text))


def test_times_of_another_zone_are_the_same_moment() -> None:
    from zoneinfo import ZoneInfo

    assert micros(AT.astimezone(ZoneInfo("America/New_York"))) == micros(AT)
    assert from_micros(micros(AT)).tzinfo is UTC


def test_the_systems_clock_knows_its_zone_and_does_not_stand_still() -> None:
    clock = SystemClock()
    first = clock.now()
    assert first.tzinfo is UTC
    assert clock.now() >= first > datetime(2025, 1, 1, tzinfo=UTC)


def test_a_simulated_clock_stands_until_it_is_moved_and_never_runs_backwards() -> None:
    clock = SimulatedClock(AT)
    assert clock.now() == clock.now() == AT
    clock.advance(AT + timedelta(hours=1))
    clock.advance(AT)
    assert clock.now() == AT + timedelta(hours=1)


class TestSharedClock:
    def test_it_starts_where_it_is_told(self, tmp_path: Path) -> None:
        assert SharedClock(tmp_path / "clock", AT).now() == AT
        assert SharedClock(tmp_path / "other").now() == EPOCH

    def test_it_never_runs_backwards(self, tmp_path: Path) -> None:
        clock = SharedClock(tmp_path / "clock", AT)
        clock.advance(AT - timedelta(days=1))
        assert clock.now() == AT

    def test_others_in_this_process_see_it_move(self, tmp_path: Path) -> None:
        one, other = SharedClock(tmp_path / "clock", AT), SharedClock(tmp_path / "clock")
        one.advance(AT + timedelta(days=1))
        assert other.now() == AT + timedelta(days=1)

    def test_it_goes_on_where_it_was_left(self, tmp_path: Path) -> None:
        SharedClock(tmp_path / "clock", AT).advance(AT + timedelta(days=1))
        assert SharedClock(tmp_path / "clock", EPOCH).now() == AT + timedelta(days=1)

    @pytest.mark.slow
    def test_other_processes_see_it_move_and_can_move_it(self, tmp_path: Path) -> None:
        clock = SharedClock(tmp_path / "clock", AT)
        script = (
            "import sys; from datetime import timedelta; from pathlib import Path\n"
            "from everloop.kernel.clock import SharedClock\n"
            "clock = SharedClock(Path(sys.argv[1]))\n"
            "for line in sys.stdin:\n"
            "    clock.advance(clock.now() + timedelta(hours=1)); print(clock.now().isoformat(), flush=True)"
        )
        command = [sys.executable, "-c", script, str(tmp_path / "clock")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdin is not None
            assert other.stdout is not None
            for day in range(3):
                clock.advance(AT + timedelta(days=day))
                expected = clock.now() + timedelta(hours=1)
                print("tell", file=other.stdin, flush=True)
                assert datetime.fromisoformat(other.stdout.readline().strip()) == expected
            other.stdin.close()
        assert clock.now() == AT + timedelta(days=2, hours=1)
