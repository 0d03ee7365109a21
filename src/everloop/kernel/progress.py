"""How far a long piece of work is: told by areas, shown by doors."""

from __future__ import annotations

from typing import Literal, Protocol

Unit = Literal["bytes", "files", "rows", "loads", "trials"]


class Progress(Protocol):
    """Somebody who wants to know how far the work is.

    It is told often, from the thread that works: an implementation returns at once, and never raises.
    """

    def advance(self, done: int, total: int | None, what: str, unit: Unit) -> None:
        """So much of all (None: nobody knows how much) is done, counted from the start of this piece of work."""
        ...


class Silent:
    """Nobody wants to know."""

    def advance(self, done: int, total: int | None, what: str, unit: Unit) -> None:
        """Say nothing."""


SILENT: Progress = Silent()
"""What a function takes when it is not told whom to tell."""
