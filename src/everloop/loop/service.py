"""What one can do with loops: apply them, look at them, make and take back candidates, simulate, reproduce, trace."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json, usecase
from everloop.loop import candidates as states
from everloop.loop.declare import check
from everloop.loop.entities import (
    BY_HAND,
    AppliedLoop,
    Candidate,
    Loop,
    LoopApplied,
    LoopStatus,
    Replay,
    Reproduction,
    SimulationReport,
    TickReport,
    Trace,
)
from everloop.loop.limits import held_back, retrains_in_month
from everloop.loop.tables import loops
from everloop.registry import service as models
from everloop.registry.entities import ModelVersion


@usecase("loops.apply", permission="loops:deploy", route="PUT /loops")
def apply(session: Session, loop: Loop) -> AppliedLoop:
    """Install a loop, or change it; an unchanged declaration keeps its revision.

    Raises:
        InvalidInput: the declaration cannot work; it says everything that is wrong with it.
    """
    check(loop)
    now = session.clock.now()
    before = _find(session, loop.name)
    if before is not None and before.declaration == loop:
        return before
    applied = AppliedLoop(loop.name, loop, before.revision + 1 if before else 1, before.created if before else now, now)
    if before is None:
        session.insert(loops, applied)
    else:
        values = {"declaration": loop, "revision": applied.revision, "applied": now}
        here = (loops.c.project == session.project) & (loops.c.name == loop.name)
        session.execute(update(loops).where(here).values(values))
    session.emit(LoopApplied(subject=session.urn("loop", loop.name), revision=applied.revision, declaration=loop))
    return applied


@usecase("loops.list", permission="loops:read", route="GET /loops")
def list_loops(session: Session) -> list[AppliedLoop]:
    """Every loop, by name."""
    return session.all(AppliedLoop, select(loops).where(loops.c.project == session.project).order_by(loops.c.name))


@usecase("loops.get", permission="loops:read", route="GET /loops/{name}")
def get(session: Session, name: Name) -> AppliedLoop:
    """A loop as it was last applied.

    Raises:
        NotFound: there is none with that name.
    """
    found = _find(session, name)
    if found is None:
        raise NotFound(f"There is no loop {name!r}.", hint="everloop loops list shows what there is.")
    return found


@usecase("loops.candidates", permission="loops:read", route="GET /loops/{name}/candidates")
def candidates(session: Session, name: Name, limit: int = 100) -> list[Candidate]:
    """The candidates of a loop, newest first, each with what its gates said and what became of it."""
    get(session, name)
    return states.history(session, name, max(0, min(limit, 10_000)))


@usecase("loops.status", permission="loops:read", route="GET /loops/{name}/status")
def status(session: Session, name: Name) -> LoopStatus:
    """How a loop stands: its champion, the candidate on its way, what it has done, and what holds it back."""
    applied = get(session, name)
    loop = applied.declaration
    made = states.outlines(session, name)
    now = session.clock.now()
    attempts = states.attempts_of(made)
    champion = champion_of(session, loop.model)
    return LoopStatus(
        loop=applied,
        champion=champion.version if champion else 0,
        candidate=states.open_candidate(session, name),
        candidates=len(made),
        promoted=sum(one.status == "promoted" for one in made),
        stopped=sum(one.status in ("refused", "rolled_back") for one in made),
        retrains_this_month=retrains_in_month(now, attempts),
        held_back=held_back(loop.limits, now, attempts),
        last_promotion=next((one.ended for one in made if one.status == "promoted"), None),
    )


@usecase("loops.propose", permission="loops:deploy", route="POST /loops/{name}/candidates")
def propose(
    session: Session,
    name: Name,
    execution: str = "",
    pipeline: str = "",
    arguments: dict[str, Json] = {},  # noqa: B006 - the doors need the default, nobody changes it
    skip_gates: bool = False,
    reason: str = "",
) -> Candidate:
    """Make a candidate by hand; the next tick takes it up.

    Its model is what an `execution` gave, or else what a `pipeline` (the loop's own by default) gives for `arguments`
    (`until` is now by default). With `skip_gates` it goes straight to its rollout, and the ledger says who wanted that.

    Raises:
        Conflict: another candidate of this loop is still on its way.
        InvalidInput: both an execution and a pipeline were named.
    """
    loop = get(session, name).declaration
    if execution and (pipeline or arguments):
        raise InvalidInput(
            "Both an execution and a pipeline to run were named.", hint="Name the execution alone, or the pipeline."
        )
    now = session.clock.now()
    until: dict[str, Json] = {} if execution else {"until": now.isoformat()}
    return states.propose(
        session,
        Candidate(
            id=session.new_id(),
            loop=name,
            model=loop.model,
            status="proposed",
            trigger=BY_HAND,
            reason=reason or f"Proposed by {session.principal}.",
            pipeline=pipeline or loop.pipeline,
            arguments=until | arguments,
            created=now,
            skip_gates=skip_gates,
            execution=execution,
        ),
    )


@usecase("loops.tick", permission="loops:run", route="POST /loops/{name}/ticks", long=True)
def tick(session: Session, name: Name) -> TickReport:
    """Everything that the controller does at one moment; a tick that finds nothing to do costs a few milliseconds.

    It reads what was predicted and labelled since the last one, finishes windows of the monitors, takes the candidate
    on its way a step further, or asks the triggers for a new one. After a crash the next tick goes on.
    """
    from everloop.loop import controller

    return controller.tick(session, name)


@usecase("loops.rollback", permission="loops:deploy", route="POST /loops/{name}/rollback")
def rollback(session: Session, name: Name, reason: str) -> LoopStatus:
    """Stop the rollout that is running; if there is none, move alias and traffic back to the champion before. One
    transaction, no rebuild.

    Raises:
        Refused: this loop has never had another champion.
    """
    from everloop.loop import rollback as way_back

    way_back.roll_back(session, get(session, name).declaration, reason)
    return status(session, name)


@usecase("loops.simulate", permission="loops:run", route="POST /loops/{name}/simulations", long=True)
def simulate(
    session: Session,
    name: Name,
    start: datetime,
    end: datetime,
    policies: tuple[str, ...] = ("never", "monthly", "loop"),
    timezone: str = "UTC",
) -> SimulationReport:
    """Let policies go through the same history: how good, how often retrained, at what cost, month by month.

    A policy is `never`, `weekly`, `monthly`, `every 10d`, `drift`, `performance` or `loop` (its own triggers, limits).
    Triggers, pipeline, memo and gates are those of production; nothing is registered, deployed or served.
    """
    from everloop.loop import simulation

    with session.begin(write=False) as unit:
        loop = get(unit, name).declaration
    return simulation.simulate(session, loop, (start, end), policies, timezone)


@usecase("loops.replay", permission="loops:run", route="POST /executions/{execution}/replay", long=True)
def replay(session: Session, execution: str) -> Replay:
    """Run an execution again without the memo, and give the digests of what came out, and of the environment."""
    from everloop.loop import reproduction

    return reproduction.replay(session, execution)


@usecase("loops.reproduce", permission="loops:run", route="POST /models/{model}/reproductions", long=True)
def reproduce(session: Session, model: Name, version: int = 0, alias: str = "") -> Reproduction:
    """Make a model version again in a fresh process, from the data it came from, and compare every digest.

    The project's code is taken as it stands; if that is another commit than the recorded one, the answer says so.
    """
    from everloop.loop import reproduction

    return reproduction.reproduce(session, model, version, alias)


@usecase("loops.trace", permission="audit:read", route="GET /trace")
def trace(session: Session, what: str, forward: bool = False) -> Trace:
    """From a prediction (its id or URN), a model version or anything with a URN, step by step to the bytes of data.

    With `forward` from a URN, such as that of a dataset, to everything that came from it.
    """
    from everloop.loop import tracing

    return tracing.trace(session, what, forward)


def champion_of(session: Session, model: str, alias: str = models.CHAMPION) -> ModelVersion | None:
    """The version that an alias of a model names, or none."""
    try:
        return models.version(session, model, alias=alias)
    except NotFound:
        return None


def _find(session: Session, name: str) -> AppliedLoop | None:
    here = (loops.c.project == session.project) & (loops.c.name == name)
    return session.first(AppliedLoop, select(loops).where(here))
