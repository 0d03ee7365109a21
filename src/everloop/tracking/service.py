"""What one can do with experiments and runs."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.clock import EPOCH, micros
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.tracking import experiments as groups
from everloop.tracking import files as kept
from everloop.tracking import runs as written
from everloop.tracking.code import revision_of
from everloop.tracking.entities import (
    Artifact,
    CodeRevision,
    Environment,
    Experiment,
    Logged,
    MetricPoint,
    Run,
    RunStatus,
)
from everloop.tracking.environment import capture
from everloop.tracking.points import points_of
from everloop.tracking.rows import last_sequences
from everloop.tracking.series import read
from everloop.tracking.words import LONGEST_NAME, check_key, check_name, check_text
from everloop.tracking.writes import checked, write

LONGEST_GROUP = 128
LONGEST_TITLE = 500
_MOST = 10_000
_AHEAD = timedelta(days=1)
"""So far a client's clock may be before ours."""
_ID = re.compile(r"[0-9a-f]{32}")


@usecase("experiments.create", permission="tracking:write", route="POST /experiments")
def create_experiment(session: Session, name: Name, description: str = "") -> Experiment:
    """A new experiment."""
    check_text("description", description)
    now = session.clock.now()
    made = Experiment(name, description, now, changed=now)
    groups.add(session, made)
    return made


@usecase("experiments.list", permission="tracking:read", route="GET /experiments")
def list_experiments(session: Session, deleted: bool = False) -> list[Experiment]:
    """Every experiment, by name; or those that were deleted."""
    return [experiment for experiment in groups.known(session) if (experiment.deleted is not None) is deleted]


@usecase("experiments.get", permission="tracking:read", route="GET /experiments/{name}")
def get_experiment(session: Session, name: Name) -> Experiment:
    """One experiment."""
    found = groups.first(session, name)
    if found is None:
        raise NotFound(f"There is no experiment {name!r}.", hint="everloop experiments list names them.")
    return found


@usecase("experiments.rename", permission="tracking:write", route="PUT /experiments/{name}/title")
def rename_experiment(session: Session, name: Name, title: str) -> Experiment:
    """Call an experiment something else; its name, by which it is found, stays."""
    check_name(title, "an experiment", LONGEST_TITLE)
    return groups.change(session, msgspec.structs.replace(get_experiment(session, name), title=title))


@usecase("experiments.describe", permission="tracking:write", route="PUT /experiments/{name}/description")
def describe_experiment(session: Session, name: Name, description: str) -> Experiment:
    """Say what an experiment is about, in Markdown."""
    check_text("description", description)
    return groups.change(session, msgspec.structs.replace(get_experiment(session, name), description=description))


@usecase("experiments.set_tags", permission="tracking:write", route="PUT /experiments/{name}/tags")
def tag_experiment(session: Session, name: Name, tags: dict[str, str]) -> Experiment:
    """Set tags of an experiment."""
    for key, text in tags.items():
        check_key(key)
        check_text(key, text)
    found = get_experiment(session, name)
    return groups.change(session, msgspec.structs.replace(found, tags=found.tags | tags))


@usecase("experiments.delete_tag", permission="tracking:write", route="DELETE /experiments/{name}/tags/{key}")
def untag_experiment(session: Session, name: Name, key: str) -> Experiment:
    """Take a tag from an experiment."""
    found = get_experiment(session, name)
    if key not in found.tags:
        raise NotFound(f"Experiment {name!r} has no tag {key[:80]!r}.")
    left = {known: text for known, text in found.tags.items() if known != key}
    return groups.change(session, msgspec.structs.replace(found, tags=left))


@usecase("experiments.delete", permission="tracking:write", route="DELETE /experiments/{name}")
def delete_experiment(session: Session, name: Name) -> Experiment:
    """Put an experiment out of sight, and close it to new runs; it can be restored."""
    groups.hide(session, get_experiment(session, name))
    return get_experiment(session, name)


@usecase("experiments.restore", permission="tracking:write", route="POST /experiments/{name}/restore")
def restore_experiment(session: Session, name: Name) -> Experiment:
    """Bring a deleted experiment back."""
    groups.restore(session, get_experiment(session, name))
    return get_experiment(session, name)


def prepare(session: Session, **given: object) -> dict[str, object]:
    """What a run is begun with that takes a while to find out: nobody waits for git while a transaction is open."""
    code = given.get("code") or revision_of(Path.cwd(), session.store)
    environment = given.get("environment") or capture()
    keep_environment(session, environment)  # type: ignore[arg-type]  # the arguments have been checked
    return {"code": code, "environment": environment}


@usecase("runs.start", permission="tracking:write", route="POST /runs", before=prepare)
def start(
    session: Session,
    experiment: Name,
    name: str = "",
    parameters: dict[str, str] = {},  # noqa: B006 - the doors need the default, nobody changes it
    tags: dict[str, str] = {},  # noqa: B006
    parent: str = "",
    group: str = "",
    id: str = "",
    started: datetime | None = None,
    code: CodeRevision | None = None,
    environment: Environment | None = None,
) -> Run:
    """A run that has begun, in an experiment that is made when it is missing.

    A client may choose the `id`, 32 hexadecimal digits, and may then start the run again: it is the same run. The code
    revision (of the working folder) and the environment are those of the process that keeps the run, unless the client
    says in which it runs.
    """
    check_name(name)
    check_name(group, "a group", LONGEST_GROUP)
    before = _begun(session, id, experiment)
    if before is not None:
        return before
    ready = prepare(session, code=code, environment=environment) if code is None or environment is None else {}
    ran_in = environment or cast(Environment, ready["environment"])
    more = Beginning(group, id, started, ran_in, parameters=parameters, tags=tags)
    return begin(session, experiment, name, code or cast(CodeRevision, ready["code"]), parent, more)


class Beginning(msgspec.Struct, frozen=True):
    """What else may be known of a run that begins; without an environment it runs in one that nobody told of."""

    group: str = ""
    id: str = ""
    started: datetime | None = None
    environment: Environment | None = None
    user: str = ""
    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}


ELSEWHERE = Beginning()
"""A run in a process that only talks to us."""


def begin(
    session: Session, experiment: str, name: str, code: CodeRevision, parent: str = "", more: Beginning | None = None
) -> Run:
    """A run that has begun, with a code revision that the caller knows; it runs here unless `more` is said of it."""
    if parent:
        written.row_of(session, parent)
    group = groups.first(session, experiment) or create_experiment(session, experiment)
    if group.deleted:
        raise Conflict(f"Experiment {experiment!r} was deleted.", hint="Restore it, or start the run in another.")
    said = more or Beginning(environment=capture())
    id = said.id or session.new_id()
    checked(Logged(id, parameters=said.parameters, tags=said.tags))
    run = Run(
        id,
        experiment,
        name[:LONGEST_NAME] or id[-8:],
        "running",
        said.parameters,
        said.tags,
        metrics={},
        inputs=(),
        code=code,
        environment=keep_environment(session, said.environment) if said.environment else "",
        started=_sane(said.started, session.clock.now()),
        parent=parent,
        user=said.user or session.principal,
        group=said.group,
    )
    written.add(session, run, code.revision)
    return run


def keep_environment(session: Session, environment: Environment) -> str:
    """Keep what a run runs in; its address in the store."""
    return session.store.put(msgspec.json.encode(environment, order="sorted"))


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
    points = points_of(metrics, micros(session.clock.now())) if metrics else None
    write(session, Logged(id, points, parameters, tags, inputs))
    return get(session, id)


@usecase("runs.writer", permission="tracking:read", route="GET /runs/{id}/writers/{writer}")
def writer(session: Session, id: str, writer: str) -> int:
    """The number of the last write of a writer that a run has taken; 0 before the first."""
    written.row_of(session, id)
    return last_sequences(session, [id]).get((id, writer), 0)


@usecase("runs.finish", permission="tracking:write", route="POST /runs/{id}/finish")
def finish(session: Session, id: str, status: RunStatus = "finished", ended: datetime | None = None) -> Run:
    """End a run; from now on it stays as it is, unless it is resumed."""
    if status in ("running", "scheduled"):
        raise InvalidInput(f"A run cannot be finished as {status}.", hint="Finish it as finished, failed or killed.")
    written.end(session, id, status, _sane(ended, session.clock.now()))
    return get(session, id)


@usecase("runs.resume", permission="tracking:write", route="POST /runs/{id}/resume")
def resume(session: Session, id: str) -> Run:
    """Let a run that has ended go on; one that is running does."""
    written.resume(session, id)
    return get(session, id)


@usecase("runs.rename", permission="tracking:write", route="PUT /runs/{id}/name")
def rename(session: Session, id: str, name: str) -> Run:
    """Give a running run another name."""
    check_name(name)
    if not name:
        raise InvalidInput("A run needs a name.", hint=f"Use 1 to {LONGEST_NAME} printable characters.")
    written.rename(session, id, name)
    return get(session, id)


@usecase("runs.describe", permission="tracking:write", route="PUT /runs/{id}/note")
def describe(session: Session, id: str, note: str) -> Run:
    """Give a run a note, in Markdown; also one that has ended, for a note is about it and no part of it."""
    check_text("note", note)
    if len(note) > written.LONGEST_NOTE:
        raise InvalidInput(f"The note has {len(note):,} characters.", hint=f"Up to {written.LONGEST_NOTE:,} will do.")
    written.describe(session, id, note)
    return get(session, id)


@usecase("runs.set_tags", permission="tracking:write", route="PUT /runs/{id}/tags")
def set_tags(session: Session, id: str, tags: dict[str, str]) -> Run:
    """Set tags of a running run."""
    return log(session, id, tags=tags)


@usecase("runs.delete_tag", permission="tracking:write", route="DELETE /runs/{id}/tags/{key}")
def delete_tag(session: Session, id: str, key: str) -> Run:
    """Take a tag from a running run."""
    written.delete_tag(session, id, key)
    return get(session, id)


@usecase("runs.delete", permission="tracking:write", route="DELETE /runs/{id}")
def delete(session: Session, id: str) -> Run:
    """Put a run out of sight, with all that it holds; it can be restored."""
    written.hide(session, id)
    return get(session, id)


@usecase("runs.restore", permission="tracking:write", route="POST /runs/{id}/restore")
def restore(session: Session, id: str) -> Run:
    """Bring a deleted run back."""
    written.restore(session, id)
    return get(session, id)


@usecase("runs.get", permission="tracking:read", route="GET /runs/{id}")
def get(session: Session, id: str) -> Run:
    """One run."""
    return written.assemble([written.row_of(session, id)])[0]


@usecase("runs.history", permission="tracking:read", route="GET /runs/{id}/history/{key}")
def history(session: Session, id: str, key: str) -> list[MetricPoint]:
    """Every point of a metric by time, step and value; for long series `runs.points` gives columns."""
    written.row_of(session, id)
    return read.metric_points(session, id, key)


@usecase("runs.log_artifact", permission="tracking:write", route="POST /runs/{id}/artifacts")
def log_artifact(session: Session, id: str, path: str, digest: str) -> Artifact:
    """Add a file, whose bytes are in the store already, to a running run."""
    written.running(session, id)
    return kept.add(session, id, path, digest, session.urn("run", id))


@usecase("runs.artifacts", permission="tracking:read", route="GET /runs/{id}/artifacts")
def artifacts(session: Session, id: str) -> list[Artifact]:
    """The files of a run, by path."""
    written.row_of(session, id)
    return kept.below(session, id)


def _begun(session: Session, id: str, experiment: str) -> Run | None:
    """The run that a client has begun under that id already."""
    if not id:
        return None
    if not _ID.fullmatch(id):
        raise InvalidInput(f"{id[:80]!r} is no id of a run.", hint="Choose 32 digits from 0 to 9 and a to f.")
    row = written.first(session, id)
    if row is not None and row.experiment != experiment:
        raise Conflict(f"Run {id} is one of experiment {row.experiment!r}.", hint="Choose another id.")
    return written.assemble([row])[0] if row else None


def _sane(told: datetime | None, now: datetime) -> datetime:
    """The time that a client tells, or now; a clock that is off by more than a day is refused."""
    if told is None:
        return now
    micros(told)
    if not EPOCH <= told <= now + _AHEAD:
        raise InvalidInput(f"{told.isoformat()} is no time that a run can have.", hint="Set the clock of the client.")
    return told
