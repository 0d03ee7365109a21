"""The work on a part: read, predict, write. It can travel to another process, which opens the platform again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from everloop.catalog.session import Session
from everloop.pipelines.executor import SessionOpener
from everloop.serving.batch.entities import Job, PartDone
from everloop.serving.batch.output import Output
from everloop.serving.batch.parts import Part
from everloop.serving.batch.scoring import scoring_of

if TYPE_CHECKING:
    from everloop.serving.batch.scorer import Scorer


class Way(NamedTuple):
    """How another process comes to the same platform."""

    open: SessionOpener
    principal: str
    project: str


class PartWork:
    """What is done with each part of a job."""

    def __init__(self, job: Job, out: Path, way: Way) -> None:
        self._job, self._out, self._way = job, out, way
        self._ready: tuple[Session, Scorer, Callable[[int], None]] | None = None

    @staticmethod
    def way_to(session: Session) -> Way:
        """How another process comes to the platform of a session."""
        return Way(session.ports.get(SessionOpener), session.principal, session.project)

    def ready(self, session: Session, scorer: Scorer, told: Callable[[int], None]) -> None:
        """Work with what is open in this process already, and tell how many rows are done."""
        self._ready = session, scorer, told

    def __call__(self, part: Part) -> PartDone:
        """Do a part.

        Raises:
            EverloopError: it cannot be read, predicted or written; nothing of it is there.
        """
        if self._ready is None:
            session = self._way.open(self._way.principal, self._way.project)
            # A process of an engine ends with its batch: what is open is given back with it.
            self._ready = session, scoring_of(session, self._job).scorer().__enter__(), _silent
        session, scorer, told = self._ready
        table, refused = scorer.score(part, session.store, told)
        return Output(self._out).write(part.number, table, refused)

    def __getstate__(self) -> dict[str, object]:
        return {"_job": self._job, "_out": self._out, "_way": self._way, "_ready": None}


def _silent(rows: int) -> None:
    """Nobody is told."""
