"""What one can expect of data, and whether it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import delete, func, select

from everloop.catalog.session import Session
from everloop.datasets.content import read_table, resolve, snapshot_of, urn_of
from everloop.datasets.quality.checks import check_table, columns_of, require_columns
from everloop.datasets.quality.entities import CheckReport, ExpectationsSet, SnapshotChecked, Suite
from everloop.datasets.quality.expectations import Expectation, References
from everloop.datasets.quality.tables import checks, suites
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_ROWS = 1000


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
