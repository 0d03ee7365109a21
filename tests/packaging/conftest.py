"""A platform with one registered version, and its package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.kernel.clock import SimulatedClock
from everloop.packaging.entities import Package
from everloop.registry.columns import signature_of
from everloop.registry.entities import Model
from everloop.registry.save import save_model
from tests.registry.conftest import Columns, booster, columns, trained_apart

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


@pytest.fixture(scope="session")
def workshop(
    tmp_path_factory: pytest.TempPathFactory, empty_catalog: Path, booster: object, columns: Columns
) -> Iterator[Platform]:
    """A platform for all tests that pack, so that the layers which all images share are made once; it signs.

    Its model `delay` has two versions: the first has three trees less.
    """
    from tests.conftest import START, opened

    with opened(tmp_path_factory.mktemp("workshop") / "home", empty_catalog, SimulatedClock(START)) as platform:
        platform.call("packages.create_key", {})
        for trees in (7, 10):
            shorter = lightgbm_of(booster, trees)
            with platform.session().activate():
                trained = save_model(
                    shorter, flavor="lightgbm", signature=signature_of(columns), metrics={"roc_auc": 0.7}
                )
            platform.call("models.register", {"name": "delay", "trained": trained})
        yield platform


def lightgbm_of(booster: object, trees: int) -> object:
    """A booster's first trees."""
    import lightgbm

    text = booster.model_to_string(num_iteration=trees)  # type: ignore[attr-defined]  # a lightgbm.Booster
    return lightgbm.Booster(model_str=text)


def built(workshop: Platform, form: str, version: int = 2) -> Package:
    """The package of a version in a form; what was built before is found again."""
    package: Package = workshop.call("packages.build", {"model": "delay", "version": version, "form": form})
    return package
