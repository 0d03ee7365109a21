"""Subjects in the logs: predictions that were asked for them, and labels that came back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from everloop.catalog.session import Session
from everloop.datasets.splits.entities import Sighting, Subject
from everloop.serving.entities import Endpoint
from everloop.serving.inferencelog import ENTITY, FEATURE, LogReader
from everloop.serving.labellog import LabelReader
from everloop.serving.logkeys import SEALED, LogKeys, log_keys
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
    keys = log_keys(session.home, session.project)
    values = [subject.value, *([keys.pseudonym(subject.value)] if keys.exist else [])]
    count = sum(_rows(batch, columns, values) + _sealed(batch, columns, subject.value, keys) for batch in predictions)
    found = [Sighting(urn, count, "logged predictions")]
    if is_key:
        labels = LabelReader(session.home, session.project, endpoint.name).since()[0]
        found.append(Sighting(urn, sum(_rows(batch, ["key"], values) for batch in labels), "labels"))
    return found


def _sealed(batch: pa.RecordBatch, columns: Sequence[str], value: str, keys: LogKeys) -> int:
    """The rows that have the value sealed in one of the columns."""
    found = 0
    for name in columns:
        if name in batch.schema.names and batch.schema.field(name).type == "string":
            sealed = [text for text in batch.column(name).to_pylist() if text is not None and text.startswith(SEALED)]
            found += sum(keys.open(text, name) == value for text in sealed)
    return found


def _rows(batch: pa.RecordBatch, columns: Sequence[str], values: Sequence[str]) -> int:
    """The rows that have one of the values in one of the columns."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pa.array([False] * batch.num_rows)
    for name in columns:
        if name in batch.schema.names:
            found = pc.or_(found, pc.is_in(batch.column(name).cast(pa.string()), pa.array(values)))
    return int(pc.sum(found).as_py() or 0)
