"""Freeing for good: planned over one view of the catalog, done in short transactions that look again.

Killed between two of them, it leaves the rest hidden as it was, and nothing half: the next run goes on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from sqlalchemy import func, select

from everloop.catalog.schema import metadata
from everloop.catalog.session import Session
from everloop.catalog.tables import chain_head
from everloop.governance.runkeeping import candidates, needs
from everloop.governance.runkeeping.candidates import Asked, Candidate
from everloop.governance.runkeeping.entities import Freed, Kept, RunsGc
from everloop.kernel.ids import Urn
from everloop.tracking import purging
from everloop.tracking.purging import Extent
from everloop.tracking.tables import experiments, logged_models, runs
from everloop.tracking.traces import service as traces

_AT_ONCE = 50
"""So many runs share a transaction: others who write wait for some milliseconds."""
_BYTES_AT_ONCE = 4 << 20
_TRACES_AT_ONCE = 500


class Plan(msgspec.Struct, frozen=True):
    """What would be freed, in the order in which it would be, as of an entry of the ledger."""

    going: tuple[Candidate, ...]
    sizes: dict[str, Extent]
    experiments: tuple[str, ...]
    head: int
    report: RunsGc


def planned(session: Session, asked: Asked) -> Plan:
    """What may go and what stays, of all that was asked for."""
    with session.begin(write=False) as unit:
        head = head_of(unit)
        those = candidates.found(unit, asked)
        why = needs.stays(unit, those)
        going = [one for one in those if one.id not in why]
        sizes = purging.extents(unit, [one.id for one in going])
        gone, left = _closing(unit, asked, those, why)
        kept = [Kept(one.urn(unit), one.name, tuple(why[one.id])) for one in those if one.id in why]
        freed = [_freed(unit, one, sizes[one.id]) for one in going]
        freed += [Freed(unit.urn("experiment", name), name) for name in gone]
    return Plan(tuple(_children_first(going)), sizes, tuple(gone), head, _report(freed, kept + left))


def carried_out(session: Session, asked: Asked, plan: Plan) -> RunsGc:
    """Free what was planned, unless something came to need it meanwhile."""
    head = plan.head
    freed: list[Freed] = []
    kept: list[Kept] = []
    for batch in _batches(plan):
        with session.begin() as unit:
            done, spared = _free(unit, asked, batch, head)
            head = head_of(unit)
        freed += [_freed(session, one, plan.sizes[one.id]) for one in done]
        kept += spared
    for name in plan.experiments:
        if _close(session, asked, name):
            freed.append(Freed(session.urn("experiment", name), name))
        else:
            kept.append(Kept(session.urn("experiment", name), name, ("something is in it",)))
    returned = session.resources.database.reclaim() if freed else 0
    return msgspec.structs.replace(_report(freed, [*plan.report.kept, *kept]), returned_bytes=returned)


def exists(session: Session, thing: Urn) -> bool:
    """Whether there is what a URN of a run, experiment, logged model or model names."""
    names = {"run": (runs, "id"), "experiment": (experiments, "name"), "logged_model": (logged_models, "id")}
    if thing.kind in names:
        table, column = names[thing.kind]
    else:
        table, column = (
            (metadata.tables["model_versions"], "model") if thing.version else (metadata.tables["models"], "name")
        )
    query = select(func.count()).where(table.c.project == thing.project, table.c[column] == thing.name)
    if thing.version:
        if not thing.version.isdigit() or thing.kind != "model":
            return False
        query = query.where(table.c.version == int(thing.version))
    return bool(session.scalars(query)[0])


def _free(session: Session, asked: Asked, batch: Sequence[Candidate], head: int) -> tuple[list[Candidate], list[Kept]]:
    """Free those of a batch that may still go, in the transaction that is open."""
    why: needs.Reasons = defaultdict(list)
    for id in needs.mentioned(session, head, batch):
        why[id].append("something happened to it just now")
    left = candidates.still(session, asked, batch)
    present = [one for one in batch if one.id in left]
    needs.now(session, present, why)
    going = [one for one in present if not why[one.id]]
    ids = [one.id for one in going if one.kind == "run"]
    if ids:
        purging.purge_runs(session, ids)
    purging.purge_models(session, [one.id for one in going if one.kind == "logged_model"])
    spared = [Kept(one.urn(session), one.name, tuple(why[one.id])) for one in present if why[one.id]]
    return going, spared


def _closing(
    session: Session, asked: Asked, those: Iterable[Candidate], why: needs.Reasons
) -> tuple[list[str], list[Kept]]:
    """The hidden experiments in which nothing would be left, and the others."""
    names = candidates.hidden_experiments(session, asked)
    held = needs.held(session, (session.urn("experiment", name) for name in names))
    staying: dict[str, list[str]] = defaultdict(list)
    for one in those:
        if one.id in why:
            staying[one.experiment].append(one.urn(session))
    for name in names:
        urn = session.urn("experiment", name)
        staying[name] = [*held.get(urn, ()), *staying[name]]
    kept = [Kept(session.urn("experiment", name), name, tuple(staying[name])) for name in names if staying[name]]
    return [name for name in names if not staying[name]], kept


def _close(session: Session, asked: Asked, name: str) -> bool:
    """Free an experiment with its traces, if nothing else is left in it; whether it is gone."""
    while True:
        with session.begin() as unit:
            urn = unit.urn("experiment", name)
            if name not in candidates.hidden_experiments(unit, asked) or needs.held(unit, [urn]):
                return False
            old = traces.oldest(unit, name, unit.clock.now(), _TRACES_AT_ONCE)
            if not old:
                return purging.purge_experiment(unit, name)
            traces.remove(unit, old)


def _children_first(those: Sequence[Candidate]) -> list[Candidate]:
    """Those runs so that a child goes before its parent: killed in between, no child is left without."""
    parents = {one.id: one.parent for one in those}

    def depth(id: str) -> int:
        passed: set[str] = set()
        while id in parents and id not in passed:
            passed.add(id)
            id = parents[id]
        return len(passed)

    return sorted(those, key=lambda one: (-depth(one.id), one.id))


def _batches(plan: Plan) -> Iterator[list[Candidate]]:
    batch: list[Candidate] = []
    size = 0
    for one in plan.going:
        size += plan.sizes[one.id].bytes
        if batch and (len(batch) == _AT_ONCE or size > _BYTES_AT_ONCE):
            yield batch
            batch, size = [], plan.sizes[one.id].bytes
        batch.append(one)
    yield from [batch] if batch else []


def _freed(session: Session, one: Candidate, size: Extent) -> Freed:
    return Freed(one.urn(session), one.name, size.bytes, size.files, size.files_bytes)


def _report(freed: Sequence[Freed], kept: Sequence[Kept]) -> RunsGc:
    totals = (sum(one.bytes for one in freed), sum(one.files for one in freed), sum(one.files_bytes for one in freed))
    return RunsGc(tuple(freed), tuple(kept), *totals)


def head_of(session: Session) -> int:
    """The number of the ledger's newest entry."""
    found = session.connection.execute(select(chain_head.c.sequence)).scalar()
    return int(found or 0)
