"""The controller's heart goes on, whatever happens to it."""

from __future__ import annotations

import threading

import pytest

from everloop.app.platform import Platform
from everloop.server.controller import Heart
from everloop.server.metrics import Metrics


def test_a_heart_that_fails_for_a_reason_nobody_thought_of_beats_again(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    heart, again, beats = Heart(platform, 0.01, Metrics()), threading.Event(), iter(range(9))

    def beat() -> None:
        if next(beats):
            again.set()
        raise ZeroDivisionError

    monkeypatch.setattr(heart, "beat", beat)
    heart.start()
    assert again.wait(5)
    heart.stop()
