"""scikit-learn: fits of estimators that predict, of pipelines and of searches, with what they do on training data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import Any

from everloop.sdk.autolog import training as trainings
from everloop.sdk.autolog.inputs import log_data
from everloop.sdk.autolog.patches import Call, Patches
from everloop.sdk.autolog.results import keep_importances, keep_model
from everloop.sdk.autolog.scores import log_scores, rows_within
from everloop.sdk.autolog.training import Training, guarded, options_of, recorded, within
from everloop.sdk.recording.start import run

LIBRARY = "sklearn"
_ELSEWHERE = {"xgboost", "lightgbm", "catboost"}
"""Libraries whose estimators are recorded by a file of their own, or not at all."""
_FEWEST_CHILDREN = 5
_SHARE_OF_CHILDREN = 0.05
_SHARE = 0.02
"""Of the time that a fit took, so much may go into predictions for scores on training data."""


def patch(patches: Patches) -> None:
    """Record the fits of every estimator that predicts, of the library's and of the user's, now and later."""
    from sklearn.base import BaseEstimator

    def prepared(cls: type, /, **named: Any) -> None:
        super(BaseEstimator, cls).__init_subclass__(**named)
        with guarded(LIBRARY):
            _patch_estimator(patches, cls)

    patches.replace(BaseEstimator, "__init_subclass__", classmethod(prepared))
    for known in list(_below(BaseEstimator)):
        _patch_estimator(patches, known)


def patch_workers(patches: Patches) -> None:
    """Let threads that joblib starts know that they are a part of a fit."""
    from sklearn.utils.parallel import _FuncWrapper

    patches.wrap(_FuncWrapper, "__init__", _begin_part)
    patches.wrap(_FuncWrapper, "__call__", _run_part)


def patch_metrics(patches: Patches) -> None:
    """Log what the functions of sklearn.metrics say of predictions that recorded models made."""
    from everloop.sdk.autolog import evaluation

    evaluation.patch(patches)


def _patch_estimator(patches: Patches, cls: type) -> None:
    """Watch what an estimator that predicts does, in whichever of its ancestors that stands."""
    if not _predicts(cls):
        return
    for name, around in _WATCHED.items():
        owner = next((each for each in cls.__mro__ if name in vars(each)), object)
        if owner.__module__.partition(".")[0] not in _ELSEWHERE:
            patches.wrap(owner, name, around)


def _predicts(cls: type) -> bool:
    return any(hasattr(cls, name) for name in ("predict", "fit_predict"))


def _below(cls: type) -> Iterator[type]:
    each: type
    for each in cls.__subclasses__():
        yield each
        yield from _below(each)


def _begin_part(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    original(*arguments, **named)
    if trainings.current() is not None:
        arguments[0].everloop_part = True


def _run_part(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    if trainings.current() is not None or not hasattr(arguments[0], "everloop_part"):
        return original(*arguments, **named)
    with within(trainings.PART):
        return original(*arguments, **named)


def _fit(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    if options_of(LIBRARY) is None or trainings.current() is not None or not _predicts(type(arguments[0])):
        return original(*arguments, **named)
    estimator, *rest = arguments
    data = rest[0] if rest else named.get("X")
    labels = rest[1] if len(rest) > 1 else named.get("y")
    return recorded(
        LIBRARY, type(estimator).__name__, lambda: original(*arguments, **named), Fit(estimator, data, labels)
    )


def _predict(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    result = original(*arguments, **named)
    if options_of(LIBRARY) is not None and trainings.current() is None:
        from everloop.sdk.autolog import evaluation

        with guarded(LIBRARY):
            evaluation.remember(arguments[0], arguments[1] if len(arguments) > 1 else None, result)
    return result


def _score(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    if options_of(LIBRARY) is None or trainings.current() is not None:
        return original(*arguments, **named)
    from everloop.sdk.autolog import evaluation

    with within(trainings.PART):
        result = original(*arguments, **named)
    with guarded(LIBRARY):
        evaluation.log_score(arguments[0], arguments[1] if len(arguments) > 1 else named.get("X"), result)
    return result


_WATCHED = {
    "fit": _fit,
    "fit_predict": _fit,
    "predict": _predict,
    "predict_proba": _predict,
    "decision_function": _predict,
    "score": _score,
}


class Fit:
    """What is said of one call of `fit`."""

    def __init__(self, estimator: Any, data: Any, labels: Any) -> None:
        self.estimator = estimator
        self.data = data
        self.labels = labels

    def before(self, training: Training) -> None:
        """Parameters, also nested ones, and the data."""
        kind = type(self.estimator)
        training.run.set_tags(
            {
                "autolog": LIBRARY,
                "estimator": kind.__name__,
                "estimator_class": f"{kind.__module__}.{kind.__qualname__}",
            }
        )
        trainings.log_parameters(training.run, self.estimator.get_params(deep=True))
        with guarded(LIBRARY):
            log_data(training, self.data)

    def after(self, training: Training, result: object, seconds: float) -> None:
        """Scores on the training data, the model, and what a search found."""
        from everloop.sdk.autolog import evaluation

        evaluation.trained(self.estimator, training.run)
        with guarded(LIBRARY):
            rows = rows_within(self.estimator, self.data, seconds * _SHARE)
            log_scores(training.run, self.estimator, self.data, self.labels, rows)
        if hasattr(self.estimator, "cv_results_"):
            with guarded(LIBRARY):
                keep_search(training, self.estimator, seconds)
        keep_model(training, self.estimator, self.data)
        with guarded(LIBRARY):
            keep_estimator(training, self.estimator)


def keep_estimator(training: Training, estimator: Any) -> None:
    """Keep a diagram of an estimator that is made of others, and its inputs' importances if it knows them."""
    from sklearn.utils import estimator_html_repr

    if training.options.log_plots and any(hasattr(part, "get_params") for part in estimator.get_params().values()):
        training.run.log_text(estimator_html_repr(estimator), "estimator.html")
    values = getattr(estimator, "feature_importances_", None)
    if values is not None:
        names = getattr(estimator, "feature_names_in_", [f"x{at}" for at in range(len(values))])
        keep_importances(training, [str(name) for name in names], {"impurity": values})


def keep_search(training: Training, search: Any, seconds: float) -> None:
    """Keep what a search tried as a table, what was best, and the best as child runs, as many as its time allows."""
    results = {key: _column(values) for key, values in search.cv_results_.items() if key != "params"}
    training.run.log_table(results, "cv_results.parquet")
    if hasattr(search, "best_params_"):
        trainings.log_parameters(training.run, search.best_params_, "best_")
    if hasattr(search, "best_score_"):
        training.run.log_metric("best_cv_score", search.best_score_)
    ranks = next((values for key, values in search.cv_results_.items() if key.startswith("rank_test_")), None)
    tried = range(len(search.cv_results_["params"]))
    started = perf_counter()
    for count, at in enumerate(sorted(tried, key=lambda at: ranks[at]) if ranks is not None else tried):
        if count >= _FEWEST_CHILDREN and perf_counter() - started > seconds * _SHARE_OF_CHILDREN:
            break
        _keep_candidate(training, search, at)


def _keep_candidate(training: Training, search: Any, at: int) -> None:
    named = run(training.run.experiment or training.options.experiment, f"candidate {at}", parent=training.run.id)
    with named as child:
        trainings.log_parameters(child, search.cv_results_["params"][at])
        for key, values in search.cv_results_.items():
            if key.startswith(("mean_", "std_")) and float(values[at]) == float(values[at]):
                child.log_metric(key, float(values[at]))


def _column(values: Any) -> list[Any]:
    listed: list[Any] = values.tolist() if hasattr(values, "tolist") else list(values)
    plain = all(isinstance(value, (int, float)) for value in listed)
    return listed if plain else [None if value is None else str(value) for value in listed]
