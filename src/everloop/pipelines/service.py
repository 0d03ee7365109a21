"""What one can do with pipelines: declare them, run them, look at what came of them."""

from __future__ import annotations

from sqlalchemy import delete, select

from everloop.catalog.session import Session
from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json, usecase
from everloop.pipelines import execution as running
from everloop.pipelines import executions as kept
from everloop.pipelines.entities import Execution, PipelineApplied, PipelineDefinition
from everloop.pipelines.tables import executions as execution_table
from everloop.pipelines.tables import pipelines

_MOST = 1_000


@usecase("pipelines.apply", permission="pipelines:deploy", route="PUT /pipelines")
def apply(session: Session, definitions: tuple[PipelineDefinition, ...]) -> list[PipelineDefinition]:
    """Declare pipelines; one that is there with the same name is replaced when it differs."""
    for definition in definitions:
        mine = (pipelines.c.project == session.project) & (pipelines.c.name == definition.name)
        if session.first(PipelineDefinition, select(pipelines).where(mine)) == definition:
            continue
        session.execute(delete(pipelines).where(mine))
        session.insert(pipelines, definition)
        session.emit(PipelineApplied(subject=session.urn("pipeline", definition.name), target=definition.target))
    return list_pipelines(session)


@usecase("pipelines.list", permission="pipelines:read", route="GET /pipelines")
def list_pipelines(session: Session) -> list[PipelineDefinition]:
    """Every declared pipeline, by name."""
    mine = pipelines.c.project == session.project
    return session.all(PipelineDefinition, select(pipelines).where(mine).order_by(pipelines.c.name))


@usecase("pipelines.get", permission="pipelines:read", route="GET /pipelines/{name}")
def get(session: Session, name: Name) -> PipelineDefinition:
    """One declared pipeline."""
    mine = (pipelines.c.project == session.project) & (pipelines.c.name == name)
    missing = f"There is no pipeline {name!r}."
    return session.one(PipelineDefinition, select(pipelines).where(mine), missing, "everloop apply declares them.")


@usecase("pipelines.run", permission="pipelines:run", route="POST /pipelines/{name}/executions", long=True)
def run(session: Session, name: Name, arguments: dict[str, Json] = {}) -> Execution:  # noqa: B006
    """Run a declared pipeline; steps whose code and arguments have not changed are not executed again.

    A step that raises fails the execution; run again, and it goes on from there.
    """
    with session.begin(write=False) as unit:
        definition = get(unit, name)
    pipeline = kept.load_pipeline(definition.folder, definition.target)
    return running.execute(session, pipeline, arguments, name=name)[0]


@usecase("pipelines.replay", permission="pipelines:run", route="POST /executions/{id}/replays", long=True)
def replay(session: Session, id: str, fresh: bool = True) -> Execution:
    """Run an execution again with its arguments and the code as it is now; `fresh` executes every step.

    Equal `output_digest`s, step by step, show that it is reproducible.
    """
    return running.replay(session, id, fresh)


@usecase("pipelines.executions", permission="pipelines:read", route="GET /executions")
def executions(session: Session, pipeline: str = "", limit: int = 100) -> list[Execution]:
    """The newest executions, of one pipeline or of all."""
    query = select(execution_table).where(execution_table.c.project == session.project)
    if pipeline:
        query = query.where(execution_table.c.pipeline == pipeline)
    newest = query.order_by(execution_table.c.started.desc(), execution_table.c.id.desc())
    return kept.assemble(session, session.all(kept.Row, newest.limit(max(0, min(limit, _MOST)))))


@usecase("pipelines.execution", permission="pipelines:read", route="GET /executions/{id}")
def execution(session: Session, id: str) -> Execution:
    """One execution with its steps."""
    return kept.get(session, id)
