"""A trace tells which split a model was trained on, and what proves that its holdout shares nothing with that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from everloop.datasets.splits.entities import TimeShares
from everloop.loop.facts import facts_of
from everloop.registry import service as models
from tests.loop.conftest import lived
from tests.loop.world import World

PARTS = (("training", 0.7), ("holdout", 0.3))


@pytest.fixture
def cut(first_day: Path, tmp_path: Path) -> Iterator[World]:
    """The toy's loop, and a model of which a time split is said to be what it was trained and judged on."""
    with lived(first_day, tmp_path / "cut") as world:
        world.call("datasets.split", name="parcels", strategy=TimeShares("at", PARTS))
        trained = msgspec.structs.replace(
            world.call("models.version", name="late").trained,
            training="dataset:default/parcels.training@1",
            holdout="dataset:default/parcels.holdout@1",
        )
        with world.platform.session().begin() as unit:
            models.register(unit, "late", trained)
        yield world


def facts(world: World, urn: str) -> dict[str, str]:
    with world.platform.session().begin(write=False) as unit:
        return facts_of(unit, urn)


def test_a_model_names_its_parts_and_their_proof(cut: World) -> None:
    told = facts(cut, "model:default/late@2")
    assert (told["trained on"], told["held out"]) == ("parcels.training@1", "parcels.holdout@1")
    assert "0 of " in told["proof"]
    assert "the first known by 20" in told["proof"]


def test_a_part_tells_what_it_is_a_part_of(cut: World) -> None:
    assert facts(cut, "dataset:default/parcels.training@1")["part"].startswith("training of parcels@1, split ")


def test_what_is_no_part_has_no_proof(cut: World) -> None:
    assert "proof" not in facts(cut, "model:default/late@1")
    assert "part" not in facts(cut, "dataset:default/parcels@1")
