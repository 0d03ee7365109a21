"""A subject is found in the logs of predictions and labels."""

from __future__ import annotations

import pytest

from everloop.datasets.splits.entities import Subject
from everloop.serving.entities import Label
from everloop.serving.labellog import LabelWriter
from everloop.serving.subjects import LoggedSubjects
from tests.serving.conftest import World, column, plain


def found(world: World, name: str, value: str) -> dict[str, int]:
    sightings = LoggedSubjects().find(world.platform.session(), Subject(name, value))
    assert all(seen.urn == "endpoint:default/delay" for seen in sightings)
    return {seen.detail: seen.count for seen in sightings}


@pytest.fixture
def asked(world: World) -> World:
    """An endpoint that was asked about three things, of which one has a label."""
    world.register()
    world.create(label_key="id")
    predictor = world.predictor()
    predictor.predict(plain(1.0, 2.0) | {"id": column("a", "b")})
    predictor.predict(plain(1.0) | {"id": column("a")})
    home, now = world.platform.resources.home, world.platform.resources.clock.now()
    LabelWriter(home, "default", "delay").append([Label("a", 1.0)], now)
    return world


def test_by_the_key_that_labels_are_joined_by(asked: World) -> None:
    assert found(asked, "id", "a") == {"logged predictions": 2, "labels": 1}
    assert found(asked, "id", "b") == {"logged predictions": 1}


def test_by_an_input_of_the_model(asked: World) -> None:
    carrier = plain(1.0)["carrier"][0]
    assert found(asked, "carrier", str(carrier)) == {"logged predictions": 3}


def test_a_stranger_is_found_nowhere(asked: World) -> None:
    assert found(asked, "id", "zzz") == {}
    assert found(asked, "nothing", "a") == {}
