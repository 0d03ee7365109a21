"""What one can do with suites: apply, import, export and suggest them, let them gate, tell of them, set rows aside."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from sqlalchemy import delete, select

from everloop.catalog.session import Session
from everloop.datasets.content import snapshot_of
from everloop.datasets.quality import gating, importers
from everloop.datasets.quality.entities import ExpectationsSet, Suite
from everloop.datasets.quality.importers.taken import Taken
from everloop.datasets.quality.refusals import problem, require_columns
from everloop.datasets.quality.service import expectations as suite_in_force
from everloop.datasets.quality.suitefile import Comments, comments_in, read_suite, write_suite
from everloop.datasets.quality.suites.entities import (
    AppliedSuite,
    Gating,
    ImportedSuite,
    NotTaken,
    Place,
    Quarantined,
    SuiteDeclaration,
    SuiteFormat,
)
from everloop.datasets.quality.suites.tables import written
from everloop.datasets.quality.tables import suites
from everloop.datasets.quality.words import sentence_of
from everloop.kernel.errors import NotFound
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase

Text = Annotated[str, msgspec.Meta(extra={"file": True})]
"""The content of a file: the command line takes @FILE."""


@usecase("datasets.apply_suites", permission="datasets:write", route="PUT /suites")
def apply_suites(session: Session, declared: tuple[SuiteDeclaration, ...]) -> list[AppliedSuite]:
    """Put suites in force, each with where it gates; one that is in force already stays as it is.

    A suite may be there before its dataset is: then it judges the first commit, if it gates commits.

    Raises:
        InvalidInput: an expectation cannot be right for the dataset's newest version.
    """
    return [_install(session, suite) for suite in declared]


@usecase("datasets.import_suite", permission="datasets:write", route="POST /datasets/{name}/suite")
def import_suite(
    session: Session, name: Name, text: Text, format: SuiteFormat = "yaml", dry_run: bool = False
) -> ImportedSuite:
    """Put a suite in force that a file holds: our YAML, pandera's, Great Expectations', dbt's, or an ODCS contract.

    The answer lists what was taken, and what was not with the reason; with `dry_run` nothing is changed. A foreign
    suite says nothing of gates, so those that are set stay.

    Raises:
        InvalidInput: the file is not of that format; with the line where it has any.
    """
    if format == "yaml":
        found = ImportedSuite(read_suite(text, name))
    else:
        taken = _sensible(session, name, importers.READERS[format](text, name))
        now = gating.gating_of(session, name)
        declared = SuiteDeclaration(
            dataset=name, expectations=taken.expectations, gates=now.gates, on_failure=now.on_failure
        )
        found = ImportedSuite(declared, taken.not_taken, taken.notes)
    if dry_run:
        return found
    _install(session, found.declaration)
    _keep_text(session, name, text if format == "yaml" else "")
    return ImportedSuite(found.declaration, found.not_taken, found.notes, installed=True)


@usecase("datasets.export_suite", permission="datasets:read", route="GET /datasets/{name}/suite")
def export_suite(session: Session, name: Name, format: Literal["yaml", "great_expectations"] = "yaml") -> str:
    """The suite in force as a file: YAML with the comments it was imported with, or for another tool.

    What another tool cannot say is listed in the file's notes, never left out in silence.
    """
    suite = suite_in_force(session, name)
    if format != "yaml":
        return importers.WRITERS[format](name, suite.expectations)
    now = gating.gating_of(session, name)
    declared = SuiteDeclaration(
        dataset=name, expectations=suite.expectations, gates=now.gates, on_failure=now.on_failure
    )
    return write_suite(declared, _comments(session, name))


@usecase("datasets.suggest", permission="datasets:read", route="GET /datasets/{name}/suggestion", long=True)
def suggest(session: Session, name: Name, version: int = 0) -> str:
    """A suite that a version passes, inferred from its profile, with the reasons as comments: a file to edit.

    Nothing is put in force: `everloop datasets suggest flights > flights.checks.yaml`, look it over, then import it.
    """
    from everloop.datasets.quality.suggestion import suggested

    return suggested(session, snapshot_of(session, name, version))


@usecase("datasets.gate", permission="datasets:write", route="PUT /datasets/{name}/gates")
def gate(
    session: Session, name: Name, at: tuple[Place, ...], on_failure: Literal["refuse", "quarantine"] = "refuse"
) -> Gating:
    """Let the suite of a dataset stand in the way at some places (commit, merge, training, deployment), or at none."""
    return gating.set_gating(session, SuiteDeclaration(dataset=name, expectations=(), gates=at, on_failure=on_failure))


@usecase("datasets.gates", permission="datasets:read", route="GET /datasets/{name}/gates")
def gates(session: Session, name: Name) -> Gating:
    """Where the suite of a dataset stands in the way, and what becomes of a commit that fails it."""
    return gating.gating_of(session, name)


@usecase("datasets.check_report", permission="datasets:read", route="GET /datasets/{name}/report", long=True)
def check_report(
    session: Session, name: Name, number: int = 0, format: Literal["markdown", "html"] = "markdown"
) -> str:
    """A report of a check as a page of its own: Markdown for a pull request, HTML with plots; 0 is the newest.

    Raises:
        NotFound: the dataset was not checked yet, or not as often.
    """
    from everloop.datasets.quality import report

    return report.written(session, name, number, format)


@usecase("datasets.quarantine", permission="datasets:write", route="POST /datasets/{name}/quarantine", long=True)
def quarantine(session: Session, name: Name, version: int = 0) -> Quarantined:
    """Set the rows of a version aside that fail: they become `<name>.quarantine`, the rest the next version.

    Each row that is set aside tells its reasons in the column `_reasons`. Where no row fails, nothing is made.

    Raises:
        NotFound: nothing is expected of the dataset.
    """
    from everloop.datasets.quality.quarantine import split_version

    return split_version(session, snapshot_of(session, name, version))


def _install(session: Session, declared: SuiteDeclaration) -> AppliedSuite:
    name = declared.dataset
    try:
        newest = snapshot_of(session, name)
    except NotFound:
        newest = None
    if newest is not None and newest.kind == "table":
        require_columns(declared.expectations, newest.columns, name)
    before, now = gating.suite_of(session, name), gating.gating_of(session, name)
    changed = before is None or before.expectations != declared.expectations
    if changed:
        session.execute(delete(suites).where(suites.c.project == session.project, suites.c.dataset == name))
        session.insert(suites, Suite(name, declared.expectations, session.clock.now()))
        session.emit(ExpectationsSet(subject=session.urn("dataset", name), expectations=declared.expectations))
    after = gating.set_gating(session, declared)
    return AppliedSuite(name, len(declared.expectations), after.gates, changed or after != now)


def _sensible(session: Session, name: str, taken: Taken) -> Taken:
    """What was taken without that which makes no sense for the dataset's newest version: that joins the rest."""
    try:
        newest = snapshot_of(session, name)
    except NotFound:
        return taken
    types = {column.name: column.type for column in newest.columns}
    wrong = {place: problem(one, types, name) for place, one in enumerate(taken.expectations)}
    kept = tuple(one for place, one in enumerate(taken.expectations) if not wrong[place])
    left = tuple(NotTaken(sentence_of(taken.expectations[place]), why) for place, why in wrong.items() if why)
    return Taken(kept, (*taken.not_taken, *left), taken.notes)


def _keep_text(session: Session, name: str, text: str) -> None:
    session.execute(delete(written).where(written.c.project == session.project, written.c.dataset == name))
    if text:
        session.insert(written, {"dataset": name, "text": text})


def _comments(session: Session, name: str) -> Comments:
    here = (written.c.project == session.project) & (written.c.dataset == name)
    kept = session.scalars(select(written.c.text).where(here))
    return comments_in(kept[0]) if kept else Comments()
