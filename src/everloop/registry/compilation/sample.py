"""Rows that a model is asked for in earnest: of its holdout, else of what it was trained on, else made up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from everloop.catalog.session import Session
from everloop.kernel.errors import EverloopError
from everloop.kernel.ids import parse_urn
from everloop.registry.columns import InputMatrix, columns_of
from everloop.registry.entities import Field, Model

if TYPE_CHECKING:
    from everloop.datasets.entities import Snapshot

ROWS = 1_024
_LARGEST = 1_000_000
"""Rows of a snapshot that is read for a sample: a larger one would take longer than what it tells is worth."""


def sample_of(session: Session, model: Model) -> np.ndarray:
    """Up to 1,024 rows as the matrix of `InputMatrix`, spread over a snapshot."""
    inputs = model.signature.inputs
    for urn in (model.holdout, model.training):
        try:
            if urn and (found := _rows(session, urn, inputs)) is not None:
                return found
        except EverloopError:
            continue  # It is of another project, was deleted, or lacks a column: the next one may do.
    return _made_up(inputs)


def _rows(session: Session, urn: str, inputs: tuple[Field, ...]) -> np.ndarray | None:
    import pyarrow as pa

    from everloop.datasets.content import read_table, snapshot_of

    wanted = parse_urn(urn)
    if wanted.project != session.project:
        return None
    with session.begin(write=False) as unit:
        snapshot: Snapshot = snapshot_of(unit, wanted.name, int(wanted.version or 0))
    if not 0 < snapshot.rows <= _LARGEST:
        return None
    table = read_table(session, snapshot, [field.name for field in inputs])
    places = np.unique(np.linspace(0, table.num_rows - 1, ROWS).astype(np.int64))
    return InputMatrix(inputs)(columns_of(table.take(pa.array(places))))


def _made_up(inputs: tuple[Field, ...]) -> np.ndarray:
    random = np.random.default_rng(0)
    columns = [_column(field, random) for field in inputs]
    return np.ascontiguousarray(np.stack(columns, axis=1))


def _column(field: Field, random: np.random.Generator) -> np.ndarray:
    if field.type == "string":
        return random.integers(0, max(1, len(field.categories)), ROWS).astype(np.float64)
    numbers = random.normal(size=ROWS) * 10.0 ** random.integers(-2, 4, ROWS)
    return numbers if field.type.startswith("float") else np.abs(np.round(numbers))
