"""The port to those who keep values outside of the versions of datasets: the online store, the logs of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from everloop.catalog.session import Session
from everloop.datasets.splits.entities import Sighting, Subject


class SubjectFinder(Protocol):
    """Something that finds a subject in what an area keeps; each is provided as a named port."""

    def find(self, session: Session, subject: Subject) -> Sequence[Sighting]:
        """Every place where the subject is; the session has not begun."""
        ...


def sightings(session: Session, subject: Subject) -> tuple[Sighting, ...]:
    """What all finders find."""
    names = session.ports.names(SubjectFinder)
    return tuple(seen for name in names for seen in session.ports.get(SubjectFinder, name).find(session, subject))
