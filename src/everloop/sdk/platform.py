"""The door in Python: `everloop.open()` in this process, `everloop.connect(url)` to a server; the calls are the same.

The signatures that editors see stand in `platform.pyi`, which `python -m everloop.sdk.stubs` writes.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from contextvars import Token
from pathlib import Path
from types import TracebackType
from typing import Self

from everloop.app.platform import Platform, open_platform
from everloop.app.remote import RemotePlatform
from everloop.catalog.session import Session
from everloop.datasets.formats import normalised
from everloop.datasets.frames import Frame, as_arrow
from everloop.datasets.parquet import put_table
from everloop.kernel.errors import Refused
from everloop.sdk.data import Data
from everloop.sdk.groups import Group, group_of, groups
from everloop.sdk.recording.places import Place, entered, place_of
from everloop.store.entities import Digest
from everloop.store.service import Store


class Everloop:
    """A platform: its use cases in groups (`.models.set_alias(…)`), and bytes by content."""

    def __init__(self, platform: Platform | RemotePlatform, project: str = "") -> None:
        self._platform = platform
        self._project = project
        self._active: AbstractContextManager[None] | None = None
        self._entered: Token[tuple[RemotePlatform, str] | None] | None = None

    def __getattr__(self, name: str) -> Group:
        if name.startswith("_"):
            raise AttributeError(name)
        return group_of(name, self._platform, self._project)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *groups()})

    def in_project(self, project: str) -> Everloop:
        """The same platform, with every call made in another project."""
        return Everloop(self._platform, project)

    @property
    def data(self) -> Data:
        """Folders of files under versions, on this machine's disk."""
        return Data(self._platform, self._project)

    def put(self, content: bytes | Path) -> Digest:
        """Keep bytes, or a file's; their address."""
        return self._store.put_file(content) if isinstance(content, Path) else self._store.put(content)

    def put_frame(self, frame: Frame) -> Digest:
        """Keep a frame of Arrow, pandas, Polars or DuckDB, or a list of dictionaries, as Parquet; its address.

        It can be committed, appended or upserted: `ever.datasets.append("visits", ever.put_frame(frame), "parquet")`.
        """
        return put_table(self._store, normalised(as_arrow(frame))).digest

    def put_folder(self, folder: str | Path) -> Digest:
        """Keep every file below a folder; the address of the tree. To a server only what it lacks travels, in packs."""
        return self._store.put_folder(Path(folder))

    def checkout(self, digest: Digest, folder: str | Path) -> None:
        """Write the files of a tree below a folder, each verified."""
        self._store.checkout(digest, Path(folder))

    def get_object(self, digest: Digest) -> bytes:
        """The bytes at an address, verified.

        Raises:
            NotFound: there are none.
        """
        if isinstance(self._platform, RemotePlatform):
            return self._platform.get_object(digest)
        return self._platform.resources.store.get(digest)

    @property
    def _store(self) -> Store:
        return self._platform.store if isinstance(self._platform, RemotePlatform) else self._platform.resources.store

    def place(self) -> Place:
        """Where `everloop.run(platform=…)` records to: this platform, in this project."""
        return place_of(self._platform, self._project)

    def session(self) -> Session:
        """A session of the platform in this process, for what works on tables and models themselves.

        Raises:
            Refused: the platform runs elsewhere.
        """
        if isinstance(self._platform, RemotePlatform):
            raise Refused(
                "A server's session cannot be had over HTTP.", hint="Use everloop.open(home) where the home is."
            )
        return self._platform.session(project=self._project)

    def close(self) -> None:
        """Give back connections and backends."""
        self._platform.close()

    def __enter__(self) -> Self:
        """Make this the platform that code outside of a step works with; it is closed at the end of the block."""
        if isinstance(self._platform, Platform):
            self._active = self.session().activate()
            self._active.__enter__()
        else:
            self._entered = entered.set((self._platform, self._project))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._active is not None:
            self._active.__exit__(kind, error, trace)
            self._active = None
        if self._entered is not None:
            entered.reset(self._entered)
            self._entered = None
        self.close()


def open(home: str | Path | None = None, *, project: str = "") -> Everloop:
    """The platform in a home folder, in this process; without a folder, the one that the settings name.

    Raises:
        Misconfigured: a setting is wrong, or the home cannot be written.
    """
    return Everloop(open_platform(home=None if home is None else os.fspath(home)), project)


def connect(url: str, token: str = "", *, project: str = "") -> Everloop:
    """The platform behind a server's URL. Nothing is sent before the first call."""
    return Everloop(RemotePlatform(url, token), project)
