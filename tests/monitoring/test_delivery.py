"""Notices reach every channel once, and a channel that fails holds up nobody."""

from __future__ import annotations

from datetime import timedelta

import pytest

from everloop.app.platform import Platform
from everloop.kernel.clock import SimulatedClock
from everloop.monitoring.delivery import ATTEMPTS
from everloop.monitoring.entities import DeliveryReport
from tests.monitoring.conftest import Ear
from tests.monitoring.test_service import drifted, report

Ears = tuple[Ear, Ear]


@pytest.fixture
def alarmed(platform: Platform, endpoint: str) -> Platform:
    """A platform with two alerts that nobody has been told of."""
    platform.call(
        "monitors.observe",
        {"endpoint": endpoint, "report": report(0, drifted(0.06, "wind"), drifted(0.02, "rain"))},
    )
    return platform


def deliver(platform: Platform) -> DeliveryReport:
    found: DeliveryReport = platform.call("monitors.deliver", {})
    return found


def test_every_channel_is_told_once(alarmed: Platform, ears: Ears) -> None:
    assert deliver(alarmed) == DeliveryReport(4, 0, 0)
    assert deliver(alarmed) == DeliveryReport(0, 0, 0)
    assert [[notice.alert.cause for notice in ear.heard] for ear in ears] == [["wind", "rain"]] * 2


def test_a_deaf_channel_holds_up_no_other_and_is_asked_once_a_delivery(alarmed: Platform, ears: Ears) -> None:
    ears[0].deaf = True
    assert deliver(alarmed) == DeliveryReport(2, 1, 1, ("The ear is deaf.",))
    assert ears[0].asked == 1
    ears[0].deaf = False
    assert deliver(alarmed).sent == 2
    assert [notice.alert.cause for notice in ears[0].heard] == ["wind", "rain"]


def test_a_notice_that_is_never_taken_is_given_up(alarmed: Platform, ears: Ears) -> None:
    ears[0].deaf = True
    for _ in range(3 * ATTEMPTS):
        deliver(alarmed)
    assert ears[0].asked == 2 * ATTEMPTS
    assert deliver(alarmed) == DeliveryReport(0, 0, 0)


def test_yesterdays_news_is_not_sent(alarmed: Platform, ears: Ears, clock: SimulatedClock) -> None:
    clock.advance(clock.now() + timedelta(days=2))
    assert deliver(alarmed).sent == 0


def test_the_end_of_an_alert_is_told_too(alarmed: Platform, ears: Ears) -> None:
    deliver(alarmed)
    first = ears[0].heard[0]
    alarmed.call("monitors.resolve", {"id": first.alert.id})
    deliver(alarmed)
    last = ears[0].heard[-1]
    assert (last.change, last.alert.id, last.id != first.id) == ("resolved", first.alert.id, True)
    assert last.alert.resolved is not None


def test_without_channels_nothing_is_due(alarmed: Platform) -> None:
    assert deliver(alarmed) == DeliveryReport(0, 0, 0)
