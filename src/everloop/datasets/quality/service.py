"""What one can expect of data, and whether it holds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import delete, func, select

from everloop.catalog.session import Session
from everloop.datasets.content import snapshot_of, urn_of
from everloop.datasets.quality.checks import Check, Source, source_of
from everloop.datasets.quality.engine import CheckEngine
from everloop.datasets.quality.entities import CheckReport, CheckResult, ExpectationsSet, SnapshotChecked, Suite
from everloop.datasets.quality.expectations import Expectation
from everloop.datasets.quality.parts import source_of_version
from everloop.datasets.quality.refusals import require_columns
from everloop.datasets.quality.surroundings import SessionSurroundings
from everloop.datasets.quality.tables import checks, suites
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_ROWS = 1000


@usecase("datasets.expect", permission="datasets:write", route="PUT /datasets/{name}/expectations")
def expect(session: Session, name: Name, expectations: tuple[Expectation, ...]) -> Suite:
    """Say what is expected of a dataset from now on; it replaces what was expected before."""
    newest = snapshot_of(session, name)
    if newest.kind == "table":  # What files hold is known when they are checked.
        require_columns(expectations, newest.columns, name)
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
def check(session: Session, name: Name, version: int = 0, suite: tuple[Expectation, ...] = ()) -> CheckReport:
    """Check a version against what is expected of its dataset, or against another suite, and keep the report.

    An expectation that cannot be judged, such as of a column that is gone, fails and says why.
    """
    with session.begin(write=False) as unit:
        snapshot = snapshot_of(unit, name, version)
        asked = suite or expectations(unit, name).expectations
    began = time.perf_counter()
    run = Check(
        partial(session.ports.get, CheckEngine),
        source_of_version(session, snapshot),
        SessionSurroundings(session, name, snapshot),
    )
    results = run.run(asked)
    failed = [result for result in results if not result.passed and result.expectation.severity == "error"]
    report = CheckReport(
        name,
        snapshot.version,
        not failed,
        results,
        session.clock.now(),
        parts=len(run.source.parts),
        read=len(run.read),
        seconds=time.perf_counter() - began,
    )
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


def examine(
    session: Session, dataset: str, rows: pa.Table | Source, expectations: Sequence[Expectation]
) -> tuple[CheckResult, ...]:
    """How rows that are no version yet fare; history is that of all versions of main."""
    source = rows if isinstance(rows, Source) else source_of(rows)
    return Check(session.ports.get(CheckEngine), source, SessionSurroundings(session, dataset)).run(expectations)


def failing_rows(session: Session, dataset: str, table: pa.Table, expectation: Expectation) -> list[int]:
    """Every row that fails an expectation, by number from 0; none where what fails is the whole, such as a mean."""
    around = SessionSurroundings(session, dataset)
    return Check(session.ports.get(CheckEngine), source_of(table), around).failing(expectation)
