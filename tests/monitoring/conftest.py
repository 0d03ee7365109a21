"""An endpoint to watch, a reference of quiet days, and channels that can be made to fail."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.kernel.errors import Unavailable
from everloop.monitoring.channel import Channel
from everloop.monitoring.entities import Notice, Reference
from everloop.monitoring.reference import build_reference
from tests.monitoring.logs import contributions, quiet
from tests.serving.conftest import World


@pytest.fixture(scope="session")
def reference() -> Reference:
    """Thirty quiet days."""
    return build_reference(quiet(np.random.default_rng(1)), contributions)


@pytest.fixture
def endpoint(platform: Platform) -> str:
    """The endpoint `delay`."""
    world = World(platform)
    world.register(constant=0.2)
    world.create()
    return "delay"


@pytest.fixture
def session(platform: Platform, endpoint: str) -> Iterator[Session]:
    """A unit of work that begins when the endpoint is there."""
    with platform.session().begin() as unit, unit.activate():
        yield unit


class Ear:
    """A channel that remembers what it was told, and may refuse."""

    def __init__(self) -> None:
        self.heard: list[Notice] = []
        self.deaf = False
        self.asked = 0

    def send(self, notice: Notice) -> None:
        self.asked += 1
        if self.deaf:
            raise Unavailable("The ear is deaf.")
        self.heard.append(notice)


@pytest.fixture
def ears(platform: Platform) -> tuple[Ear, Ear]:
    """Two channels."""
    made = Ear(), Ear()
    for name, ear in zip("ab", made, strict=True):
        platform.resources.ports.provide(Channel, lambda ear=ear: ear, name)
    return made
