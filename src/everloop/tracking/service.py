"""What one can do with experiments and runs."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import msgspec
from sqlalchemy import select, update

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.store.entities import Digest
from everloop.tracking import experiments as groups
from everloop.tracking import runs as written
from everloop.tracking import search as language
from everloop.tracking.code import revision_of
from everloop.tracking.entities import (
    Artifact,
    ArtifactLogged,
    CodeRevision,
    Experiment,
    MetricPoint,
    Run,
    RunFinished,
    RunLogged,
    RunStarted,
    RunStatus,
)
from everloop.tracking.environment import capture
from everloop.tracking.metrics import unpack
from everloop.tracking.tables import artifacts as artifact_table
from everloop.tracking.tables import metric_blocks, runs

_MOST = 10_000


@usecase("experiments.create", permission="tracking:write", route="POST /experiments")
def create_experiment(session: Session, name: Name, description: str = "") -> Experiment:
    """A new experiment."""
    made = Experiment(name, description, session.clock.now())
    groups.add(session, made)
    return made


@usecase("experiments.list", permission="tracking:read", route="GET /experiments")
def list_experiments(session: Session) -> list[Experiment]:
    """Every experiment, by name."""
    return [experiment for experiment in groups.known(session) if experiment.deleted is None]


@usecase("experiments.get", permission="tracking:read", route="GET /experiments/{name}")
def get_experiment(session: Session, name: Name) -> Experiment:
    """One experiment."""
    found = groups.first(session, name)
    if found is None:
        raise NotFound(f"There is no experiment {name!r}.", hint="everloop experiments list names them.")
    return found


@usecase("runs.start", permission="tracking:write", route="POST /runs")
def start(
    session: Session,
    experiment: Name,
    name: str = "",
    parameters: dict[str, str] = {},  # noqa: B006 - the doors need the default, nobody changes it
    tags: dict[str, str] = {},  # noqa: B006
    parent: str = "",
) -> Run:
    """A run that has begun, in an experiment that is made when it is missing.

    The code revision (of the working folder) and the environment are those of the process that keeps the run.
    """
    run = begin(session, experiment, name, revision_of(Path.cwd(), session.store), parent)
    return log(session, run.id, (), parameters, tags) if parameters or tags else run


def begin(
    session: Session, experiment: str, name: str, code: CodeRevision, parent: str = "", *, elsewhere: bool = False
) -> Run:
    """A run that has begun, with a code revision that the caller knows.

    One that runs `elsewhere`, in a process that only talks to us, has no environment that we could capture.
    """
    if parent:
        written.row_of(session, parent)
    group = groups.first(session, experiment) or create_experiment(session, experiment)
    if group.deleted:
        raise Conflict(f"Experiment {experiment!r} was deleted.", hint="Restore it, or start the run in another.")
    environment = "" if elsewhere else session.store.put(msgspec.json.encode(capture(), order="sorted"))
    now = session.clock.now()
    id = session.new_id()
    called = name[: written.NAME_LENGTH] or id[-8:]
    run = Run(id, experiment, called, "running", {}, {}, {}, (), code, environment, now, parent=parent)
    session.insert(runs, run)
    session.emit(RunStarted(subject=session.urn("run", id), experiment=experiment, revision=code.revision))
    return run


@usecase("runs.log", permission="tracking:write", route="POST /runs/{id}/log")
def log(
    session: Session,
    id: str,
    metrics: tuple[MetricPoint, ...] = (),
    parameters: dict[str, str] = {},  # noqa: B006
    tags: dict[str, str] = {},  # noqa: B006
    inputs: tuple[str, ...] = (),
) -> Run:
    """Log metric points, parameters, tags and inputs (URNs of what was used) to a running run: all of it or nothing.

    A parameter is written once; the same value again is no error. Points cost about a microsecond each.
    """
    row = written.running(session, id)
    written.check_keys({point.key for point in metrics}, parameters, tags)
    if metrics:
        written.write_metrics(session, id, metrics)
    if parameters:
        written.write_texts(session, id, "parameter", parameters)
    if tags:
        written.write_texts(session, id, "tag", tags)
    written.write_inputs(session, row, inputs)
    session.emit(
        RunLogged(
            subject=session.urn("run", id),
            points=len(metrics),
            parameters=tuple(sorted(parameters)),
            tags=tuple(sorted(tags)),
            inputs=inputs,
        )
    )
    return get(session, id)


@usecase("runs.finish", permission="tracking:write", route="POST /runs/{id}/finish")
def finish(session: Session, id: str, status: RunStatus = "finished") -> Run:
    """End a run; from now on it never changes."""
    if status == "running":
        raise InvalidInput("A run cannot be finished as running.", hint="Finish it as finished, failed or killed.")
    written.running(session, id)
    mine = (runs.c.project == session.project) & (runs.c.id == id)
    session.execute(update(runs).where(mine).values(status=status, ended=session.clock.now()))
    session.emit(RunFinished(subject=session.urn("run", id), status=status))
    return get(session, id)


@usecase("runs.get", permission="tracking:read", route="GET /runs/{id}")
def get(session: Session, id: str) -> Run:
    """One run."""
    return written.assemble(session, [written.row_of(session, id)])[0]


@usecase("runs.search", permission="tracking:read", route="GET /runs")
def search(session: Session, experiment: str = "", where: str = "", order: str = "", limit: int = 100) -> list[Run]:
    """The runs that meet a filter such as `metrics.auc > 0.7 and parameters.kind = 'gbm'`, newest first.

    `order` names another order, such as `metrics.auc desc`; runs without that value come last.
    """
    wanted = language.Search(
        experiments=(experiment,) if experiment else (),
        conditions=tuple(language.parse(where)),
        orders=(language.parse_order(order),) if order else (),
        limit=max(0, min(limit, _MOST)),
    )
    return written.assemble(session, session.all(written.Row, language.found(session.project, wanted)))


@usecase("runs.history", permission="tracking:read", route="GET /runs/{id}/history/{key}")
def history(session: Session, id: str, key: str) -> list[MetricPoint]:
    """Every point of a metric, in the order in which they were logged."""
    written.row_of(session, id)
    mine = (metric_blocks.c.project == session.project) & (metric_blocks.c.run == id) & (metric_blocks.c.key == key)
    columns = (metric_blocks.c.count, metric_blocks.c.points)
    blocks = session.connection.execute(select(*columns).where(mine).order_by(metric_blocks.c.first))
    return [point for count, block in blocks for point in unpack(key, count, block)]


@usecase("runs.log_artifact", permission="tracking:write", route="POST /runs/{id}/artifacts")
def log_artifact(session: Session, id: str, path: str, digest: str) -> Artifact:
    """Add a file, whose bytes are in the store already, to a running run."""
    written.running(session, id)
    return add_artifact(session, id, path, digest, session.urn("run", id))


def add_artifact(session: Session, id: str, path: str, digest: str, urn: str) -> Artifact:
    """Add a file to what holds files under an id, a run or a logged model; the same file again is no error."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or not pure.parts or ".." in pure.parts or len(path) > 500 or not path.isprintable():
        raise InvalidInput(f"{path[:80]!r} is not a path inside a run.", hint="Use a relative path without '..'.")
    known = {artifact.path: artifact for artifact in files_of(session, id)}.get(str(pure))
    if known is not None and known.digest != digest:
        raise Conflict(f"{urn} has another file {path!r} already.", hint="Log it under another path.")
    if known is not None:
        return known
    address = Digest(digest)
    made = Artifact(str(pure), address, len(session.store.get(address)))
    session.insert(artifact_table, msgspec.structs.asdict(made) | {"run": id})
    session.emit(ArtifactLogged(subject=urn, path=made.path, digest=digest))
    return made


@usecase("runs.artifacts", permission="tracking:read", route="GET /runs/{id}/artifacts")
def artifacts(session: Session, id: str) -> list[Artifact]:
    """The files of a run, by path."""
    written.row_of(session, id)
    return files_of(session, id)


def files_of(session: Session, id: str) -> list[Artifact]:
    """The files that are kept under an id, of a run or a logged model, by path."""
    mine = (artifact_table.c.project == session.project) & (artifact_table.c.run == id)
    return session.all(Artifact, select(artifact_table).where(mine).order_by(artifact_table.c.path))
