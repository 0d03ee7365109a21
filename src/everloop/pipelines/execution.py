"""Executing a pipeline: each step is looked up in the memo, or executed and remembered in one transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from sqlalchemy import insert, update

from everloop.catalog.lineage import link
from everloop.catalog.session import Session
from everloop.datasets.content import urn_of
from everloop.datasets.entities import Snapshot
from everloop.datasets.quality import gating
from everloop.features.entities import PinnedFeatures
from everloop.kernel.errors import EverloopError, InvalidInput, StepFailed
from everloop.kernel.usecase import Json
from everloop.pipelines import arguments as typed
from everloop.pipelines import executions, lease, memo, values
from everloop.pipelines.declare import Pipeline, Step, calling
from everloop.pipelines.entities import Execution, ExecutionEnded, ExecutionStarted, ExecutionStatus, StepExecution
from everloop.pipelines.executor import Executor, StepCall, StepOutcome, place_of
from everloop.pipelines.progress import Happening, StepProgress, tell
from everloop.pipelines.project import folder_of
from everloop.pipelines.tables import executions as execution_table
from everloop.pipelines.tables import step_executions
from everloop.tracking import service as tracking
from everloop.tracking.code import revision_of
from everloop.tracking.recording import Recording


def execute(
    session: Session,
    pipeline: Pipeline[..., object],
    arguments: Mapping[str, object],
    *,
    fresh: bool = False,
    name: str = "",
) -> tuple[Execution, object]:
    """Run a pipeline: the execution as it is kept, and the value that the pipeline gave.

    Steps whose code and arguments are known are not executed; what they logged is logged again. With `fresh` every
    step is executed, and the memo neither read nor written. Costs about 0.2 ms a remembered step.

    Raises:
        InvalidInput: the arguments do not fit the pipeline.
        StepFailed: a step raised; the execution is kept as failed, and what was finished before is remembered.
    """
    executions.settle(session)
    bound = typed.bind(pipeline, arguments)
    id = session.new_id()
    with lease.held(session.home, id) as held:
        begun = _begin(session, pipeline, bound, executions.Row(id=id, pipeline=name or pipeline.name, lease=held))
        conductor = Conductor(session, begun, folder_of(pipeline.function.__module__), fresh)
        try:
            with calling(conductor), session.activate():
                output = pipeline.function(**bound)
            shown = values.shown(output, session.store)
        except BaseException as error:
            raised = _told(error, pipeline)
            conductor.end("failed", None, str(raised))
            if raised is error:
                raise
            raise raised from error
        conductor.end("finished", shown)
    return executions.get(session, id), output


def replay(session: Session, execution_id: str, fresh: bool = True) -> Execution:
    """Run an execution's pipeline again with its arguments; fresh, every step is executed.

    Compare `output_digest` step by step to see whether the same came out.
    """
    row = executions.row_of(session, execution_id)
    pipeline = executions.load_pipeline(row.folder, row.target)
    arguments = {key: values.unshown(value, session.store) for key, value in row.arguments.items()}
    return execute(session, pipeline, arguments, fresh=fresh, name=row.pipeline)[0]


def _begin(
    session: Session, pipeline: Pipeline[..., object], bound: Mapping[str, object], row: executions.Row
) -> executions.Row:
    folder = folder_of(pipeline.function.__module__)
    code = revision_of(folder, session.store)
    shown: dict[str, Json] = {key: values.shown(value, session.store) for key, value in bound.items()}
    texts = {
        key: value if isinstance(value, str) else msgspec.json.encode(value).decode() for key, value in shown.items()
    }
    with session.begin() as unit:
        urn = unit.urn("execution", row.id)
        run = tracking.begin(unit, row.pipeline, "", code)
        tags = {"pipeline": row.pipeline, "execution": row.id}
        tracking.log(unit, run.id, (), texts, tags, tuple(sorted(used_by(unit, bound))))
        link(unit, unit.urn("run", run.id), urn, "made_by")
        begun = msgspec.structs.replace(
            row, target=pipeline.target, folder=str(folder), arguments=shown, run=run.id, started=run.started
        )
        unit.insert(execution_table, begun)
        unit.emit(ExecutionStarted(subject=urn, pipeline=row.pipeline, run=run.id))
    return begun


class Conductor:
    """Executes the steps of one execution, and writes down what came of them.

    What remembered steps leave to write is kept until the next transaction, so that a remembered step costs none.
    """

    def __init__(self, session: Session, row: executions.Row, folder: Path, fresh: bool) -> None:
        self._session = session
        self._row = row
        self._folder = folder
        self._fresh = fresh
        self._codes: dict[str, str] = {}
        self._unwritten: list[StepExecution] = []
        self._recording = Recording(row.run)
        self._used: set[str] = set()
        self._linked: set[str] = set()
        self._admitted: set[str] = set()
        self._counts = {"executed": 0, "remembered": 0}

    def call(self, step: Step[..., object], arguments: Mapping[str, object]) -> object:
        """The step's value: from the memo, or executed."""
        began = time.perf_counter()
        given = typed.keywords(step.signature, arguments)
        if step.target not in self._codes:
            self._codes[step.target] = memo.code_key(step)
        key = memo.memo_key(self._codes[step.target], given)
        self._used |= used_by(self._session, given)
        self._admit(given)
        call = StepExecution(step.name, sum(self._counts.values()), key, False, 0.0, "", "", memo.seed_of(key))
        known = memo.recall(self._session, key) if step.remember and not self._fresh else None
        if known is not None:
            try:
                output = memo.output_of(self._session, known)
            except LookupError:
                known = None  # Its bytes are gone, or its class is: then it is executed again.
        if known is None:
            return self._execute(step, given, call)
        self._remembered(msgspec.structs.replace(call, hit=True, seconds=time.perf_counter() - began), known)
        return output

    def _admit(self, given: Mapping[str, object]) -> None:
        """Let a step have snapshots whose datasets do not gate training, or that pass; each is asked about once.

        Raises:
            Refused: a dataset's suite gates training, and the snapshot fails it.
        """
        for snapshot in snapshots_in(given):
            named = f"{snapshot.dataset}@{snapshot.version}"
            if named not in self._admitted:
                gating.require_at(self._session, snapshot, "training")
                self._admitted.add(named)

    def end(self, status: ExecutionStatus, output: Json, error: str = "") -> None:
        """Write down how the execution ended."""
        row, now = self._row, self._session.clock.now()
        with self._session.begin() as unit:
            self._write(unit)
            mine = (execution_table.c.project == unit.project) & (execution_table.c.id == row.id)
            unit.execute(
                update(execution_table).where(mine).values(status=status, output=output, error=error, ended=now)
            )
            tracking.finish(unit, row.run, status)
            urn = unit.urn("execution", row.id)
            unit.emit(
                ExecutionEnded(subject=urn, pipeline=row.pipeline, status=status, error=error[:1000], **self._counts)
            )

    def _remembered(self, call: StepExecution, known: memo.Remembered) -> None:
        self._counts["remembered"] += 1
        self._unwritten.append(msgspec.structs.replace(call, output_digest=known.output_digest))
        logged = memo.logged_of(known)
        self._recording.metrics += logged.metrics
        self._recording.parameters |= logged.parameters
        self._recording.artifacts += logged.artifacts
        self._recording.tags |= logged.tags
        self._tell(call, "hit", call.seconds)

    def _execute(self, step: Step[..., object], given: Mapping[str, object], call: StepExecution) -> object:
        self._counts["executed"] += 1
        self._tell(call, "started")
        outcome = self._submitted(step, given, call)
        if not outcome.error:
            try:
                text, digest, objects = memo.kept_output(self._session, outcome.value)
            except InvalidInput as error:
                outcome = StepOutcome(None, outcome.seconds, outcome.recording, error=error.message, hint=error.hint)
        done = msgspec.structs.replace(call, seconds=outcome.seconds, error=outcome.error)
        if outcome.error:
            self._failed(step, done, outcome)
        done = msgspec.structs.replace(done, output_digest=digest)
        recording = outcome.recording
        logged = memo.logged_text(recording)
        self._absorb(recording)
        with self._session.begin() as unit:
            if step.remember and not self._fresh:
                at = unit.clock.now()
                kept = memo.Remembered(call.memo_key, step.target, self._row.id, text, digest, objects, logged, at)
                memo.remember(unit, kept)
            self._write(unit, done)
            for snapshot in {*outcome.made, *snapshots_in(outcome.value)} - set(snapshots_in(given)):
                link(unit, urn_of(unit, snapshot), unit.urn("execution", self._row.id), "made_by")
        self._tell(call, "finished", outcome.seconds)
        return outcome.value

    def _submitted(self, step: Step[..., object], given: Mapping[str, object], call: StepExecution) -> StepOutcome:
        allowed = frozenset(references_in(given)) if step.remember else None
        submitted = StepCall(
            name=step.name,
            target=step.target,
            folder=self._folder,
            function=step.function,
            arguments=given,
            run=self._row.run,
            seed=call.random_seed,
            session=self._session,
            allowed=allowed,
        )
        return self._session.ports.get(Executor).submit(submitted).result()

    def _failed(self, step: Step[..., object], call: StepExecution, outcome: StepOutcome) -> None:
        self._absorb(outcome.recording)
        with self._session.begin() as unit:
            self._write(unit, call)
        self._tell(call, "failed", call.seconds)
        place = f" ({outcome.place})" if outcome.place else ""
        raise StepFailed(
            f"Step {step.name} of {self._row.pipeline} failed: {outcome.error}{place}.",
            hint=outcome.hint or "Mend it and run again: the steps that had finished are remembered.",
        ) from outcome.raised

    def _absorb(self, recording: Recording) -> None:
        self._recording.metrics += recording.metrics
        self._recording.parameters |= recording.parameters
        self._recording.artifacts += recording.artifacts
        self._recording.tags |= recording.tags

    def _write(self, unit: Session, *steps: StepExecution) -> None:
        """Write what is unwritten: steps, what they logged, and what they used."""
        rows = [
            msgspec.structs.asdict(step) | {"project": unit.project, "execution": self._row.id}
            for step in (*self._unwritten, *steps)
        ]
        if rows:
            unit.connection.execute(insert(step_executions), rows)
        fresh = self._used - self._linked
        self._recording.write(unit)
        if fresh:
            tracking.log(unit, self._row.run, inputs=tuple(sorted(fresh)))
        for urn in sorted(fresh):
            link(unit, unit.urn("execution", self._row.id), urn, "used")
        self._unwritten = []
        self._linked |= fresh

    def _tell(self, call: StepExecution, happening: Happening, seconds: float = 0.0) -> None:
        tell(StepProgress(self._row.id, self._row.pipeline, call.name, call.index, happening, seconds, call.error))


def snapshots_in(value: object) -> Iterator[Snapshot]:
    """Every snapshot in a value, however deep in Structs and collections."""
    return (part for part in _parts(value) if isinstance(part, Snapshot))


def references_in(value: object) -> Iterator[str]:
    """The addresses of every snapshot in a value, and every text in it that may be an address or a URN."""
    for part in _parts(value):
        if isinstance(part, Snapshot):
            yield part.digest
        elif isinstance(part, str):
            yield part


def used_by(session: Session, value: object) -> set[str]:
    """The URNs of the snapshots and feature services in a value."""
    services = {
        session.urn("feature_service", part.service.name, part.version)
        for part in _parts(value)
        if isinstance(part, PinnedFeatures)
    }
    return services | {urn_of(session, snapshot) for snapshot in snapshots_in(value)}


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, msgspec.Struct):
        yield value
        for name in value.__struct_fields__:
            yield from _parts(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _parts(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _parts(item)
    elif isinstance(value, str):
        yield value


def _told(error: BaseException, pipeline: Pipeline[..., object]) -> BaseException:
    """The error as the user is told it: what the pipeline's own code raises names the pipeline and the place."""
    if isinstance(error, EverloopError) or not isinstance(error, Exception):
        return error
    return StepFailed(
        f"Pipeline {pipeline.name} failed: {type(error).__name__}: {error} ({place_of(error)}).",
        hint="The steps that had finished are remembered.",
    )
