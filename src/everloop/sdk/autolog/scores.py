"""How good an estimator is on the data that it was trained on, as exactly as its training's time allows."""

from __future__ import annotations

import warnings
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from everloop.sdk.recording.run import Run

_FEWEST = 500
_MOST = 20_000


def rows_within(estimator: Any, data: Any, seconds: float) -> slice:
    """Rows at equal distances, so many that predicting them takes no longer than that; 500 at least."""
    total = data.shape[0] if hasattr(data, "shape") else len(data)
    if total <= _FEWEST:
        return slice(None)
    probe = slice(None, None, -(-total // _FEWEST))
    started = perf_counter()
    _answer(estimator, taken(data, probe))
    speed = _FEWEST / (perf_counter() - started + 1e-9)
    wanted = int(min(max(speed * seconds / 2, _FEWEST), _MOST))
    return slice(None, None, -(-total // wanted))


def taken(data: Any, rows: slice) -> Any:
    """Rows of a frame, a matrix or a list."""
    if rows == slice(None):
        return data
    if hasattr(data, "iloc"):
        return data.iloc[rows]
    return data.tocsr()[rows] if hasattr(data, "tocsr") else data[rows]


def log_scores(run: Run, estimator: Any, data: Any, labels: Any, rows: slice) -> None:
    """Log scores on training data as metrics `training_…`, and of how many rows they are, if not of all."""
    from sklearn.base import is_classifier, is_regressor

    for name in ("inertia_", "best_loss_", "loss_"):
        if isinstance(found := getattr(estimator, name, None), float):
            run.log_metric(f"training_{name.rstrip('_')}", found)
    if labels is None or not (is_classifier(estimator) or is_regressor(estimator)):
        return
    import numpy as np

    part, truth = taken(data, rows), np.asarray(taken(labels, rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = np.asarray(estimator.predict(part))
        if is_classifier(estimator):
            found = _of_classes(truth, predicted) | _of_probabilities(estimator, part, truth)
        else:
            found = _of_numbers(truth, predicted)
    for name, value in found.items():
        run.log_metric(f"training_{name}", float(value))
    if rows != slice(None) and rows.step != 1:
        run.set_tag("training_scores_rows", len(truth))


def _of_classes(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(truth, predicted, average="weighted", zero_division=0)
    accuracy = accuracy_score(truth, predicted)
    return {
        "score": accuracy,
        "accuracy_score": accuracy,
        "precision_score": precision,
        "recall_score": recall,
        "f1_score": f1,
    }


def _of_probabilities(estimator: Any, part: Any, truth: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import log_loss, roc_auc_score

    if not hasattr(estimator, "predict_proba") or truth.ndim > 1:
        return {}
    scores = estimator.predict_proba(part)
    if isinstance(scores, list):
        return {}
    classes = estimator.classes_
    found = {"log_loss": float(log_loss(truth, scores, labels=classes))}
    if scores.shape[1] == 2:
        found["roc_auc"] = float(roc_auc_score(truth == classes[1], scores[:, 1]))
    elif len(set(truth.tolist())) == len(classes):
        found["roc_auc"] = float(roc_auc_score(truth, scores, average="weighted", multi_class="ovo"))
    return found


def _of_numbers(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    squared = float(mean_squared_error(truth, predicted))
    explained = float(r2_score(truth, predicted))
    return {
        "score": explained,
        "r2_score": explained,
        "mean_squared_error": squared,
        "root_mean_squared_error": squared**0.5,
        "mean_absolute_error": float(mean_absolute_error(truth, predicted)),
    }


def _answer(estimator: Any, data: Any) -> None:
    if hasattr(estimator, "predict"):
        estimator.predict(data)
