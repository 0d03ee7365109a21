"""Where suites stand in the way: before a commit or a merge, before a step trains, before a model is deployed.

A version passes a gate when its newest report under the suite in force says so; one that was not checked under it is
checked there and then. Data that nothing is expected of passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy import delete, select

from everloop.catalog.session import Session
from everloop.datasets.content import resolve
from everloop.datasets.entities import Snapshot
from everloop.datasets.gates import Candidate
from everloop.datasets.quality.entities import CheckReport, CheckResult, Suite
from everloop.datasets.quality.parts import source_of_content
from everloop.datasets.quality.service import check, examine
from everloop.datasets.quality.suites.entities import (
    GateOverridden,
    GatesSet,
    Gating,
    Place,
    SuiteDeclaration,
)
from everloop.datasets.quality.suites.tables import gatings
from everloop.datasets.quality.tables import checks, suites
from everloop.datasets.quality.words import finding_of
from everloop.kernel.errors import Refused

_SHOWN = 5
"""So many failures a refusal names."""
_LOOKED_AT = 20
"""Among so many of its newest reports one under the suite in force is looked for."""
_keeping: ContextVar[frozenset[str]] = ContextVar("everloop_keeping", default=frozenset())


def gating_of(session: Session, dataset: str) -> Gating:
    """Where the suite of a dataset gates; nowhere, unless that was said."""
    here = (gatings.c.project == session.project) & (gatings.c.dataset == dataset)
    with session.begin(write=False) as unit:
        return unit.first(Gating, select(gatings).where(here)) or Gating(dataset)


def set_gating(unit: Session, declared: SuiteDeclaration) -> Gating:
    """Let the suite of a dataset gate where a declaration says, and nowhere else."""
    before = gating_of(unit, declared.dataset)
    gates = tuple(dict.fromkeys(declared.gates))
    if (before.gates, before.on_failure) == (gates, declared.on_failure):
        return before
    unit.execute(delete(gatings).where(gatings.c.project == unit.project, gatings.c.dataset == declared.dataset))
    made = Gating(declared.dataset, gates, declared.on_failure, unit.clock.now())
    unit.insert(gatings, made)
    urn = unit.urn("dataset", declared.dataset)
    unit.emit(GatesSet(subject=urn, gates=gates, on_failure=declared.on_failure))
    return made


def suite_of(session: Session, dataset: str) -> Suite | None:
    """What is expected of a dataset, if anything is."""
    here = (suites.c.project == session.project) & (suites.c.dataset == dataset)
    with session.begin(write=False) as unit:
        return unit.first(Suite, select(suites).where(here))


def verdict_of(session: Session, snapshot: Snapshot) -> CheckReport | None:
    """The newest report of a version under the suite in force, made now if there is none; none without a suite."""
    suite = suite_of(session, snapshot.dataset)
    if suite is None or not suite.expectations:
        return None
    here = (checks.c.project == session.project) & (checks.c.dataset == snapshot.dataset)
    query = select(checks).where(here & (checks.c.version == snapshot.version)).order_by(checks.c.number.desc())
    with session.begin(write=False) as unit:
        reports = unit.all(CheckReport, query.limit(_LOOKED_AT))
    asked = suite.expectations
    under = (report for report in reports if tuple(result.expectation for result in report.results) == asked)
    return next(under, None) or check(session, snapshot.dataset, snapshot.version)


def require_checks(session: Session, snapshot: Snapshot | str) -> None:
    """Let a version pass that meets what is expected of its dataset.

    Raises:
        Refused: its newest report says that it does not; with what was found.
    """
    found = resolve(session, snapshot) if isinstance(snapshot, str) else snapshot
    report = verdict_of(session, found)
    if report is not None and not report.passed:
        raise refusal(
            f"{found.dataset}@{found.version} fails", report.results, f"datasets check-report {found.dataset}"
        )


def require_at(session: Session, snapshot: Snapshot, place: Place) -> None:
    """The same, where the dataset's suite gates at a place.

    Raises:
        Refused: it gates there, and the version does not pass.
    """
    if place in gating_of(session, snapshot.dataset).gates:
        require_checks(session, snapshot)


def refusal(what: str, results: tuple[CheckResult, ...], command: str) -> Refused:
    """The error that says which expectations failed."""
    failed = failures_in(results)
    more = f" (and {len(failed) - _SHOWN} more)" if len(failed) > _SHOWN else ""
    told = "; ".join(finding_of(result) for result in failed[:_SHOWN])
    counted = f"{len(failed)} of {len(results)} expectations"
    return Refused(f"{what} {counted}: {told}{more}.", hint=f"See everloop {command}.")


def failures_in(results: tuple[CheckResult, ...]) -> list[CheckResult]:
    """The results that make a check fail: those of severity `error` that did not pass."""
    return [result for result in results if not result.passed and result.expectation.severity == "error"]


@contextmanager
def keeping(dataset: str) -> Iterator[None]:
    """Let commits to a dataset pass their gate in this block, with a line in the ledger for each that should not."""
    token = _keeping.set(_keeping.get() | {dataset})
    try:
        yield
    finally:
        _keeping.reset(token)


class ChecksGate:
    """The gate before commits and merges: the rows that are about to be a version, against the dataset's suite.

    Rows are those of a table, here or elsewhere, and of the tables among files.
    """

    def ask(self, session: Session, candidate: Candidate) -> None:
        """Let a version pass, or refuse it.

        Raises:
            Refused: the suite gates here, and the rows fail it.
        """
        if candidate.place not in gating_of(session, candidate.dataset).gates:
            return
        results = self._results(session, candidate)
        failed = failures_in(results)
        if not failed:
            return
        if candidate.dataset not in _keeping.get():
            raise refusal(
                f"This {candidate.place} to {candidate.dataset} fails",
                results,
                f"datasets expectations {candidate.dataset}; a commit with on_failure=quarantine sets the rows aside",
            )
        with session.begin() as unit:
            told = tuple(finding_of(result) for result in failed)
            unit.emit(GateOverridden(subject=unit.urn("dataset", candidate.dataset), failed=told))

    def _results(self, session: Session, candidate: Candidate) -> tuple[CheckResult, ...]:
        suite = suite_of(session, candidate.dataset)
        if suite is None or not suite.expectations:
            return ()
        rows = candidate.table
        if rows is None:
            rows = source_of_content(session, candidate.content, f"This {candidate.place} to {candidate.dataset}")
        return examine(session, candidate.dataset, rows, suite.expectations)
