"""Optuna's own tests of storages, run on ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("optuna")

from optuna.storages import BaseStorage
from optuna.testing.pytest_storages import StorageTestCase

from everloop.app.platform import open_platform
from everloop.app.settings import load
from everloop.pipelines.sweeps.storage import OptunaStorage
from tests.conftest import unsynced
from tests.homes import fresh


class TestInTheCatalog(StorageTestCase):
    """Every promise that Optuna wants of a storage."""

    @pytest.fixture(params=[True, False], ids=["runs", "bare"])
    def storage(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseStorage]:
        platform = open_platform(load({"home": str(fresh(tmp_path / "home"))}, environment={}, folder=tmp_path))
        unsynced(platform)
        yield OptunaStorage(platform.session(), runs=request.param)
        platform.close()
