"""Candidates: the state machine that a model walks through on its way to be the champion.

Each move is one transaction that also says what it rests on, and is refused when the candidate stands elsewhere by
now. So a controller that died is continued by the next tick, and two controllers cannot both make the same move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Select, func, select, update

from everloop.catalog.lineage import link
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict
from everloop.loop.entities import (
    BY_HAND,
    FIRST,
    OPEN,
    Candidate,
    CandidateGated,
    CandidatePromoted,
    CandidateProposed,
    CandidateRefused,
    CandidateRolledBack,
    CandidateTrained,
    GateResult,
    Status,
)
from everloop.loop.tables import candidates


class Outline(msgspec.Struct, frozen=True):
    """A candidate without what its gates said."""

    id: str
    created: datetime
    trigger: str
    status: Status
    version: int
    ended: datetime | None = None


MOVES: dict[Status, tuple[Status, ...]] = {
    "proposed": ("training", "refused"),
    "training": ("training", "gated", "refused"),
    "gated": ("rolling_out", "promoted", "refused"),
    "rolling_out": ("promoted", "rolled_back"),
    "promoted": ("rolled_back",),
    "refused": (),
    "rolled_back": (),
}
"""From each state, the states that can follow it."""


def propose(session: Session, candidate: Candidate) -> Candidate:
    """Write a new candidate, when its loop has none on its way.

    Raises:
        Conflict: another candidate of its loop is still open.
    """
    other = open_candidate(session, candidate.loop)
    if other is not None:
        raise Conflict(
            f"Candidate {other.id} of loop {candidate.loop} is still {other.status}.",
            hint="Let it end first, or stop it: everloop rollback.",
        )
    mine = (candidates.c.project == session.project) & (candidates.c.loop == candidate.loop)
    last = session.scalars(select(func.max(candidates.c.number)).where(mine))[0] or 0
    candidate = msgspec.structs.replace(candidate, number=last + 1)
    session.insert(candidates, candidate)
    session.emit(
        CandidateProposed(
            subject=session.urn("loop", candidate.loop),
            candidate=candidate.id,
            trigger=candidate.trigger,
            reason=candidate.reason,
            skip_gates=candidate.skip_gates,
        )
    )
    return candidate


def open_candidate(session: Session, loop: str) -> Candidate | None:
    """The candidate that something still has to happen to, if there is one."""
    return session.first(Candidate, _of(session, loop).where(candidates.c.status.in_(OPEN)))


def history(session: Session, loop: str, limit: int = 100) -> list[Candidate]:
    """The candidates of a loop, newest first."""
    newest = _of(session, loop).order_by(candidates.c.number.desc())
    return session.all(Candidate, newest.limit(limit))


def of_version(session: Session, loop: str, version: int) -> Candidate | None:
    """The candidate that became a version, if the loop made it."""
    return session.first(Candidate, _of(session, loop).where(candidates.c.version == version))


def of_model(session: Session, model: str, version: int) -> Candidate | None:
    """The candidate that became a version, whichever loop made it."""
    here = (candidates.c.project == session.project) & (candidates.c.model == model)
    return session.first(Candidate, select(candidates).where(here & (candidates.c.version == version)))


def outlines(session: Session, loop: str) -> list[Outline]:
    """Every candidate of a loop in outline, newest first: all that triggers and limits ask for."""
    columns = (candidates.c[name] for name in Outline.__struct_fields__)
    mine = (candidates.c.project == session.project) & (candidates.c.loop == loop)
    return session.all(Outline, select(*columns).where(mine).order_by(candidates.c.number.desc()))


def attempts_of(made: Iterable[Outline]) -> list[datetime]:
    """When triggers made candidates: those that limits count."""
    return [one.created for one in made if one.trigger not in (FIRST, BY_HAND)]


def get(session: Session, candidate: str) -> Candidate:
    """A candidate by its id.

    Raises:
        NotFound: there is none.
    """
    here = (candidates.c.project == session.project) & (candidates.c.id == candidate)
    return session.one(Candidate, select(candidates).where(here), f"There is no candidate {candidate!r}.")


def begin_training(session: Session, candidate: Candidate) -> Candidate:
    """The controller takes the candidate up."""
    return _move(session, candidate, "training")


def trained(session: Session, candidate: Candidate, execution: str, version: int) -> Candidate:
    """Its pipeline has ended; what it gave is registered in the same unit of work."""
    model = session.urn("model", candidate.model, version)
    moved = _move(session, candidate, "training", execution=execution, version=version)
    session.emit(
        CandidateTrained(subject=_subject(session, moved), candidate=moved.id, execution=execution, model=model)
    )
    link(session, model, _subject(session, candidate), "made_for")
    return moved


def gated(
    session: Session, candidate: Candidate, gates: Sequence[GateResult], measured: Mapping[str, float]
) -> Candidate:
    """Every gate passed, or they were skipped by hand."""
    moved = _move(session, candidate, "gated", gates=tuple(gates), measured=dict(measured))
    session.emit(CandidateGated(subject=_subject(session, moved), candidate=moved.id, gates=moved.gates))
    return moved


def refused(session: Session, candidate: Candidate, reason: str, gates: Sequence[GateResult] = ()) -> Candidate:
    """It is stopped before any request met it."""
    moved = _move(session, candidate, "refused", gates=tuple(gates), outcome=reason, units=0, ended=session.clock.now())
    session.emit(
        CandidateRefused(subject=_subject(session, moved), candidate=moved.id, reason=reason, gates=moved.gates)
    )
    return moved


def rolling_out(session: Session, candidate: Candidate, rollout: str) -> Candidate:
    """Its rollout began, in the same unit of work."""
    return _move(session, candidate, "rolling_out", rollout=rollout)


def promoted(session: Session, candidate: Candidate, reason: str, units: int = 0) -> Candidate:
    """Alias and traffic moved to it, in the same unit of work."""
    moved = _move(session, candidate, "promoted", outcome=reason, units=units, ended=session.clock.now())
    model = session.urn("model", moved.model, moved.version)
    session.emit(CandidatePromoted(subject=_subject(session, moved), candidate=moved.id, model=model, reason=reason))
    return moved


def rolled_back(session: Session, candidate: Candidate, reason: str, units: int = 0) -> Candidate:
    """Traffic left it, in the same unit of work."""
    moved = _move(session, candidate, "rolled_back", outcome=reason, units=units, ended=session.clock.now())
    model = session.urn("model", moved.model, moved.version)
    session.emit(
        CandidateRolledBack(
            subject=_subject(session, moved), candidate=moved.id, model=model, reason=reason, units=units
        )
    )
    return moved


def _move(session: Session, candidate: Candidate, to: Status, **changes: object) -> Candidate:
    if to not in MOVES[candidate.status]:
        raise Conflict(f"Candidate {candidate.id} is {candidate.status} and cannot become {to}.")
    here = (
        (candidates.c.project == session.project)
        & (candidates.c.id == candidate.id)
        & (candidates.c.status == candidate.status)
        & (candidates.c.version == candidate.version)
    )
    if session.execute(update(candidates).where(here).values(status=to, **changes)) == 0:
        moved = f"Candidate {candidate.id} is no longer {candidate.status} with version {candidate.version or 'none'}."
        raise Conflict(moved, hint="Another controller moved it; tick again.")
    return msgspec.structs.replace(candidate, status=to, **changes)


def _of(session: Session, loop: str) -> Select[Any]:
    return select(candidates).where((candidates.c.project == session.project) & (candidates.c.loop == loop))


def _subject(session: Session, candidate: Candidate) -> str:
    return session.urn("loop", candidate.loop)
