"""Homes for tests that open more than one platform, or one that others open too: migrated, and with nothing in them."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from everloop.app.platform import open_platform
from everloop.app.settings import load


def fresh(home: Path) -> Path:
    """Make a home whose catalog is a copy of a migrated one: that costs a hundredth of migrating another."""
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "catalog.db").write_bytes(_migrated())
    return home


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory(prefix="everloop-empty-") as folder:
        open_platform(load({"home": folder}, environment={}, folder=Path(folder))).close()
        return Path(folder, "catalog.db").read_bytes()
