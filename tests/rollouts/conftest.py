"""An endpoint with several versions to roll out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.rollouts import service as rollouts
from everloop.rollouts.entities import ArmStats, Canary, Evidence, Rollout, Strategy
from tests.serving.conftest import World


@pytest.fixture
def endpoint(platform: Platform) -> str:
    """The endpoint `delay`, answering with version 1 of its model; versions 2 and 3 are registered."""
    world = World(platform)
    for constant in (0.2, 0.3, 0.4):
        world.register(constant=constant)
    world.create(version=1)
    return "delay"


@pytest.fixture
def session(platform: Platform, endpoint: str) -> Iterator[Session]:
    """A unit of work that begins when the endpoint is there."""
    with platform.session().begin() as unit, unit.activate():
        yield unit


@pytest.fixture
def start(session: Session, endpoint: str) -> Callable[..., Rollout]:
    """Start a rollout of version 2."""

    def begin(strategy: Strategy = Canary(), version: int = 2) -> Rollout:
        return rollouts.start(session, endpoint, version, strategy)

    return begin


def evidence(labels: int = 0, **peaks: float) -> Evidence:
    """Evidence with so many labelled units of each version."""
    losses = {"log_loss": 0.4, "brier": 0.1} if labels else {}
    arm = ArmStats(units=labels, labels=labels, losses=losses)
    return Evidence(arm, arm, dict(peaks))
