"""What calibration is about."""

from __future__ import annotations

from datetime import datetime

import msgspec

from everloop.kernel.events import Event
from everloop.store.entities import Digest


class Calibration(msgspec.Struct, frozen=True):
    """How far from a model's answers the truth lies, for all but the part `alpha` of rows like those of its holdout.

    An answer's interval is the answer plus and minus `margin`. It was measured on `rows` rows of `holdout`.
    """

    digest: Digest
    alpha: float
    margin: float
    rows: int
    holdout: str
    at: datetime


class ModelCalibrated(Event, frozen=True, kw_only=True, tag="models.calibrated"):
    """It was measured how far a version's answers are from the truth."""

    version: int
    alpha: float
    margin: float
    rows: int
