"""Measuring: a real server under a real load."""

from __future__ import annotations

import pytest

from everloop.app.platform import Platform
from everloop.packaging.sizing.entities import ModelProfile


@pytest.mark.slow
def test_a_version_is_measured_under_rising_loads_and_the_profile_kept(registered: Platform) -> None:
    found: ModelProfile = registered.call("packages.measure", {"model": "delay", "quick": True})
    print(found)
    assert found.sustained > 0
    assert registered.call("packages.profile", {"model": "delay"}) == found
