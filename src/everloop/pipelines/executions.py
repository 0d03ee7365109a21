"""How executions are read back, and how those whose process was killed are settled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy import select, update

from everloop.catalog.session import Session
from everloop.kernel.clock import EPOCH
from everloop.kernel.usecase import Json
from everloop.pipelines import lease, project
from everloop.pipelines.declare import Pipeline
from everloop.pipelines.entities import ABANDONED, Execution, ExecutionEnded, ExecutionStatus, StepExecution
from everloop.pipelines.tables import executions, step_executions
from everloop.tracking import service as tracking


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An execution as its row holds it, without its steps."""

    id: str
    pipeline: str
    lease: str
    target: str = ""
    folder: str = ""
    arguments: dict[str, Json] = {}
    status: ExecutionStatus = "running"
    run: str = ""
    output: Json = None
    error: str = ""
    started: datetime = EPOCH
    ended: datetime | None = None


class StepRow(StepExecution, frozen=True, kw_only=True):
    """A step with the execution that it belongs to."""

    execution: str


def row_of(session: Session, id: str) -> Row:
    """The row of an execution.

    Raises:
        NotFound: there is none.
    """
    query = select(executions).where(executions.c.project == session.project, executions.c.id == id)
    with session.begin(write=False) as unit:
        return unit.one(Row, query, f"There is no execution {id!r}.", "everloop pipelines executions lists them.")


def get(session: Session, id: str) -> Execution:
    """One execution with its steps."""
    return assemble(session, [row_of(session, id)])[0]


def assemble(session: Session, rows: Sequence[Row]) -> list[Execution]:
    """Executions with their steps. One whose process is gone is shown as failed, whether or not that is written yet."""
    mine = (step_executions.c.project == session.project) & step_executions.c.execution.in_([row.id for row in rows])
    steps: dict[str, list[StepExecution]] = defaultdict(list)
    with session.begin(write=False) as unit:
        for step in unit.all(StepRow, select(step_executions).where(mine).order_by(step_executions.c.index)):
            fields = {name: getattr(step, name) for name in StepExecution.__struct_fields__}
            steps[step.execution].append(StepExecution(**fields))
    return [_assembled(session, row, tuple(steps[row.id])) for row in rows]


def settle(session: Session) -> list[str]:
    """Write down as failed, with their runs, the executions whose process was killed; their ids."""
    mine = (executions.c.project == session.project) & (executions.c.status == "running")
    with session.begin(write=False) as unit:
        rows = unit.all(Row, select(executions).where(mine))
    gone = [row for row in rows if lease.is_abandoned(session.home, row.lease)]
    for row in gone:
        _abandon(session, row)
    return [row.id for row in gone]


def load_pipeline(folder: str, target: str) -> Pipeline[..., object]:
    """The pipeline that `module:name` names in a folder, as its files are now."""
    return project.load(Path(folder), target, Pipeline)


def _abandon(session: Session, row: Row) -> None:
    with session.begin() as unit:
        mine = (executions.c.project == unit.project) & (executions.c.id == row.id)
        still = mine & (executions.c.status == "running")
        if not unit.execute(
            update(executions).where(still).values(status="failed", error=ABANDONED, ended=unit.clock.now())
        ):
            return  # Somebody else settled it meanwhile.
        if tracking.get(unit, row.run).status == "running":
            tracking.finish(unit, row.run, "failed")
        urn = unit.urn("execution", row.id)
        unit.emit(ExecutionEnded(subject=urn, pipeline=row.pipeline, status="failed", error=ABANDONED))
    lease.clear(session.home, row.lease)


def _assembled(session: Session, row: Row, steps: tuple[StepExecution, ...]) -> Execution:
    fields = {name: getattr(row, name) for name in Execution.__struct_fields__ if name != "steps"}
    if row.status == "running" and lease.is_abandoned(session.home, row.lease):
        fields |= {"status": "failed", "error": ABANDONED}
    return Execution(**fields, steps=steps)
