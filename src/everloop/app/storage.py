"""Where a platform keeps things: its home folder and its store, which can be opened without all the rest."""

from __future__ import annotations

import os
from pathlib import Path

from blake3 import blake3

from everloop.app import backends
from everloop.app.settings import Settings
from everloop.kernel.errors import Misconfigured
from everloop.store.service import Store


def open_store(values: Settings) -> Store:
    """The store of bytes that the settings name; what is known of the packs of one elsewhere is kept in the home.

    Raises:
        Misconfigured: the backend is missing, or the place cannot be made.
    """
    home = Path(values.home)
    blobs = values.store_url or (home / "store").as_uri()
    index = home / "cache" / f"store-{blake3(blobs.encode()).hexdigest(length=8)}.db"
    return Store(backends.load("blobs", scheme(blobs))(blobs), index)


def catalog_url(values: Settings) -> str:
    """Where the catalog lives: a SQLite file in the home, unless the settings say otherwise."""
    return values.database_url or f"sqlite:///{catalog_file(values)}"


def catalog_file(values: Settings) -> Path:
    """The catalog in the home."""
    return Path(values.home).resolve() / "catalog.db"


def prepare_home(home: Path) -> None:
    """Make the home folder, unless it is there.

    Raises:
        Misconfigured: it cannot be made, or not be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Misconfigured(
            f"The home folder {home} cannot be made ({error.strerror}).",
            hint="Choose another with EVERLOOP_HOME or --home.",
        ) from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise Misconfigured(
            f"The home folder {home} cannot be written.",
            hint="chown or chmod it, or choose another with EVERLOOP_HOME; see everloop doctor.",
        )


def scheme(url: str) -> str:
    """The scheme of a URL; a plain path is a file's."""
    found, separator, _ = url.partition(":")
    return found if separator else "file"
