"""What a predictor is asked, whatever the door; light to import, so that a server without a platform may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from everloop.kernel.usecase import Json

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False, slots=True)
class PredictionRequest:
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
    parameters: Mapping[str, Json] = field(default_factory=dict)
