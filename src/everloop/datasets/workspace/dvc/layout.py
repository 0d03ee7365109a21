"""How DVC keeps things: `.dvc` files, `dvc.lock`, manifests of folders, and the cache of versions 2 and 3."""

from __future__ import annotations

import configparser
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from everloop.kernel.errors import InvalidInput, NotFound

FOLDER = ".dvc"
DIRECTORY = ".dir"
"""The ending of the hash of a folder: its object is the list of its files."""
_LARGEST = 64 << 20
_BLOCK = 1 << 20
"""DVC 2 makes the ends of lines those of Unix block by block, so its MD5 depends on this size."""


class Out(msgspec.Struct, frozen=True):
    """Something that DVC tracks: a path below the repository's top, its MD5, and how that was computed.

    DVC 2 took the MD5 of text after making its lines end as on Unix (`legacy`).
    """

    path: str
    md5: str
    executable: bool = False
    legacy: bool = False


class Tracked(msgspec.Struct, frozen=True):
    """A file in a cache: where it lies in the tracked tree, what it should hash to, where its bytes are."""

    path: str
    md5: str
    source: Path
    executable: bool
    legacy: bool


class Repository:
    """A DVC repository that is only read."""

    def __init__(self, top: Path) -> None:
        if not (top / FOLDER).is_dir():
            raise NotFound(f"{top} is no DVC repository.", hint=f"It has no folder {FOLDER}; name its top folder.")
        self.top = top
        self._cache = cache_of(top)

    def outs(self) -> list[Out]:
        """Everything that is tracked, by path, once."""
        found: dict[str, Out] = {}
        for folder, names, files in os.walk(self.top):
            names[:] = sorted(name for name in names if name not in (FOLDER, ".git", ".hg"))
            for name in sorted(files):
                if name.endswith(".dvc") or name == "dvc.lock":
                    found |= {out.path: out for out in self._outs_in(Path(folder, name))}
        return [found[path] for path in sorted(found)]

    def files(self, out: Out) -> Iterator[Tracked]:
        """The files of something tracked.

        Raises:
            NotFound: the cache does not have one of them.
        """
        if not out.md5.endswith(DIRECTORY):
            yield Tracked(out.path, out.md5, self._object(out.md5, out.path), out.executable, out.legacy)
            return
        manifest = self._object(out.md5, out.path).read_bytes()
        if hashlib.md5(manifest, usedforsecurity=False).hexdigest() != out.md5.removesuffix(DIRECTORY):
            raise InvalidInput(f"The list of files of {out.path!r} is damaged: its MD5 is not {out.md5}.")
        for entry in _decoded(manifest, out.path):
            path = f"{out.path}/{entry['relpath']}"
            source = self._object(entry["md5"], path)
            yield Tracked(path, entry["md5"], source, bool(entry.get("isexec")), out.legacy)

    def _outs_in(self, file: Path) -> Iterator[Out]:
        import yaml

        try:
            told = yaml.safe_load(_text_of(file)) or {}
            stages = [told] if file.suffix == ".dvc" else list(_stages(told))
            for stage in stages:
                for out in stage.get("outs") or ():
                    if "md5" in out:
                        yield self._out(file.parent / stage.get("wdir", "."), out)
        except (yaml.YAMLError, AttributeError, TypeError, KeyError, RecursionError) as error:
            raise InvalidInput(f"{file} is no file of DVC ({error}).", hint="Restore it from git.") from None

    def _out(self, folder: Path, told: dict[str, Any]) -> Out:
        if not (isinstance(told["md5"], str) and isinstance(told["path"], str)):
            raise TypeError("path and md5 are texts")
        path = os.path.relpath(os.path.normpath(folder / told["path"]), self.top)
        return Out(Path(path).as_posix(), told["md5"], bool(told.get("isexec")), told.get("hash") != "md5")

    def _object(self, md5: str, path: str) -> Path:
        """Where the bytes of a hash are: in the cache of DVC 3, in that of DVC 2, or still in the working folder."""
        if len(md5) < 32 or not set(md5.removesuffix(DIRECTORY)) <= set("0123456789abcdef"):
            raise InvalidInput(f"{md5!r} of {path!r} is no MD5.")
        below = Path(md5[:2], md5[2:])
        places = [self._cache / "files" / "md5" / below, self._cache / below]
        if not md5.endswith(DIRECTORY):
            places.append(self.top / path)
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise NotFound(f"DVC's cache does not have {path!r} ({md5}).", hint="Run dvc fetch there first.")
        return found


def cache_of(top: Path) -> Path:
    """Where a repository's cache is: in `.dvc/cache`, unless its settings say otherwise."""
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        settings.read([top / FOLDER / "config", top / FOLDER / "config.local"])
    except configparser.Error as error:
        raise InvalidInput(f"The settings in {top / FOLDER} cannot be read ({error}).") from None
    return top / FOLDER / Path(settings.get("cache", "dir", fallback="cache")).expanduser()


def fits(file: Path, md5: str, *, legacy: bool) -> bool:
    """Whether a file has an MD5; with `legacy` also as DVC 2 takes that of text, with the ends of lines as on Unix."""
    return file_md5(file) == md5 or (legacy and file_md5(file, unix=True) == md5)


def file_md5(path: Path, *, unix: bool = False) -> str:
    """The MD5 of a file."""
    whole = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            whole.update(block.replace(b"\r\n", b"\n") if unix else block)
    return whole.hexdigest()


def manifest_of(files: Iterable[tuple[str, str]]) -> bytes:
    """The list of a folder's files (path, MD5) as DVC writes it, byte by byte."""
    import json

    # Python's own json, as DVC uses it: the bytes decide the folder's hash.
    return json.dumps([{"md5": md5, "relpath": path} for path, md5 in sorted(files)], sort_keys=True).encode()


def _text_of(file: Path) -> bytes:
    """What a metafile of DVC says; a pipe would be waited for, and a device read, for ever."""
    if not file.is_file() or file.stat().st_size > _LARGEST:
        raise TypeError(f"it is no plain file of up to {_LARGEST >> 20} MiB")
    return file.read_bytes()


def _decoded(manifest: bytes, path: str) -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = msgspec.json.decode(manifest, type=list[dict[str, Any]])
        return [entry for entry in entries if entry["relpath"] and entry["md5"]]
    except (msgspec.DecodeError, KeyError) as error:
        raise InvalidInput(f"The list of files of {path!r} cannot be read ({error}).") from None


def _stages(lock: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The stages of a `dvc.lock`: below `stages` since DVC 2, at its top before."""
    stages = lock.get("stages", {key: value for key, value in lock.items() if key != "schema"})
    for name, stage in stages.items():
        if isinstance(stage, dict):
            yield {"outs": stage.get("outs"), "wdir": ".", "name": name}
