"""Explanations: how much each input moved an answer, by the model that gave it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from everloop.kernel.errors import EverloopError, InvalidInput
from everloop.registry.flavor import Predictor
from everloop.serving.request import PredictionRequest
from everloop.serving.together import Columns, rows_of

if TYPE_CHECKING:
    from everloop.serving.scoring import Part, Scored

EXPLAINED_ROWS = 20
"""Rows of a request to a model without an endpoint that are explained: TreeSHAP takes milliseconds for each."""


def check_explainable(request: PredictionRequest, most: int) -> None:
    """Refuse to explain more rows than are allowed.

    Raises:
        InvalidInput: there are more.
    """
    rows = rows_of(request.columns)
    if rows > most:
        raise InvalidInput(
            f"{rows} rows cannot be explained in one request.",
            hint=f"Send up to {most}." if most else "This deployment explains nothing: see explain_rows.",
        )


def explained(predictor: Predictor, columns: Columns) -> dict[str, np.ndarray]:
    """How much each input moved each row's score, on the model's own scale: log-odds for a classifier.

    Raises:
        Refused: this model cannot say.
        EverloopError: it failed at it.
    """
    try:
        given = np.asarray(predictor.contributions(columns), dtype=np.float64)
    except EverloopError:
        raise
    except Exception as error:
        raise EverloopError(f"The model failed to explain itself: {error}.") from error
    return {field.name: given[:, at] for at, field in enumerate(predictor.inputs)}


def explanations(scored: Scored, start: int, stop: int) -> dict[str, np.ndarray]:
    """How much each input moved the answers to some rows; NaN where the model that answered does not take the input.

    Raises:
        Refused: a model that answered cannot say.
    """
    found: dict[str, np.ndarray] = {}
    for part in scored.answering:
        mine = np.flatnonzero((part.rows >= start) & (part.rows < stop))
        if len(mine):
            rows = part.rows[mine]
            for name, values in explained(part.variant.predictor, _chosen(part, rows)).items():
                found.setdefault(name, np.full(stop - start, np.nan))[rows - start] = values
    return found


def traced(scored: Scored, start: int, stop: int) -> list[dict[str, float]]:
    """What each member of a graph gave for some rows; nothing for rows that no graph has answered."""
    from everloop.serving.graph import GraphPredictor

    found: list[dict[str, float]] = [{} for _ in range(start, stop)]
    for part in scored.answering:
        rows = part.rows[(part.rows >= start) & (part.rows < stop)]
        predictor = part.variant.predictor
        if len(rows) and isinstance(predictor, GraphPredictor):
            for row, gave in zip(rows.tolist(), predictor.trace(_chosen(part, rows)), strict=True):
                found[row - start] = gave
    return found


def _chosen(part: Part, rows: np.ndarray) -> Columns:
    return {field.name: part.inputs[field.name][rows] for field in part.variant.taken}
