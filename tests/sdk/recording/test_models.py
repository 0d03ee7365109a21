"""Models that a run made."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import everloop as el
from everloop.kernel.errors import InvalidInput, Refused
from everloop.sdk.platform import Everloop

X = np.arange(20.0).reshape(10, 2)
MODEL = LinearRegression().fit(X, X[:, 0] * 2)


def test_its_files_are_files_of_the_run(ever: Everloop) -> None:
    with el.run(platform=ever) as run:
        assert run.log_model(MODEL, "line", example=X) is None
    paths = [artifact.path for artifact in ever.runs.artifacts(run.id)]
    assert paths
    assert all(path.startswith("models/line/") for path in paths)


def test_it_can_be_registered_at_once_and_knows_its_run(ever: Everloop) -> None:
    with el.run(platform=ever) as run:
        version = run.log_model(MODEL, example=X, register="line")
    assert version is not None
    assert (version.model, version.version, version.run) == ("line", 1, run.id)
    with ever.session().activate():
        predicted = el.load_model(version.trained).predict({"x0": X[:, 0], "x1": X[:, 1]})
    assert np.allclose(predicted, X[:, 0] * 2)


def test_one_that_does_not_fit_its_example_is_refused(ever: Everloop) -> None:
    with el.run(platform=ever) as run, pytest.raises(InvalidInput, match="same inputs"):
        run.log_model(MODEL, example=X[:, :1], register="line")


def test_what_is_no_model_is_refused(ever: Everloop) -> None:
    with el.run(platform=ever) as run, pytest.raises(InvalidInput, match="no model of a library"):
        run.log_model(object(), example=X)


def test_offline_it_is_kept_and_not_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLOOP_OFFLINE", "1")
    with el.run() as run, pytest.raises(Refused, match="offline"):
        run.log_model(MODEL, example=X, register="line")
