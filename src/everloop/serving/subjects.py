"""Subjects in the logs: predictions that were asked for them, and labels that came back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from everloop.catalog.session import Session
from everloop.datasets.splits.entities import Sighting, Subject
from everloop.serving.entities import Endpoint
from everloop.serving.inferencelog import ENTITY, FEATURE, LogReader
from everloop.serving.labellog import LabelReader
from everloop.serving.service import list_endpoints

if TYPE_CHECKING:
    import pyarrow as pa


class LoggedSubjects:
    """Finds a subject in the inference logs (as key, entity or input of a prediction) and among the labels."""

    def find(self, session: Session, subject: Subject) -> Sequence[Sighting]:
        """An entry for each log that has it."""
        with session.begin(write=False) as unit:
            endpoints = list_endpoints(unit)
        found = [seen for endpoint in endpoints for seen in _in_logs(session, endpoint, subject)]
        return [seen for seen in found if seen.count]


def _in_logs(session: Session, endpoint: Endpoint, subject: Subject) -> list[Sighting]:
    urn = session.urn("endpoint", endpoint.name)
    is_key = endpoint.label_key == subject.column
    columns = [FEATURE + subject.column, ENTITY + subject.column, *(["key"] if is_key else [])]
    predictions = LogReader(session.home, session.project, endpoint.name).since()[0]
    found = [Sighting(urn, sum(_rows(batch, columns, subject.value) for batch in predictions), "logged predictions")]
    if is_key:
        labels = LabelReader(session.home, session.project, endpoint.name).since()[0]
        found.append(Sighting(urn, sum(_rows(batch, ["key"], subject.value) for batch in labels), "labels"))
    return found


def _rows(batch: pa.RecordBatch, columns: Sequence[str], value: str) -> int:
    """The rows that have the value in one of the columns."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pa.array([False] * batch.num_rows)
    for name in columns:
        if name in batch.schema.names:
            found = pc.or_(found, pc.fill_null(pc.equal(batch.column(name).cast(pa.string()), value), False))
    return int(pc.sum(found).as_py() or 0)
