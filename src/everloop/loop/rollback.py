"""The way back: a rollout is stopped, or alias and traffic return to an earlier champion, in one transaction."""

from __future__ import annotations

from everloop.catalog.session import Session
from everloop.kernel.errors import Refused
from everloop.loop import candidates as states
from everloop.loop.entities import Candidate, ChampionRolledBack, Loop
from everloop.registry import service as models
from everloop.registry.service import CHAMPION
from everloop.rollouts import service as rollouts
from everloop.serving import service as endpoints
from everloop.serving.entities import Share


def roll_back(session: Session, loop: Loop, reason: str) -> None:
    """Undo the last thing that this loop did to its endpoint.

    Raises:
        Refused: there is nothing to go back to.
    """
    candidate = states.open_candidate(session, loop.name)
    if candidate is not None and candidate.status == "rolling_out":
        ended = rollouts.abort(session, candidate.rollout, reason)
        states.rolled_back(session, candidate, reason, ended.units)
        return
    if candidate is not None:
        states.refused(session, candidate, reason)
        return
    _restore(session, loop, reason)


def _restore(session: Session, loop: Loop, reason: str) -> None:
    present, before = _champions(session, loop)
    deployment = endpoints.deploy(session, loop.endpoint, before.version)
    endpoints.set_traffic(session, loop.endpoint, (Share(deployment.revision, 100.0),))
    models.set_alias(session, loop.model, CHAMPION, before.version)
    models.approve(session, loop.model, present.version, "rejected", reason, {"loop": loop.name})
    states.rolled_back(session, present, reason, present.units)
    session.emit(
        ChampionRolledBack(
            subject=session.urn("loop", loop.name), before=present.version, after=before.version, reason=reason
        )
    )


def _champions(session: Session, loop: Loop) -> tuple[Candidate, Candidate]:
    """The candidate that is the champion, and the one before it that was not taken back."""
    promoted = [one for one in states.history(session, loop.name, 10_000) if one.status == "promoted"]
    if len(promoted) < 2:
        raise Refused(
            f"Loop {loop.name!r} has no earlier champion to go back to.",
            hint="Move the alias by hand: everloop models set-alias.",
        )
    return promoted[0], promoted[1]
