"""Gates: what is asked before a version is committed or merged, and may refuse it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

from everloop.catalog.session import Session
from everloop.datasets.entities import Content

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Candidate:
    """A version that is about to be: its dataset and branch, its content (in the store already), and a table's rows.

    `rows` may be a way to get them, for a gate that wants to see them. `place` tells a commit from a merge.
    """

    dataset: str
    branch: str
    content: Content
    rows: pa.Table | Callable[[], pa.Table] | None = None
    place: Literal["commit", "merge"] = "commit"

    @cached_property
    def table(self) -> pa.Table | None:
        """The rows of a table; none of files."""
        return self.rows() if callable(self.rows) else self.rows


class CommitGate(Protocol):
    """Something that is asked before a version comes into being; each is provided as a named port."""

    def ask(self, session: Session, candidate: Candidate) -> None:
        """Let a version pass, or raise Refused; the session has not begun."""
        ...


def before_commit(session: Session, candidate: Candidate) -> None:
    """Ask every gate there is; with none, everything passes.

    Raises:
        Refused: a gate said no, and nothing was changed.
    """
    for name in session.ports.names(CommitGate):
        session.ports.get(CommitGate, name).ask(session, candidate)
