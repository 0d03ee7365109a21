"""What one can do with data: commit, derive and compare versions, look into them, check what is expected of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import delete, func, select

from everloop.catalog.session import Session
from everloop.datasets.checks import check_table, columns_of, require_columns
from everloop.datasets.content import read_table, resolve, snapshot_of, urn_of, write_table
from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import (
    CheckReport,
    Dataset,
    Expectation,
    ExpectationsSet,
    Format,
    Profile,
    References,
    Snapshot,
    SnapshotChecked,
    SnapshotDiff,
    Suite,
)
from everloop.datasets.formats import from_bytes
from everloop.datasets.tables import checks, datasets, profiles, snapshots, suites
from everloop.datasets.text import json_rows
from everloop.kernel.errors import InvalidInput
from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json, usecase
from everloop.store.entities import Digest

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_ROWS = 1000


@usecase("datasets.commit", permission="datasets:write", route="POST /datasets/{name}/snapshots", long=True)
def commit(session: Session, name: Name, digest: Digest, format: Format, note: str = "") -> Snapshot:
    """Commit a file that is in the store as a version of a dataset; equal content gives the version that has it.

    In CSV, empty and NA (unless quoted) are missing values, in every column.
    """
    table = from_bytes(session.ports.get(TableEngine), session.store.get(digest), format)
    return write_table(session, name, table, note=note)


@usecase("datasets.derive", permission="datasets:write", route="POST /datasets/{name}/derivations", long=True)
def derive(session: Session, name: Name, sql: str, inputs: tuple[str, ...], note: str = "") -> Snapshot:
    """Commit the result of a query over snapshots (`flights` or `flights@2`); the query calls them by their names."""
    sources = {reference: resolve(session, reference) for reference in inputs}
    tables = {source.dataset: read_table(session, source) for source in sources.values()}
    if len(tables) != len(inputs):
        raise InvalidInput("Two inputs are versions of one dataset.", hint="Derive in two steps.")
    parents = [urn_of(session, source) for source in sources.values()]
    result = session.ports.get(TableEngine).query(sql, tables)
    return write_table(session, name, result, parents, note or sql)


@usecase("datasets.list", permission="datasets:read", route="GET /datasets")
def list_datasets(session: Session) -> list[Dataset]:
    """Every dataset, by name."""
    query = select(datasets).where(datasets.c.project == session.project).order_by(datasets.c.name)
    return session.all(Dataset, query)


@usecase("datasets.get", permission="datasets:read", route="GET /datasets/{name}")
def get(session: Session, name: Name, version: int = 0) -> Snapshot:
    """A version of a dataset; 0 is the newest."""
    return snapshot_of(session, name, version)


@usecase("datasets.log", permission="datasets:read", route="GET /datasets/{name}/snapshots")
def log(session: Session, name: Name) -> list[Snapshot]:
    """Every version of a dataset, newest first."""
    newest = snapshot_of(session, name)
    here = (snapshots.c.project == session.project) & (snapshots.c.dataset == newest.dataset)
    return session.all(Snapshot, select(snapshots).where(here).order_by(snapshots.c.version.desc()))


@usecase("datasets.profile", permission="datasets:read", route="GET /datasets/{name}/profile")
def profile(session: Session, name: Name, version: int = 0) -> Profile:
    """What each column of a version holds: missing values, range, mean, quantiles, most frequent values."""
    found = snapshot_of(session, name, version)
    here = (profiles.c.project == session.project) & (profiles.c.dataset == name)
    kept: Profile = session.scalars(select(profiles.c.profile).where(here & (profiles.c.version == found.version)))[0]
    return kept


@usecase("datasets.preview", permission="datasets:read", route="GET /datasets/{name}/rows")
def preview(session: Session, name: Name, version: int = 0, limit: int = 20) -> list[dict[str, Json]]:
    """The first rows of a version; times are in ISO 8601."""
    table = read_table(session, snapshot_of(session, name, version))
    return json_rows(table.slice(0, max(0, min(limit, _MOST_ROWS))))


@usecase("datasets.diff", permission="datasets:read", route="GET /datasets/{name}/diff")
def diff(session: Session, name: Name, before: int, after: int = 0) -> SnapshotDiff:
    """How a dataset's columns and rows changed between two versions; 0 is the newest."""
    old, new = snapshot_of(session, name, before), snapshot_of(session, name, after)
    types_before = {column.name: column.type for column in old.columns}
    types_after = {column.name: column.type for column in new.columns}
    both = [column for column in types_before if column in types_after]
    return SnapshotDiff(
        dataset=name,
        before=old.version,
        after=new.version,
        rows_before=old.rows,
        rows_after=new.rows,
        added=tuple(column for column in types_after if column not in types_before),
        removed=tuple(column for column in types_before if column not in types_after),
        changed=tuple(
            (column, types_before[column], types_after[column])
            for column in both
            if types_before[column] != types_after[column]
        ),
        same_content=old.digest == new.digest,
    )


@usecase("datasets.expect", permission="datasets:write", route="PUT /datasets/{name}/expectations")
def expect(session: Session, name: Name, expectations: tuple[Expectation, ...]) -> Suite:
    """Say what is expected of a dataset from now on; it replaces what was expected before."""
    require_columns(expectations, snapshot_of(session, name).columns, name)
    here = (suites.c.project == session.project) & (suites.c.dataset == name)
    session.execute(delete(suites).where(here))
    suite = Suite(name, expectations, session.clock.now())
    session.insert(suites, suite)
    session.emit(ExpectationsSet(subject=session.urn("dataset", name), expectations=expectations))
    return suite


@usecase("datasets.expectations", permission="datasets:read", route="GET /datasets/{name}/expectations")
def expectations(session: Session, name: Name) -> Suite:
    """What is expected of a dataset."""
    here = (suites.c.project == session.project) & (suites.c.dataset == name)
    return session.one(
        Suite,
        select(suites).where(here),
        f"Nothing is expected of dataset {name!r}.",
        hint=f"Say what is: everloop datasets expect {name}.",
    )


@usecase("datasets.check", permission="datasets:write", route="POST /datasets/{name}/checks", long=True)
def check(session: Session, name: Name, version: int = 0) -> CheckReport:
    """Check a version against what is expected of its dataset, and keep the report."""
    with session.begin(write=False) as unit:
        snapshot, suite = snapshot_of(unit, name, version), expectations(unit, name)
    require_columns(suite.expectations, snapshot.columns, f"{name}@{snapshot.version}")
    used = {column for expectation in suite.expectations for column in columns_of(expectation)}
    table = read_table(session, snapshot, [column.name for column in snapshot.columns if column.name in used] or None)
    results = check_table(table, suite.expectations, lambda wanted: _keys(session, wanted))
    failed = [result for result in results if not result.passed and result.expectation.severity == "error"]
    report = CheckReport(name, snapshot.version, not failed, results, session.clock.now())
    with session.begin() as unit:
        unit.insert(checks, msgspec.structs.asdict(report) | {"number": _next_report(unit, name)})
        unit.emit(SnapshotChecked(subject=urn_of(unit, snapshot), passed=report.passed, failed=len(failed)))
    return report


@usecase("datasets.checks", permission="datasets:read", route="GET /datasets/{name}/checks")
def check_reports(session: Session, name: Name) -> list[CheckReport]:
    """The reports of a dataset's checks, newest first."""
    here = (checks.c.project == session.project) & (checks.c.dataset == snapshot_of(session, name).dataset)
    query = select(checks).where(here).order_by(checks.c.number.desc()).limit(_MOST_ROWS)
    return session.all(CheckReport, query)


def _next_report(unit: Session, name: str) -> int:
    here = (checks.c.project == unit.project) & (checks.c.dataset == name)
    return int(unit.scalars(select(func.coalesce(func.max(checks.c.number), 0)).where(here))[0]) + 1


def _keys(session: Session, expectation: References) -> pa.Table:
    return read_table(session, resolve(session, expectation.dataset), expectation.keys)
