"""One demo that nothing disturbs, which all of these tests look at: a month of the real flights, in processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.life import Life

MONTHS = 1


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """A home in which a month went by undisturbed."""
    life = Life(tmp_path_factory.mktemp("lived") / "home", MONTHS)
    life.start()
    life.finish()
    return life


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine that the tests run on counts."""
    for name in [name for name in os.environ if name.startswith("EVERLOOP_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def copied(lived: Life, tmp_path: Path) -> Path:
    """The catalog of that home, to do harm to."""
    return lived.catalog_copied_to(tmp_path / "copied")
