"""What one can do with rollouts: start one, move it by evidence, abort it, look at it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Select, func, select, update

from everloop.catalog import lineage
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.rollouts.decision import check, decide, percents, shares
from everloop.rollouts.entities import (
    Evidence,
    Rollout,
    RolloutAdvanced,
    RolloutPromoted,
    RolloutRolledBack,
    RolloutStarted,
    RolloutStep,
    Shadow,
    Status,
    Strategy,
)
from everloop.rollouts.tables import rollout_steps, rollouts
from everloop.serving import service as endpoints
from everloop.serving.entities import Share


@usecase("rollouts.start", permission="rollouts:deploy", route="POST /endpoints/{endpoint}/rollouts")
def start(session: Session, endpoint: Name, version: int, strategy: Strategy) -> Rollout:
    """Deploy a model version to an endpoint and let it meet its first traffic.

    Raises:
        Conflict: a rollout of this endpoint is running, its traffic is divided, or the version is the stable one.
        InvalidInput: the strategy's percentages do not grow.
    """
    check(strategy)
    running = active(session, endpoint)
    if running is not None:
        raise Conflict(
            f"Rollout {running.id} of version {running.version} is running on {endpoint!r}.",
            hint=f"Let it end, or stop it: everloop rollouts abort {running.id}.",
        )
    stable = _stable(session, endpoint)
    deployment = endpoints.deploy(session, endpoint, version)
    if deployment.revision == stable:
        raise Conflict(
            f"Version {version} already has all traffic of {endpoint!r}.", hint="Roll out a version that has not."
        )
    moved = endpoints.set_traffic(session, endpoint, shares(strategy, 0, stable, deployment.revision))
    now = session.clock.now()
    rollout = Rollout(
        id=session.new_id(),
        endpoint=endpoint,
        stable=stable,
        challenger=deployment.revision,
        version=deployment.version,
        strategy=strategy,
        status="running",
        step=0,
        step_since=now,
        step_labels=0,
        started=now,
        revision=moved.revision,
    )
    session.insert(rollouts, rollout)
    _remember(session, rollout, percents(strategy)[0], "It began.")
    urn = session.urn("rollout", rollout.id)
    session.emit(RolloutStarted(subject=urn, endpoint=endpoint, version=rollout.version, strategy=strategy))
    lineage.link(session, urn, session.urn("deployment", endpoint, deployment.revision), "rolls_out")
    return rollout


@usecase("rollouts.advance", permission="rollouts:deploy", route="POST /rollouts/{id}/advance")
def advance(session: Session, id: str, evidence: Evidence) -> Rollout:
    """Let the guards judge the evidence, and move the traffic accordingly: on, to the end, back, or not at all.

    A rollout whose traffic somebody has moved by hand ends, and leaves the traffic as it is.

    Raises:
        Conflict: the rollout has ended.
    """
    rollout = _running(session, id)
    rollout = replace(rollout, evidence=evidence, units=_units(rollout.strategy, evidence))
    if endpoints.get(session, rollout.endpoint).revision != rollout.revision:
        return _end(session, rollout, "rolled_back", "Somebody moved the endpoint's traffic meanwhile.", 0.0)
    decision = decide(rollout, evidence, session.clock.now())
    match decision.action:
        case "roll_back":
            return _roll_back(session, rollout, decision.reason)
        case "promote":
            return _promote(session, rollout, decision.reason)
        case "advance":
            return _step(session, rollout, decision.reason)
        case "hold":
            _save(session, replace(rollout, reason=decision.reason))
            return replace(rollout, reason=decision.reason)


@usecase("rollouts.abort", permission="rollouts:deploy", route="POST /rollouts/{id}/abort")
def abort(session: Session, id: str, reason: str) -> Rollout:
    """Give all traffic back to the stable version.

    Raises:
        Conflict: the rollout has ended.
    """
    rollout = _running(session, id)
    if endpoints.get(session, rollout.endpoint).revision != rollout.revision:
        return _end(session, rollout, "rolled_back", reason, 0.0)
    return _roll_back(session, rollout, reason)


@usecase("rollouts.get", permission="rollouts:read", route="GET /rollouts/{id}")
def get(session: Session, id: str) -> Rollout:
    """A rollout as it stands.

    Raises:
        NotFound: there is none with that id.
    """
    return session.one(
        Rollout,
        select(rollouts).where(_is(session, id)),
        f"There is no rollout {id!r}.",
        hint="everloop rollouts list shows what there is.",
    )


@usecase("rollouts.list", permission="rollouts:read", route="GET /rollouts")
def list_rollouts(session: Session, endpoint: str = "", limit: int = 100) -> list[Rollout]:
    """The newest rollouts, of one endpoint or of all, newest first."""
    return session.all(Rollout, _newest(session, endpoint).limit(max(0, min(limit, 10_000))))


@usecase("rollouts.active", permission="rollouts:read", route="GET /endpoints/{endpoint}/rollout")
def active(session: Session, endpoint: Name) -> Rollout | None:
    """The rollout that is running on an endpoint, if there is one."""
    return session.first(Rollout, _newest(session, endpoint).where(rollouts.c.status == "running"))


@usecase("rollouts.history", permission="rollouts:read", route="GET /rollouts/{id}/steps")
def history(session: Session, id: str) -> list[RolloutStep]:
    """The moves of a rollout, oldest first, each with the evidence that it rested on."""
    get(session, id)
    mine = (rollout_steps.c.project == session.project) & (rollout_steps.c.rollout == id)
    return session.all(RolloutStep, select(rollout_steps).where(mine).order_by(rollout_steps.c.sequence))


def _stable(session: Session, endpoint: str) -> int:
    traffic = endpoints.get(session, endpoint).traffic
    answering = [share for share in traffic if share.role != "shadow" and share.percent > 0]
    if len(answering) != 1:
        raise Conflict(
            f"The traffic of {endpoint!r} is divided between {len(answering)} deployments.",
            hint=f"Give all of it to one first: everloop endpoints rollback {endpoint}.",
        )
    return answering[0].deployment


def _running(session: Session, id: str) -> Rollout:
    rollout = get(session, id)
    if rollout.status != "running":
        raise Conflict(f"Rollout {id} has ended: {rollout.status}.", hint="Start another one for another try.")
    return rollout


def _units(strategy: Strategy, evidence: Evidence) -> int:
    """The units that met the challenger: in its shadow, none does."""
    return 0 if isinstance(strategy, Shadow) else evidence.challenger.units


def _step(session: Session, rollout: Rollout, reason: str) -> Rollout:
    moved = endpoints.set_traffic(
        session,
        rollout.endpoint,
        shares(rollout.strategy, rollout.step + 1, rollout.stable, rollout.challenger),
        rollout.revision,
    )
    now = session.clock.now()
    came = rollout.evidence.challenger.labels
    further = replace(
        rollout, step=rollout.step + 1, step_since=now, step_labels=came, revision=moved.revision, reason=reason
    )
    percent = percents(rollout.strategy)[further.step]
    _save(session, further)
    _remember(session, further, percent, reason)
    urn = session.urn("rollout", rollout.id)
    session.emit(RolloutAdvanced(subject=urn, percent=percent, reason=reason, evidence=rollout.evidence))
    return further


def _promote(session: Session, rollout: Rollout, reason: str) -> Rollout:
    endpoints.set_traffic(session, rollout.endpoint, (Share(rollout.challenger, 100.0),), rollout.revision)
    return _end(session, rollout, "promoted", reason, 100.0)


def _roll_back(session: Session, rollout: Rollout, reason: str) -> Rollout:
    endpoints.set_traffic(session, rollout.endpoint, (Share(rollout.stable, 100.0),), rollout.revision)
    return _end(session, rollout, "rolled_back", reason, 0.0)


def _end(session: Session, rollout: Rollout, status: Status, reason: str, percent: float) -> Rollout:
    revision = endpoints.get(session, rollout.endpoint).revision
    ended = replace(rollout, status=status, reason=reason, ended=session.clock.now(), revision=revision)
    _save(session, ended)
    _remember(session, ended, percent, reason)
    event = RolloutPromoted if status == "promoted" else RolloutRolledBack
    session.emit(event(subject=session.urn("rollout", rollout.id), reason=reason, evidence=rollout.evidence))
    return ended


def _save(session: Session, rollout: Rollout) -> None:
    moving = ("status", "step", "step_since", "step_labels", "revision", "ended", "reason", "evidence", "units")
    values = {name: getattr(rollout, name) for name in moving}
    session.execute(update(rollouts).where(_is(session, rollout.id)).values(values))


def _remember(session: Session, rollout: Rollout, percent: float, reason: str) -> None:
    mine = (rollout_steps.c.project == session.project) & (rollout_steps.c.rollout == rollout.id)
    sequence = session.scalars(select(func.count()).where(mine))[0]
    at = session.clock.now()
    session.insert(
        rollout_steps,
        RolloutStep(rollout.id, sequence, at, percent, rollout.status, reason, rollout.evidence),
    )


def _newest(session: Session, endpoint: str) -> Select[Any]:
    query = select(rollouts).where(rollouts.c.project == session.project)
    query = query.order_by(rollouts.c.started.desc(), rollouts.c.id.desc())
    return query.where(rollouts.c.endpoint == endpoint) if endpoint else query


def _is(session: Session, id: str) -> ColumnElement[bool]:
    return (rollouts.c.project == session.project) & (rollouts.c.id == id)
