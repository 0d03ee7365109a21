"""Batches that an endpoint answers: by its traffic and features, into its inference log, with ids to join labels by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec
import numpy as np
import pyarrow as pa
from blake3 import blake3

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.registry.entities import Field
from everloop.serving.batch.entities import PREDICTION, VERSION, Job
from everloop.serving.batch.inputcolumns import InputColumns
from everloop.serving.predictor import EndpointPredictor

ID = "prediction_id"
_ROWS = 2_048
"""Rows in a request: a power of two, so that rows that were refused are asked for again by the same cuts."""


class EndpointAnswerer:
    """An endpoint. Requests are named by their rows: one that comes again, after a kill, gets the logged answer."""

    def __init__(self, predictor: EndpointPredictor, job: Job, fields: tuple[Field, ...]) -> None:
        self.columns = InputColumns(fields)
        self._predictor = predictor
        self._job = blake3(msgspec.json.encode(job)).hexdigest(length=8)

    @classmethod
    @contextmanager
    def of(cls, session: Session, job: Job) -> Iterator[EndpointAnswerer]:
        """The endpoint of a job, open.

        Raises:
            InvalidInput: it answers with another model.
        """
        predictor = EndpointPredictor(session, job.endpoint)
        try:
            endpoint = predictor.routing.endpoint
            if endpoint.model != job.model:
                raise InvalidInput(
                    f"Endpoint {job.endpoint!r} answers with {endpoint.model!r}, not with {job.model!r}.",
                    hint="Name its model, or another endpoint.",
                )
            yield cls(predictor, job, predictor.routing.inputs)
        finally:
            predictor.close()

    def answer(self, batch: pa.RecordBatch, first: int) -> Mapping[str, pa.Array]:
        """The endpoint's answers once they are in its log."""
        answers = [self._asked(batch.slice(at, _ROWS), first + at) for at in range(0, batch.num_rows, _ROWS)]
        return {name: pa.concat_arrays([answer[name] for answer in answers]) for name in answers[0]}

    def empty(self) -> Mapping[str, pa.Array]:
        """The columns without rows."""
        return {
            ID: pa.array([], pa.string()),
            PREDICTION: pa.array([], pa.float64()),
            VERSION: pa.array([], pa.int32()),
        }

    def _asked(self, batch: pa.RecordBatch, first: int) -> Mapping[str, pa.Array]:
        name = f"batch-{self._job}-{first}-{batch.num_rows}"
        columns = dict(self.columns(batch))
        answer = self._predictor.predict(columns, name)
        return {
            ID: pa.array(list(answer.prediction_ids), pa.string()),
            PREDICTION: pa.array(answer.outputs, from_pandas=True),
            VERSION: pa.array(np.asarray(answer.model_versions, np.int32)),
        }


def asked_of(session: Session, job: Job) -> tuple[str, ...]:
    """The columns that a request to a job's endpoint brings along."""
    from everloop.serving.variants import load_routing

    return tuple(field.name for field in load_routing(session, job.endpoint).inputs)
