"""References: what a champion's windows are compared with, made from the holdout that it was promoted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from everloop.catalog.session import Session
from everloop.datasets.content import read_table, resolve
from everloop.kernel.errors import Refused
from everloop.loop.entities import Loop
from everloop.loop.history import moments_of
from everloop.monitoring.attribution import Contributions
from everloop.monitoring.entities import Reference
from everloop.monitoring.reference import Quiet, build_reference
from everloop.registry.columns import columns_of
from everloop.registry.entities import Model
from everloop.registry.flavor import Predictor
from everloop.registry.save import load_model

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def reference_of(
    session: Session, loop: Loop, model: Model, contributions: Contributions | None = None, version: int = 0
) -> Reference:
    """The reference that a model's holdout makes; with contributions it takes a second or two.

    Raises:
        NotFound: the model names no holdout.
        InvalidInput: the holdout lacks the model's inputs, or has too few rows.
    """
    rows = read_table(session, resolve(session, model.holdout))
    predictor = load_model(session, model)
    columns = columns_of(rows, [field.name for field in predictor.inputs])
    label = np.empty(0)
    if model.label in rows.column_names:
        label = rows[model.label].cast("float64").to_numpy()
    return build_reference(
        Quiet(columns, _times(rows, loop.label.at), np.asarray(predictor.predict(columns)), label, version),
        contributions,
    )


def contributions_of(predictor: Predictor) -> Contributions | None:
    """What a model says about its inputs' parts in a score; None of a model that cannot say."""
    nothing = {
        field.name: np.array([None], dtype=object) if field.type == "string" else np.full(1, np.nan)
        for field in predictor.inputs
    }
    try:
        predictor.contributions(nothing)
    except Refused:
        return None
    return predictor.contributions


def _times(rows: pa.Table, column: str) -> NDArray[np.int64]:
    """When each row was asked; of a holdout that does not say, one after the other."""
    return moments_of(rows, column) if column in rows.column_names else np.arange(rows.num_rows, dtype=np.int64)
