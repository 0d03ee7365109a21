"""Handing out: a package as the file or folder that people get."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from everloop.catalog.session import Session
from everloop.packaging import wheel
from everloop.packaging.entities import IMAGES, Package

_SUFFIXES = {"archive": ".pyz", "executable": "", "lambda": ".zip"}


def name_of(package: Package) -> str:
    """What the file of a package is called by default; for an image, its folder."""
    if package.form == "wheel":
        return wheel.file_name(package.manifest)
    return f"{package.model}-{package.version}{_SUFFIXES.get(package.form, '')}"


@contextmanager
def handed_out(session: Session, package: Package) -> Iterator[Path]:
    """The package's file or folder, for as long as the block takes."""
    with tempfile.TemporaryDirectory(prefix="everloop-package-") as folder:
        path = Path(folder) / name_of(package)
        if package.form in IMAGES:
            session.store.checkout(package.digest, path)
        else:
            session.store.write_to(package.digest, path)
        yield path
