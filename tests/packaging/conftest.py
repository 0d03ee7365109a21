"""A platform with one registered version, and its package."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.kernel.clock import SimulatedClock
from everloop.packaging.entities import Package
from everloop.registry.columns import signature_of
from everloop.registry.entities import Model
from everloop.registry.save import save_model
from tests.conftest import START, opened
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
    tmp_path_factory: pytest.TempPathFactory, empty_catalog: Path, booster: object, columns: Columns, worker_id: str
) -> Iterator[Platform]:
    """A platform for all tests that pack, in all processes that run tests; it signs.

    So the layers which all images share are made once. Its model `delay` has two versions, of seven trees and of ten.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = folder if worker_id == "master" else folder.parent
    with (folder / "workshop.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fresh = not (folder / "workshop").exists()
        with opened(folder / "workshop", empty_catalog, SimulatedClock(START)) as platform:
            if fresh:
                _furnish(platform, booster, columns)
            fcntl.flock(lock, fcntl.LOCK_UN)
            yield platform


def _furnish(platform: Platform, booster: object, columns: Columns) -> None:
    platform.call("packages.create_key", {})
    for trees in (7, 10):
        shorter = lightgbm_of(booster, trees)
        with platform.session().activate():
            trained = save_model(shorter, flavor="lightgbm", signature=signature_of(columns), metrics={"roc_auc": 0.7})
        platform.call("models.register", {"name": "delay", "trained": trained})
    built(platform, "image")


def lightgbm_of(booster: object, trees: int) -> object:
    """A booster's first trees."""
    import lightgbm

    text = booster.model_to_string(num_iteration=trees)  # type: ignore[attr-defined]  # a lightgbm.Booster
    return lightgbm.Booster(model_str=text)


def built(workshop: Platform, form: str, version: int = 2) -> Package:
    """The package of a version in a form, built once in this process."""
    if (form, version) not in _built:
        _built[form, version] = packed(workshop, form, version)
    return _built[form, version]


def packed(workshop: Platform, form: str, version: int) -> Package:
    """The package of a version in a form, built now."""
    package: Package = workshop.call("packages.build", {"model": "delay", "version": version, "form": form})
    return package


_built: dict[tuple[str, int], Package] = {}
