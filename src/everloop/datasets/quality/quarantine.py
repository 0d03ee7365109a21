"""Quarantine: rows that fail are set aside with their reasons, and the rest goes on. Nothing is lost on the way.

A row is set aside when an expectation of severity `error` failed and the row is among those that made it fail; of
rows that should be unique the first stays. Expectations of the whole (sizes, means, freshness) set no row aside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from everloop.catalog.lineage import link
from everloop.catalog.session import Session
from everloop.datasets.content import commit_table, read_table, urn_of
from everloop.datasets.entities import Change, Snapshot
from everloop.datasets.quality import gating
from everloop.datasets.quality.checks import source_of
from everloop.datasets.quality.engine import CheckEngine, RowWise
from everloop.datasets.quality.expectations import Expectation, Increasing, References, Unique
from everloop.datasets.quality.refusals import columns_of, problem
from everloop.datasets.quality.service import examine
from everloop.datasets.quality.suites.entities import OnFailure, Quarantined, RowsQuarantined
from everloop.datasets.quality.surroundings import SessionSurroundings
from everloop.datasets.quality.words import sentence_of
from everloop.kernel.errors import InvalidInput, NotFound, Refused

if TYPE_CHECKING:
    import pyarrow as pa

REASONS = "_reasons"
"""The column of a quarantine that says why each row is in it."""
SUFFIX = ".quarantine"


class Split(msgspec.Struct, frozen=True):
    """Rows that pass, rows that fail with the column of their reasons, and how many rows each reason sets aside."""

    clean: pa.Table
    bad: pa.Table
    reasons: dict[str, int]


def split_rows(session: Session, dataset: str, table: pa.Table, expectations: Sequence[Expectation]) -> Split:
    """The rows of a table that pass, in their order, and those that fail, in theirs."""
    import numpy as np
    import pyarrow as pa

    said: dict[int, list[str]] = {}
    counts: dict[str, int] = {}
    for result in gating.failures_in(examine(session, dataset, table, expectations)):
        rows = _failing(session, dataset, table, result.expectation)
        reason = sentence_of(result.expectation)
        for row in rows:
            said.setdefault(row, []).append(reason)
        if rows:
            counts[reason] = len(rows)
    keep = np.ones(table.num_rows, dtype=bool)
    places = sorted(said)
    keep[places] = False
    reasons = pa.array(["; ".join(said[row]) for row in places], pa.string())
    bad = table.take(pa.array(places, pa.int64()))
    return Split(table.filter(pa.array(keep)), bad.append_column(_free(REASONS, table), reasons), counts)


def split_version(session: Session, snapshot: Snapshot) -> Quarantined:
    """Split a version: its failing rows into the quarantine, the rest as the next version of its branch.

    Raises:
        NotFound: nothing is expected of the dataset.
    """
    suite = gating.suite_of(session, snapshot.dataset)
    if suite is None:
        raise NotFound(
            f"Nothing is expected of dataset {snapshot.dataset!r}.",
            hint=f"Say what is: everloop datasets expect {snapshot.dataset}.",
        )
    split = split_rows(session, snapshot.dataset, read_table(session, snapshot), suite.expectations)
    if not split.bad.num_rows:
        return Quarantined(snapshot.rows, snapshot, None)
    change = Change(
        note=f"Version {snapshot.version} without {split.bad.num_rows:,} rows that fail",
        parents=(urn_of(session, snapshot),),
        branch=snapshot.branch,
    )
    return _keep(
        session, snapshot.dataset, split, change, lambda rows: commit_table(session, snapshot.dataset, rows, change)
    )


def admit(
    session: Session, name: str, table: pa.Table, on_failure: OnFailure, commit: Callable[[pa.Table], Snapshot]
) -> Snapshot:
    """Commit rows as their dataset's suite, or `on_failure`, wants it: all, all or none, or those that pass.

    Raises:
        Refused: rows fail, and they are to be refused; or none passes.
    """
    gate = gating.gating_of(session, name)
    gated = "commit" in gate.gates
    wanted = on_failure or (gate.on_failure if gated else "keep")
    suite = gating.suite_of(session, name)
    if suite is None or (wanted == "keep" and not gated) or (wanted == "refuse" and gated):
        return commit(table)
    if wanted == "keep":
        with gating.keeping(name):
            return commit(table)
    if wanted == "refuse":
        _require(session, name, table, suite.expectations)
        return commit(table)
    split = split_rows(session, name, table, suite.expectations)
    if not split.bad.num_rows:
        _require(session, name, table, suite.expectations)
        return commit(table)
    made = _keep(session, name, split, Change(), commit)
    if made.clean is None:
        raise Refused(
            f"None of the {table.num_rows:,} rows passes what is expected of {name}: there is no new version.",
            hint=f"They are in {name}{SUFFIX}, with the reasons.",
        )
    return made.clean


def _keep(
    session: Session, name: str, split: Split, change: Change, commit: Callable[[pa.Table], Snapshot]
) -> Quarantined:
    """Write the quarantine first, so that no row is in neither if the machine stops between the two."""
    suite = gating.suite_of(session, name)
    if suite is not None and split.clean.num_rows:
        _require(session, name, split.clean, suite.expectations)
    into = f"{name}{SUFFIX}"
    if len(into) > 128:
        raise InvalidInput(f"{into!r} is too long a name for a dataset.", hint="Names have up to 128 characters.")
    note = f"{split.bad.num_rows:,} rows that {name} does not take: {'; '.join(split.reasons)}"
    bad = commit_table(session, into, split.bad, Change(note=note, parents=change.parents))
    clean = commit(split.clean) if split.clean.num_rows else None
    rows = split.clean.num_rows + split.bad.num_rows
    with session.begin() as unit:
        source = urn_of(unit, clean) if clean else unit.urn("dataset", name)
        link(unit, urn_of(unit, bad), source, "quarantined_from")
        unit.emit(
            RowsQuarantined(
                subject=source,
                rows=rows,
                quarantined=split.bad.num_rows,
                into=urn_of(unit, bad),
            )
        )
    return Quarantined(rows, clean, bad, split.reasons)


def _failing(session: Session, dataset: str, table: pa.Table, expectation: Expectation) -> list[int]:
    """The rows that make an expectation fail, by their place; none where it is about the whole, or cannot be judged."""
    engine, around = session.ports.get(CheckEngine), SessionSurroundings(session, dataset)
    types = {column.name: column.type for column in source_of(table).columns}
    if problem(expectation, types, dataset):
        return []
    if isinstance(expectation, RowWise):
        (part,) = source_of(table).parts
        return engine.failing(part, expectation, table.num_rows)[0]
    if not isinstance(expectation, Unique | References | Increasing):
        return []
    other = around.rows(expectation.dataset, expectation.keys) if isinstance(expectation, References) else None
    found = engine.whole(table.select(list(dict.fromkeys(columns_of(expectation)))), expectation, other, table.num_rows)
    return list(found.rows)


def _require(session: Session, name: str, table: pa.Table, expectations: Sequence[Expectation]) -> None:
    results = examine(session, name, table, expectations)
    if gating.failures_in(results):
        raise gating.refusal(f"This commit to {name} fails", results, f"datasets expectations {name}")


def _free(name: str, table: pa.Table) -> str:
    while name in table.column_names:
        name = f"_{name}"
    return name
