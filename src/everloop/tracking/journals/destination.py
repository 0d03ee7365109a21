"""Where runs are shipped to, as what ships them sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from everloop.store.service import Store


class Destination(Protocol):
    """A platform that takes runs."""

    @property
    def name(self) -> str:
        """Where it is, for people."""
        ...

    @property
    def store(self) -> Store:
        """Its store of bytes."""
        ...

    def call(self, name: str, arguments: Mapping[str, object]) -> Any:
        """Call a use case, whose answer has the type that it declares."""
        ...

    def points(self, run: str, segments: Sequence[bytes], writer: str, sequence: int) -> None:
        """Give points to a run, all of them or none; what it has taken of this writer already changes nothing."""
        ...

    def files(self, run: str, digests: Mapping[str, str]) -> None:
        """Give a run files by path, all of them or none; their bytes are in the store."""
        ...

    def close(self) -> None:
        """Give back what was opened for it."""
        ...
