"""A list that is asked for fewer than no elements is empty, on every database."""

from __future__ import annotations

import pytest

from everloop.app.platform import Platform


@pytest.mark.parametrize("usecase", ["audit.entries", "rollouts.list", "monitors.alerts", "monitors.incidents"])
def test_a_negative_limit_gives_nothing_instead_of_everything(platform: Platform, usecase: str) -> None:
    platform.call("experiments.create", {"name": "x"})
    assert platform.call(usecase, {"limit": -1}) == []
