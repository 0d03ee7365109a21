"""The revision of the catalog's tables that this version of Everloop works with."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "migrations"
HEAD = max((path.name.partition("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py")), default="")
"""The newest of the revisions that are here."""
