"""From data to a model: the pipeline that the loop runs, at first and at each retrain."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import everloop as el

if TYPE_CHECKING:
    import lightgbm

LABEL = "late"
LANDED = "landed_at"
ASKED = "predicted_at"
LABEL_DELAY = timedelta(hours=3)
"""How long after landing a delay is reported."""
ROUNDS = 60


class Slice(msgspec.Struct, frozen=True):
    """How the model fares on the flights with one value in one column."""

    column: str
    value: str
    n: int
    roc_auc: float


class Evaluation(msgspec.Struct, frozen=True):
    """How the model fares on flights that it has not seen."""

    n: int
    roc_auc: float
    log_loss: float
    calibration_error: float
    slices: tuple[Slice, ...]


class Fold(msgspec.Struct, frozen=True):
    """One cut of the backtest: trained on all that was known at `at`, judged on the flights until the next cut."""

    at: datetime
    rows: int
    roc_auc: float
    log_loss: float


class Split(msgspec.Struct, frozen=True):
    """Examples before and after a moment; no example of the first part was known later than it."""

    training: el.Snapshot
    holdout: el.Snapshot


@el.step
def examples(schedule: el.Snapshot, features: el.PinnedFeatures, start: datetime, until: datetime) -> el.Snapshot:
    """The flights since `start` whose delay was known by `until`, with what was known when each was asked about."""
    flights = el.read_table(schedule)
    known = pc.and_(
        pc.and_(pc.greater_equal(flights[ASKED], _at(flights, ASKED, start)), pc.is_valid(flights[LABEL])),
        pc.less_equal(flights[LANDED], _at(flights, LANDED, until - LABEL_DELAY)),
    )
    joined = el.point_in_time(flights.filter(known), at=ASKED, features=features)
    return el.write_table("examples", joined, parents=[schedule, *features.sources.values()])


@el.step
def split(examples: el.Snapshot, at: datetime) -> Split:
    """Train on what was known at a moment, hold out the flights that were asked about after it."""
    cut = at + timedelta.resolution  # What was known at that very moment may be learned from.
    in_time = el.TimeSplit(ASKED, (cut,), ("training", "holdout"), known=LANDED, delay=LABEL_DELAY)
    parts = el.split(examples, in_time)
    return Split(parts["training"], parts["holdout"])


@el.step
def train(parts: Split, features: el.PinnedFeatures, learning_rate: float = 0.1, leaves: int = 31) -> el.Model:
    """Gradient boosted trees on the training part."""
    rows = el.read_table(parts.training)
    columns = el.columns_of(rows, features.columns)
    signature = el.signature_of(columns)
    booster = boosted(columns, rows[LABEL].to_numpy(), signature, learning_rate, leaves)
    el.log_parameters({"learning_rate": learning_rate, "leaves": leaves, "rounds": ROUNDS, "rows": rows.num_rows})
    return el.save_model(
        booster,
        flavor="lightgbm",
        signature=signature,
        provenance=el.Provenance(
            features=features.service.name,
            features_version=features.version,
            training=el.urn_of(parts.training),
            holdout=el.urn_of(parts.holdout),
            label=LABEL,
        ),
    )


@el.step
def evaluate(model: el.Model, parts: Split) -> Evaluation:
    """The model on the held-out flights, whole and by carrier and origin."""
    rows = el.read_table(parts.holdout)
    truth = rows[LABEL].to_numpy()
    scores = el.load_model(model).predict(el.columns_of(rows, [field.name for field in model.signature.inputs]))
    found = el.performance_of(truth, scores)
    slices = tuple(
        Slice(column, value, n, roc_auc)
        for column in ("carrier", "origin")
        for value, n, roc_auc in _by(rows, column, truth, scores)
    )
    el.log_metrics({"roc_auc": _auc(found), "log_loss": found.log_loss, "calibration_error": found.calibration_error})
    return Evaluation(len(truth), _auc(found), found.log_loss, found.calibration_error, slices)


@el.step
def backtest(examples: el.Snapshot, features: el.PinnedFeatures, folds: int = 2, rounds: int = 25) -> tuple[Fold, ...]:
    """Trained again and again with an expanding window, each time judged on what came next."""
    rows = el.read_table(examples)
    columns = el.columns_of(rows, features.columns)
    asked, landed = rows[ASKED].to_numpy(), rows[LANDED].to_numpy()
    truth = rows[LABEL].to_numpy()
    cuts = [asked[int(len(asked) * share)] for share in np.linspace(0.5, 1.0, folds + 1)[:-1]]
    found = []
    for cut, end in zip(cuts, [*cuts[1:], asked[-1] + np.timedelta64(1, "s")], strict=True):
        known = landed <= cut - np.timedelta64(LABEL_DELAY)
        judged = (asked >= cut) & (asked < end)
        past = {name: values[known] for name, values in columns.items()}
        booster = boosted(past, truth[known], el.signature_of(past), rounds=rounds)
        scores = np.asarray(
            booster.predict(
                el.InputMatrix(el.signature_of(past).inputs)({n: v[judged] for n, v in columns.items()}), num_threads=1
            )
        )
        result = el.performance_of(truth[judged], scores)
        found.append(Fold(_utc(cut), int(known.sum()), _auc(result), result.log_loss))
    for number, fold in enumerate(found):
        el.log_metric("backtest_roc_auc", fold.roc_auc, step=number)
    return tuple(found)


@el.pipeline
def fit(until: datetime, days: int = 150, holdout_days: int = 10) -> el.Model:
    """A model from the flights of the last `days` before `until`, judged on the last `holdout_days` of them."""
    features = el.pin("delay")
    start = until - timedelta(days=days)
    rows = examples(el.snapshot("schedule"), features, start, until)
    parts = split(rows, until - timedelta(days=holdout_days))
    model = train(parts, features)
    evaluation = evaluate(model, parts)
    backtest(rows, features)
    return model.measured(
        {
            "roc_auc": evaluation.roc_auc,
            "log_loss": evaluation.log_loss,
            "calibration_error": evaluation.calibration_error,
        }
    )


def boosted(
    columns: dict[str, np.ndarray],
    truth: np.ndarray,
    signature: el.Signature,
    learning_rate: float = 0.1,
    leaves: int = 31,
    rounds: int = ROUNDS,
) -> lightgbm.Booster:
    """LightGBM, set so that the same rows give the same trees: one thread, fixed seed, rows in order."""
    import lightgbm

    matrix = el.InputMatrix(signature.inputs)
    settings = {
        "objective": "binary",
        "learning_rate": learning_rate,
        "num_leaves": leaves,
        "min_data_in_leaf": 100,
        "seed": 2013,
        "deterministic": True,
        "force_row_wise": True,
        "max_bin": 127,
        "bin_construct_sample_cnt": 50_000,
        "num_threads": 1,
        "verbose": -1,
    }
    data = lightgbm.Dataset(matrix(columns), truth, categorical_feature=matrix.categorical)
    return lightgbm.train(settings, data, num_boost_round=rounds)


def _auc(found: el.Performance) -> float:
    """The area under the curve; there is none when all labels are equal."""
    return math.nan if found.roc_auc is None else found.roc_auc


def _by(rows: pa.Table, column: str, truth: np.ndarray, scores: np.ndarray) -> list[tuple[str, int, float]]:
    values = np.asarray(rows[column].to_pylist(), dtype=object)
    found = []
    for value in sorted(set(values)):
        mine = values == value
        if 0 < truth[mine].sum() < mine.sum():
            found.append((str(value), int(mine.sum()), _auc(el.performance_of(truth[mine], scores[mine]))))
    return found


def _at(rows: pa.Table, column: str, at: datetime) -> pa.Scalar:
    return pa.scalar(at, pa.timestamp("us", "UTC")).cast(rows.schema.field(column).type)


def _utc(at: np.datetime64) -> datetime:
    return datetime.fromisoformat(f"{at.astype('datetime64[us]')}+00:00")
