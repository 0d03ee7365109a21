"""What holds a loop back although a trigger fires."""

from __future__ import annotations

from datetime import UTC, datetime

from everloop.loop.declare import Limits
from everloop.loop.limits import held_back, retrains_in_month

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def test_nothing_holds_back_a_loop_without_limits() -> None:
    assert held_back(Limits(), NOW, [NOW] * 50) == ""


def test_a_loop_cools_down_after_its_last_candidate() -> None:
    limits = Limits(cooldown="3d")
    assert held_back(limits, NOW, [datetime(2026, 3, 8, tzinfo=UTC)]) == "Cooling down until 2026-03-11 00:00."
    assert held_back(limits, NOW, [datetime(2026, 3, 7, 12, tzinfo=UTC)]) == ""


def test_the_newest_candidate_counts_whatever_their_order() -> None:
    newest_first = [datetime(2026, 3, 9, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)]
    assert held_back(Limits(cooldown="3d"), NOW, newest_first) != ""


def test_a_month_has_only_so_many_retrains() -> None:
    attempts = [datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)]
    assert held_back(Limits(retrains_per_month=2), NOW, attempts) == "2 retrains in March 2026 already: the limit is 2."
    assert held_back(Limits(retrains_per_month=3), NOW, attempts) == ""


def test_retrains_of_another_month_or_year_do_not_count() -> None:
    attempts = [datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2025, 3, 5, tzinfo=UTC)]
    assert retrains_in_month(NOW, attempts) == 0
