"""A platform with one registered version, and its package."""

from __future__ import annotations

import pytest

from everloop.app.platform import Platform
from everloop.packaging.entities import Package
from everloop.registry.entities import Model
from tests.registry.conftest import booster, columns, trained_apart

__all__ = ["booster", "columns", "trained_apart"]


@pytest.fixture
def registered(platform: Platform, trained_apart: Model) -> Platform:
    """A platform whose model `delay` has version 1, which is the champion."""
    platform.call("models.register", {"name": "delay", "trained": trained_apart})
    platform.call("models.promote", {"name": "delay", "version": 1, "reason": "the only one"})
    return platform


@pytest.fixture
def package(registered: Platform) -> Package:
    """The package of version 1."""
    built: Package = registered.call("packages.build", {"model": "delay"})
    return built
