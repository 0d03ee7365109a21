"""What one can do to free what nobody wants any more, and to hold what must stay."""

from __future__ import annotations

from datetime import timedelta

from everloop.catalog import holds
from everloop.catalog.holds import Hold
from everloop.catalog.session import Session
from everloop.governance.retaining import policies
from everloop.governance.runkeeping import freeing
from everloop.governance.runkeeping.candidates import Asked
from everloop.governance.runkeeping.entities import HoldPlaced, HoldReleased, RunsGc
from everloop.kernel.durations import duration
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.ids import parse_urn
from everloop.kernel.usecase import usecase

_HELD = ("run", "experiment", "model", "logged_model")


@usecase("runs.gc", permission="governance:manage", route="POST /runs/gc", long=True)
def gc(
    session: Session,
    dry_run: bool = True,
    older_than: str = "",
    runs: tuple[str, ...] = (),
    experiments: tuple[str, ...] = (),
    models: tuple[str, ...] = (),
) -> RunsGc:
    """Free for good what was deleted `30d` ago or longer, or tell of it: runs, logged models, whole experiments.

    How long ago is `older_than`, or else what a retention policy says (`deleted_for`), or else 30 days. Naming `runs`,
    `experiments` (with all in them) or logged `models` frees only these, however recently they were deleted. What a
    model version, package, deployment, legal hold, running sweep or child run needs stays, and the answer says why.
    `store gc` then frees the bytes of files.
    """
    named = bool(runs or experiments or models)
    grace = duration(older_than) if older_than else timedelta() if named else _grace(session)
    asked = Asked(session.clock.now() - grace, runs, models, experiments)
    planned = freeing.planned(session, asked)
    return planned.report if dry_run else freeing.carried_out(session, asked, planned)


@usecase("governance.hold", permission="governance:manage", route="POST /holds")
def hold(session: Session, urn: str, reason: str) -> Hold:
    """Let nobody delete something for good: the URN of a run, experiment, logged model, model or version of one.

    What is held may still be hidden, and restored. A hold on a model is on all of its versions, one on an experiment
    on all of its runs.
    """
    if not reason.strip():
        raise InvalidInput("A hold needs a reason.", hint="Say what it is for, such as the number of the case.")
    thing = parse_urn(urn)
    if thing.kind not in _HELD or thing.project != session.project:
        raise InvalidInput(f"{urn} cannot be held.", hint=f"Hold one of {', '.join(_HELD)}, in this project.")
    if not freeing.exists(session, thing):
        raise NotFound(f"There is no {urn}.")
    made = Hold(urn, reason, session.principal, session.clock.now())
    holds.put(session, made)
    session.emit(HoldPlaced(subject=urn, reason=reason))
    return made


@usecase("governance.release", permission="governance:manage", route="POST /holds/release")
def release(session: Session, urn: str, reason: str) -> Hold:
    """End a hold, and give what it was."""
    if not reason.strip():
        raise InvalidInput("Ending a hold needs a reason.", hint="Say who allowed it.")
    known = holds.among(session, [urn]).get(urn)
    if known is None:
        raise NotFound(f"There is no hold on {urn[:80]}.", hint="everloop governance holds lists them.")
    holds.drop(session, urn)
    session.emit(HoldReleased(subject=urn, reason=reason, was=known.reason))
    return known


@usecase("governance.holds", permission="governance:read", route="GET /holds")
def list_holds(session: Session) -> list[Hold]:
    """What is held, by URN."""
    return holds.every(session)


def _grace(session: Session) -> timedelta:
    with session.begin(write=False) as unit:
        return policies.grace(unit)
