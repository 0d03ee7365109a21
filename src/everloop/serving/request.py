"""What a predictor is asked and answers, whatever the door; light, so that a server without a platform imports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from everloop.kernel.usecase import Json

if TYPE_CHECKING:
    import numpy as np


class PredictionRequest(msgspec.Struct, frozen=True, eq=False):
    """Columns of one length by name: numbers with NaN for missing, strings as objects with None. `id` may be empty.

    `client` is who asks, for fair shares; `deadline` is the time of `perf_counter` after which nobody waits any more
    (0: none); `parameters` are what the protocol's request said beside its values.
    """

    columns: Mapping[str, np.ndarray]
    id: str = ""
    at: datetime | None = None
    client: str = ""
    deadline: float = 0.0
    explain: bool = False
    parameters: Mapping[str, Json] = {}


class Answer(msgspec.Struct, frozen=True, eq=False):
    """What was answered, a value for each row in the request's order; NaN where the model failed on a row.

    `replayed`: the request had been answered before, and this was read from the log. `values` are the model's outputs
    by name, when it has others than one number a row. `explanations` tell how much each input moved each output,
    `interval` between what bounds the truth lies; None when nobody asked. `roles` are given when a fallback answered,
    `traces` (what each member of a graph gave, by row) when the request's parameter `trace` is true.
    """

    request_id: str
    prediction_ids: Sequence[str]
    outputs: np.ndarray
    deployments: np.ndarray
    model_versions: np.ndarray
    replayed: bool = False
    values: Mapping[str, np.ndarray] | None = None
    explanations: Mapping[str, np.ndarray] | None = None
    interval: tuple[np.ndarray, np.ndarray] | None = None
    roles: Sequence[str] | None = None
    traces: Sequence[Mapping[str, float]] | None = None
