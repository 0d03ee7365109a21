"""What one can do about intervals: measure how far a version's answers lie from the truth, and look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, Refused
from everloop.kernel.ids import Name, parse_urn
from everloop.kernel.usecase import usecase
from everloop.registry import service as models
from everloop.registry.calibration.entities import Calibration, ModelCalibrated
from everloop.registry.calibration.tables import calibrations
from everloop.registry.entities import ModelVersion

if TYPE_CHECKING:
    import numpy as np


@usecase("models.calibrate", permission="models:write", route="POST /models/{name}/calibrations", long=True)
def calibrate(session: Session, name: Name, version: int = 0, alpha: float = 0.1) -> Calibration:
    """Measure on a version's holdout how far the truth lies from its answers, all but the part `alpha` of the time.

    Intervals of that width hold for rows like the holdout's (exchangeable with them), whatever the distribution.

    Raises:
        InvalidInput: alpha is not between 0 and 1, or the holdout cannot be asked about.
        Refused: the model is a classifier, or the holdout has too few rows.
    """
    if not 0 < alpha < 1:
        raise InvalidInput(f"alpha is {alpha:g}.", hint="Say how often the truth may lie outside, such as 0.1.")
    with session.begin(write=False) as unit:
        found = models.version(unit, name, version)
    margin, rows = _measured(session, found, alpha)
    made = Calibration(found.trained.digest, alpha, margin, rows, found.trained.holdout, session.clock.now())
    with session.begin() as unit:
        here = (calibrations.c.project == unit.project) & (calibrations.c.digest == made.digest)
        unit.execute(delete(calibrations).where(here & (calibrations.c.alpha == alpha)))
        unit.insert(calibrations, made)
        urn = unit.urn("model", name, found.version)
        unit.emit(ModelCalibrated(subject=urn, version=found.version, alpha=alpha, margin=margin, rows=rows))
    return made


@usecase("models.calibrations", permission="models:read", route="GET /models/{name}/calibrations")
def list_calibrations(session: Session, name: Name, version: int = 0) -> list[Calibration]:
    """How far a version's answers lie from the truth, for each share of misses that was measured."""
    digest = models.version(session, name, version).trained.digest
    here = (calibrations.c.project == session.project) & (calibrations.c.digest == digest)
    return session.all(Calibration, select(calibrations).where(here).order_by(calibrations.c.alpha))


def calibration(session: Session, digest: str, alpha: float) -> Calibration | None:
    """What was measured of a model's files for a share of misses."""
    here = (calibrations.c.project == session.project) & (calibrations.c.digest == digest)
    return session.first(Calibration, select(calibrations).where(here & (calibrations.c.alpha == alpha)))


def _measured(session: Session, found: ModelVersion, alpha: float) -> tuple[float, int]:
    from everloop.registry.calibration.conformal import margin_of

    truth, answers = _held_out(session, found)
    if not len(truth):
        raise InvalidInput("No row of the holdout has both a label and an answer.")
    if set(truth.tolist()) <= {0.0, 1.0}:
        raise Refused(
            f"The truth of {found.model!r} is 0 or 1, of which an interval around a probability says nothing.",
            hint="Intervals are for models that answer with a quantity.",
        )
    margin = margin_of(truth, answers, alpha)
    if margin == float("inf"):
        raise Refused(
            f"{len(truth)} rows are too few for intervals that miss only {alpha:g} of the truth.",
            hint=f"Hold out at least {int(1 / alpha)} rows, or let alpha be larger.",
        )
    return margin, len(truth)


def _held_out(session: Session, found: ModelVersion) -> tuple[np.ndarray, np.ndarray]:
    """Label and answer of each row of the holdout that has both."""
    import numpy as np

    from everloop.datasets.content import read_table, snapshot_of
    from everloop.registry.columns import columns_of
    from everloop.registry.save import load_model

    trained = found.trained
    if not (trained.holdout and trained.label):
        raise InvalidInput(
            f"Version {found.version} of {found.model!r} names no holdout with labels.",
            hint="Give save_model a provenance with holdout and label.",
        )
    urn = parse_urn(trained.holdout)
    with session.begin(write=False) as unit:
        snapshot = snapshot_of(unit, urn.name, int(urn.version or 0))
    table = read_table(session, snapshot)
    missing = {trained.label, *(field.name for field in trained.signature.inputs)} - set(table.column_names)
    if missing:
        raise InvalidInput(f"The holdout {trained.holdout} has no column {', '.join(sorted(missing))}.")
    predictor = load_model(session, trained)
    answers = np.asarray(predictor.predict(columns_of(table, [field.name for field in predictor.inputs])))
    if answers.ndim != 1:
        raise Refused(f"Version {found.version} of {found.model!r} gives more than one number a row.")
    truth = table[trained.label].cast("float64").to_numpy()
    whole = np.isfinite(truth) & np.isfinite(answers)
    return truth[whole], answers[whole].astype(np.float64)
