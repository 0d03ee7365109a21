"""Why a hidden run or logged model must stay: what else in the catalog needs it.

As with the store's bytes (`governance.retention`), areas need not register: every text of the catalog is read for ids,
but for those that only tell what was. So a forgotten mark keeps too much, and never too little.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain

from sqlalchemy import Column, RowMapping, String, Table, Text, select, type_coerce

from everloop.catalog import holds
from everloop.catalog.schema import Encoded, metadata
from everloop.catalog.session import Session
from everloop.catalog.tables import ledger, lineage
from everloop.governance.retention import HISTORY, name_of
from everloop.governance.runkeeping.candidates import Candidate
from everloop.tracking.tables import logged_models, runs

_TELLING = HISTORY | {
    *("lineage", "holds", "memo", "executions", "step_executions", "sweeps", "sweep_trials", "webhook_deliveries"),
    *("notices", "deliveries", "model_approvals"),
}
"""Tables that only tell what happened, or are asked by a query of their own below."""
_TRACKING = {
    "experiments",
    "runs",
    "logged_models",
    "traces",
    "trace_parts",
    "trace_links",
    "assessments",
    "run_purges",
}
_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_OF_MODELS = "m-"
"""What ids of logged models begin with that MLflow's clients made."""
_PAGE = 1_000
_IDLE = ("finished", "failed", "killed", "study")
"""What sweeps and executions are that nobody goes on with."""

Reasons = dict[str, list[str]]
"""Why each candidate stays, by id."""
Owners = dict[str, set[str]]
"""Whose an id is: a candidate's own, and a logged model's also of the run that would take it along."""


def stays(session: Session, those: Sequence[Candidate]) -> Reasons:
    """Why some of those that may go must stay, by id; with each stays what it comes from."""
    why: Reasons = defaultdict(list)
    owners = _owners(session, those)
    for id, name in set(_spelled(session, owners)):
        for owner in owners[id]:
            why[owner].append(name if id == owner else f"{name}, of its logged model {id}")
    now(session, those, why)
    return {id: sorted(set(reasons)) for id, reasons in why.items() if reasons}


def now(session: Session, those: Sequence[Candidate], why: Reasons) -> None:
    """Add what a few queries can tell: holds, what came from them, child runs, sweeps and pipelines that run."""
    owners = _owners(session, those)
    for one in those:
        if one.kind == "run" and one.status == "running" and one.deleted is None:
            why[one.id].append("it is running")
    _add_held(session, those, owners, why)
    _add_working(session, owners, why)
    _add_below(session, owners, why)


def mentioned(session: Session, after: int, those: Sequence[Candidate], but: tuple[str, ...] = ()) -> set[str]:
    """The ids that the ledger tells something of after an entry: whatever came to need them is among these.

    Events whose kinds begin with one of `but` are no reason.
    """
    owners = _owners(session, those)
    found: set[str] = set()
    query = select(ledger.c.kind, ledger.c.event).where(ledger.c.sequence > after)
    for kind, event in session.connection.execute(query.execution_options(yield_per=_PAGE)):
        for id in _ids_in(event) if not kind.startswith(but) else ():
            found |= owners.get(id, set())
    return found


def _owners(session: Session, those: Sequence[Candidate]) -> Owners:
    owners: Owners = {one.id: {one.id} for one in those}
    of_runs = select(logged_models.c.id, logged_models.c.run).where(logged_models.c.project == session.project)
    for page in _pages(one.id for one in those if one.kind == "run"):
        for model, run in session.connection.execute(of_runs.where(logged_models.c.run.in_(page))):
            owners.setdefault(model, set()).add(run)
    return owners


def held(session: Session, urns: Iterable[str]) -> dict[str, list[str]]:
    """The legal holds on some URNs, in words."""
    return {urn: [f"legal hold on {urn}: {hold.reason}"] for urn, hold in holds.among(session, urns).items()}


def _add_held(session: Session, those: Iterable[Candidate], owners: Owners, why: Reasons) -> None:
    urns: dict[str, set[str]] = defaultdict(set)
    for one in those:
        urns[session.urn("experiment", one.experiment)].add(one.id)
        urns[one.urn(session)].add(one.id)
    for id, whose in owners.items():
        urns[session.urn("logged_model", id)] |= whose
    for urn, words in held(session, urns).items():
        for owner in urns[urn]:
            why[owner] += words


def _add_working(session: Session, owners: Owners, why: Reasons) -> None:
    """Runs of sweeps and pipelines that go on."""
    sweeps, trials, executions = (metadata.tables[name] for name in ("sweeps", "sweep_trials", "executions"))
    going = (sweeps.c.project == session.project) & sweeps.c.status.not_in(_IDLE)
    tried = (trials.c.project == sweeps.c.project) & (trials.c.sweep == sweeps.c.number)
    running = executions.c.project == session.project, executions.c.status == "running"
    for query, what in (
        (select(sweeps.c.run, sweeps.c.name).where(going), "running sweep"),
        (select(trials.c.run, sweeps.c.name).where(going, tried), "a trial of running sweep"),
        (select(executions.c.run, executions.c.id).where(*running), "running execution"),
    ):
        for run, name in session.connection.execute(query):
            for owner in owners.get(run, ()):
                why[owner].append(f"{what} {name}")


def _add_below(session: Session, owners: Owners, why: Reasons) -> None:
    """What came from a candidate needs it, unless it goes itself: so reasons go up from a child to its parent."""
    above: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for thing, id, told in chain(_children(session, owners), _came_from(session, owners)):
        for owner in owners[id]:
            if thing not in owners:
                why[owner].append(told)
            for other in owners.get(thing, set()) - {owner}:
                above[other].add((owner, told))
    waiting = [id for id, reasons in why.items() if reasons]
    while waiting:
        for owner, told in above.pop(waiting.pop(), ()):
            why[owner].append(told)
            waiting.append(owner)


def _children(session: Session, owners: Owners) -> Iterator[tuple[str, str, str]]:
    """Child runs: the id of each, its parent's, and what it is."""
    query = select(runs.c.id, runs.c.parent).where(runs.c.project == session.project)
    for page in _pages(owners):
        for child, parent in session.connection.execute(query.where(runs.c.parent.in_(page))):
            yield child, parent, f"child run {child}"


def _came_from(session: Session, owners: Owners) -> Iterator[tuple[str, str, str]]:
    """Living things that lineage says came from candidates: the id of each (or its URN), and the candidate's."""
    names = {session.urn(kind, id): id for id in owners for kind in ("run", "logged_model")}
    for page in _pages(names):
        query = select(lineage.c.downstream, lineage.c.upstream).where(lineage.c.upstream.in_(page))
        for urn, upstream in session.connection.execute(query).all():
            thing = _alive(session, urn)
            if thing:
                yield thing, names[upstream], urn


def _alive(session: Session, urn: str) -> str:
    """What a URN names, if it is still there: the id of a run or logged model, the URN of anything else."""
    kind, _, rest = urn.partition(":")
    project, _, name = rest.partition("/")
    if kind in ("run", "logged_model"):
        table = runs if kind == "run" else logged_models
        here = table.c.project == project, table.c.id == name
        return name if session.scalars(select(table.c.id).where(*here)) else ""
    if kind in _LASTING:
        table, columns = metadata.tables[_LASTING[kind][0]], _LASTING[kind][1]
        title, _, version = name.rpartition("@")
        if not version.isdigit():
            return urn
        query = select(table.c.project).where(table.c.project == project, table.c[columns[0]] == title)
        return urn if session.scalars(query.where(table.c[columns[1]] == int(version))) else ""
    return "" if kind == "execution" else urn


_LASTING = {
    "model": ("model_versions", ("model", "version")),
    "dataset": ("snapshots", ("dataset", "version")),
    "package": ("packages", ("model", "version")),
    "deployment": ("deployments", ("endpoint", "revision")),
}
"""Kinds of URNs with the tables that hold what is there."""


def _spelled(session: Session, ids: Collection[str]) -> Iterator[tuple[str, str]]:
    """The ids among these that a text of the catalog spells, each with the name of what does."""
    for table in metadata.sorted_tables:
        if table.name in _TELLING or table.name in _TRACKING or "run" in table.primary_key.columns:
            continue
        columns = [column for column in table.columns if _may_spell(column)]
        for row in _rows(session, table, columns) if columns else ():
            for column in columns:
                text = row[f"spelled_{column.name}"]
                yield from ((id, name_of(table, row)) for id in _ids_in(text or "") if id in ids)


def _ids_in(text: str) -> Iterator[str]:
    """The ids that a text may spell: a run's, and a logged model's that has the same digits."""
    for digits in _ID.findall(text):
        yield digits
        yield _OF_MODELS + digits


def _rows(session: Session, table: Table, columns: Sequence[Column[object]]) -> Iterator[RowMapping]:
    texts = [type_coerce(column, Text).label(f"spelled_{column.name}") for column in columns]
    query = select(*table.primary_key.columns, *texts)
    for row in session.connection.execute(query.execution_options(yield_per=_PAGE)):
        yield row._mapping


def _may_spell(column: Column[object]) -> bool:
    kind = column.type
    return isinstance(kind, Encoded | Text) or (isinstance(kind, String) and (kind.length or 64) >= 32)


def _pages(names: Iterable[str]) -> Iterator[list[str]]:
    listed = sorted(names)
    for start in range(0, len(listed), _PAGE):
        yield listed[start : start + _PAGE]
