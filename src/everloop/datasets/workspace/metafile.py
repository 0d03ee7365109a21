"""`<folder>.everloop`: the one small file that git or Mercurial keep in place of a folder of data."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from everloop.datasets.workspace.entities import Metafile
from everloop.kernel.errors import InvalidInput, NotFound

SUFFIX = ".everloop"
_decoder = msgspec.json.Decoder(Metafile)
_CONFLICT = b"<<<<<<<"


def metafile_of(folder: Path) -> Path:
    """The metafile of a folder: beside it."""
    return folder.with_name(f"{folder.name}{SUFFIX}")


def folder_of(path: Path) -> Path:
    """The folder that a path means: itself, or the one whose metafile it is."""
    return path.with_name(path.name.removesuffix(SUFFIX)) if path.name.endswith(SUFFIX) and path.is_file() else path


def read_metafile(path: Path) -> Metafile:
    """What a metafile says.

    Raises:
        NotFound: there is none.
        InvalidInput: it is damaged, or has the marks of a merge in it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        folder = path.name.removesuffix(SUFFIX)
        raise NotFound(
            f"There is no {path} ({error.strerror}).",
            hint=f"Put the folder under versions: everloop data add {folder}.",
        ) from None
    return parse_metafile(data, str(path))


def parse_metafile(data: bytes, name: str) -> Metafile:
    """The metafile in some bytes; the name is for messages.

    Raises:
        InvalidInput: they hold none.
    """
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as error:
        hint = "Take one of the two versions; everloop data init lets git merge them." if _CONFLICT in data else ""
        raise InvalidInput(f"{name} is no metafile ({error}).", hint=hint or "Restore it from git.") from None


def write_metafile(path: Path, metafile: Metafile) -> None:
    """Write a metafile, whole or not at all: sorted keys, a line each, so that other tools can show differences."""
    text = msgspec.json.format(msgspec.json.encode(metafile, order="sorted"), indent=2) + b"\n"
    temporary = path.with_name(f".everloop-{path.name}")
    with temporary.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def find_metafiles(top: Path) -> list[Path]:
    """The metafiles at and below a folder, in order; the folders of data that they stand for are not searched."""
    found: list[Path] = []
    for folder, names, files in os.walk(top):
        here = Path(folder)
        metafiles = sorted(here / name for name in files if name.endswith(SUFFIX) and not name.startswith(SUFFIX))
        found += metafiles
        kept = {path.name.removesuffix(SUFFIX) for path in metafiles}
        names[:] = sorted(name for name in names if name not in kept and not name.startswith("."))
    return found
