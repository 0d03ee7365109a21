"""How runs are written and read back: one transaction a log call, parameters once, finished runs never."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import and_, delete, insert, select, update

from everloop.catalog.lineage import link
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.tracking.entities import (
    CodeRevision,
    MetricPoint,
    Run,
    RunChanged,
    RunDeleted,
    RunRestored,
    RunStatus,
)
from everloop.tracking.metrics import latest, number_of, pack
from everloop.tracking.tables import metric_blocks, run_values, runs

NAME_LENGTH = 256
_KEY_LENGTH = 250
_PAGE = 500


class Row(msgspec.Struct, frozen=True):
    """A run as its row holds it, without its values."""

    id: str
    experiment: str
    name: str
    status: RunStatus
    inputs: tuple[str, ...]
    code: CodeRevision
    environment: str
    started: datetime
    ended: datetime | None
    parent: str
    deleted: datetime | None


class Value(msgspec.Struct, frozen=True):
    """The latest value of one key of a run."""

    run: str
    kind: str
    key: str
    text: str
    number: float | None
    step: int
    at: datetime
    points: int


def row_of(session: Session, id: str) -> Row:
    """The row of a run.

    Raises:
        NotFound: there is none.
    """
    query = select(runs).where(runs.c.project == session.project, runs.c.id == id)
    return session.one(Row, query, f"There is no run {id!r}.", "everloop runs search lists them.")


def running(session: Session, id: str) -> Row:
    """The row of a run that can still be logged to.

    Raises:
        Conflict: it has ended, or was deleted.
    """
    row = row_of(session, id)
    if row.deleted:
        raise Conflict(f"Run {id} was deleted.", hint="Restore it first.")
    if row.status != "running":
        raise Conflict(
            f"Run {id} is {row.status} and can no longer change.", hint="Start another, with parent=<this run's id>."
        )
    return row


def assemble(session: Session, rows: Sequence[Row]) -> list[Run]:
    """The runs with their parameters, tags and latest metrics."""
    values = values_of(session, [row.id for row in rows])
    return [_assembled(row, values[row.id]) for row in rows]


def values_of(session: Session, ids: Sequence[str]) -> Mapping[str, list[Value]]:
    """The latest value of every key of some runs, by run: one query for each 500 runs."""
    values: dict[str, list[Value]] = defaultdict(list)
    for start in range(0, len(ids), _PAGE):
        page = run_values.c.run.in_(ids[start : start + _PAGE])
        for value in session.all(Value, select(run_values).where(run_values.c.project == session.project, page)):
            values[value.run].append(value)
    return values


def _assembled(row: Row, values: Iterable[Value]) -> Run:
    kinds: dict[str, dict[str, str]] = {"parameter": {}, "tag": {}, "metric": {}}
    for value in sorted(values, key=lambda value: value.key):
        kinds[value.kind][value.key] = value.text
    fields = {name: getattr(row, name) for name in Row.__struct_fields__}
    metrics: dict[str, float | None] = {key: float(text) for key, text in kinds["metric"].items()}
    return Run(**fields, parameters=kinds["parameter"], tags=kinds["tag"], metrics=metrics)


def write_texts(session: Session, id: str, kind: str, texts: Mapping[str, str]) -> None:
    """Write parameters or tags of a run.

    Raises:
        Conflict: a parameter is there with another value.
    """
    before = _values(session, id, kind, texts)
    if kind == "parameter":
        for key, value in before.items():
            if texts[key] != value.text:
                raise Conflict(
                    f"Parameter {key!r} of run {id} is {value.text!r} and cannot become {texts[key]!r}.",
                    hint="Parameters are written once: log what changes as a metric or a tag.",
                )
    now = session.clock.now()
    changed = {key: text for key, text in texts.items() if key not in before or before[key].text != text}
    _replace(session, id, kind, [Value(id, kind, key, text, None, 0, now, 1) for key, text in changed.items()])


def write_metrics(session: Session, id: str, points: Sequence[MetricPoint]) -> None:
    """Append metric points to a run: one block a key, and the latest value of each key beside."""
    now = session.clock.now()
    series: dict[str, list[MetricPoint]] = defaultdict(list)
    for point in points:
        series[point.key].append(point if point.at else msgspec.structs.replace(point, at=now))
    before = _values(session, id, "metric", series)
    blocks = [
        {"project": session.project, "run": id, "key": key, "count": len(logged), "points": pack(logged)}
        | {"first": before[key].points if key in before else 0}
        for key, logged in series.items()
    ]
    session.connection.execute(insert(metric_blocks), blocks)
    _replace(session, id, "metric", [_latest(id, before.get(key), logged) for key, logged in series.items()])


def _latest(id: str, before: Value | None, logged: Sequence[MetricPoint]) -> Value:
    known = [] if before is None else [MetricPoint(before.key, float(before.text), before.step, before.at)]
    newest = latest([*known, *logged])
    number = number_of(newest)
    kept = None if math.isnan(number) else number
    points = (before.points if before else 0) + len(logged)
    assert newest.at is not None  # write_metrics stamped every point
    return Value(id, "metric", newest.key, repr(number), kept, newest.step, newest.at, points)


def write_inputs(session: Session, row: Row, inputs: Iterable[str]) -> None:
    """Record the things that a run used, by URN, in the run and in the lineage."""
    fresh = [urn for urn in dict.fromkeys(inputs) if urn not in row.inputs]
    if not fresh:
        return
    mine = and_(runs.c.project == session.project, runs.c.id == row.id)
    session.execute(update(runs).where(mine).values(inputs=(*row.inputs, *fresh)))
    for urn in fresh:
        link(session, session.urn("run", row.id), urn, "used")


def rename(session: Session, id: str, name: str) -> None:
    """Give a running run another name."""
    running(session, id)
    _set(session, id, name=name[:NAME_LENGTH])
    session.emit(RunChanged(subject=session.urn("run", id), name=name[:NAME_LENGTH]))


def delete_tag(session: Session, id: str, key: str) -> None:
    """Take a tag from a running run.

    Raises:
        NotFound: it has no such tag.
    """
    row = running(session, id)
    here = and_(run_values.c.project == session.project, run_values.c.run == id, run_values.c.kind == "tag")
    if not session.execute(delete(run_values).where(here, run_values.c.key == key)):
        raise NotFound(f"Run {id} has no tag {key!r}.")
    session.emit(RunChanged(subject=session.urn("run", id), name=row.name, lost_tag=key))


def hide(session: Session, id: str) -> None:
    """Put a run out of sight, with all that it holds; once is enough."""
    if row_of(session, id).deleted is None:
        _set(session, id, deleted=session.clock.now())
        session.emit(RunDeleted(subject=session.urn("run", id)))


def restore(session: Session, id: str) -> None:
    """Bring a run back that was put out of sight."""
    if row_of(session, id).deleted is not None:
        _set(session, id, deleted=None)
        session.emit(RunRestored(subject=session.urn("run", id)))


def _set(session: Session, id: str, **columns: object) -> None:
    session.execute(update(runs).where(runs.c.project == session.project, runs.c.id == id).values(**columns))


def check_keys(*groups: Iterable[str]) -> None:
    """Let keys through that can be kept and searched for.

    Raises:
        InvalidInput: one is empty, too long, or has a control character or a backtick.
    """
    for group in groups:
        for key in group:
            if not key or len(key) > _KEY_LENGTH or not key.isprintable() or "`" in key:
                raise InvalidInput(
                    f"{key[:80]!r} is not a key.", hint=f"Use 1 to {_KEY_LENGTH} printable characters, no backtick."
                )


def _values(session: Session, id: str, kind: str, keys: Iterable[str]) -> dict[str, Value]:
    mine = and_(run_values.c.project == session.project, run_values.c.run == id, run_values.c.kind == kind)
    wanted = set(keys)
    return {value.key: value for value in session.all(Value, select(run_values).where(mine)) if value.key in wanted}


def _replace(session: Session, id: str, kind: str, values: Sequence[Value]) -> None:
    if not values:
        return
    for start in range(0, len(values), _PAGE):
        keys = [value.key for value in values[start : start + _PAGE]]
        session.execute(
            delete(run_values).where(
                run_values.c.project == session.project,
                run_values.c.run == id,
                run_values.c.kind == kind,
                run_values.c.key.in_(keys),
            )
        )
    session.connection.execute(
        insert(run_values), [msgspec.structs.asdict(value) | {"project": session.project} for value in values]
    )
