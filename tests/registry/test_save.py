"""Models in and out of the store."""

from __future__ import annotations

import numpy as np
import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, Misconfigured, NotFound
from everloop.registry import save
from everloop.registry import service as models
from everloop.registry.columns import signature_of
from everloop.registry.entities import Model, Provenance
from everloop.registry.save import load_model, save_model
from tests.registry.conftest import Columns


def test_a_saved_model_says_what_it_was_trained_on(session: Session, trained: Model) -> None:
    assert (trained.features, trained.features_version, trained.label) == ("delay", 2, "late")
    assert trained.training == "dataset:default/examples@1"
    assert [entry.path for entry in session.store.tree(trained.digest)] == ["inputs.json", "model.txt"]


def test_equal_models_have_equal_addresses(session: Session, booster: object, columns: Columns) -> None:
    signature = signature_of(columns)
    first = save_model(booster, flavor="lightgbm", signature=signature, provenance=Provenance(label="a"))
    assert save_model(booster, flavor="lightgbm", signature=signature).digest == first.digest


def test_a_loaded_model_predicts(session: Session, trained: Model, columns: Columns) -> None:
    scores = load_model(session, trained).predict(columns)
    assert scores.shape == (300,)
    assert ((scores > 0) & (scores < 1)).all()


def test_a_model_is_loaded_once_and_kept(session: Session, trained: Model) -> None:
    assert load_model(session, trained) is load_model(session, trained.measured({"roc_auc": 1.0}))


def test_only_the_last_few_are_kept(
    session: Session, trained: Model, booster: object, columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lightgbm

    shorter = lightgbm.Booster(model_str=booster.model_to_string(num_iteration=3))  # type: ignore[attr-defined]
    other = save_model(shorter, flavor="lightgbm", signature=signature_of(columns))
    monkeypatch.setattr(save, "_KEPT", 1)
    first = load_model(session, trained)
    load_model(session, other)
    assert load_model(session, trained) is not first


def test_a_model_whose_files_are_lost_is_not_found(session: Session, trained: Model) -> None:
    lost = Model(trained.flavor, type(trained.digest)("0" * 64), trained.signature)
    with pytest.raises(NotFound):
        load_model(session, lost)


def test_an_unknown_flavor_names_those_there_are(session: Session, booster: object, columns: Columns) -> None:
    with pytest.raises(Misconfigured, match="lightgbm, mlflow"):
        save_model(booster, flavor="prophecy", signature=signature_of(columns))


def test_what_is_no_model_is_not_kept(session: Session, columns: Columns) -> None:
    before = session.store.stats()
    with pytest.raises(InvalidInput):
        save_model("a string", flavor="lightgbm", signature=signature_of(columns))
    assert session.store.stats() == before


def test_saving_outside_of_a_step_says_so(platform: Platform, booster: object, columns: Columns) -> None:
    with pytest.raises(NotFound, match="No platform is active"):
        save_model(booster, flavor="lightgbm", signature=signature_of(columns))


def test_metrics_are_added_to_a_copy(trained: Model) -> None:
    measured = trained.measured({"log_loss": 0.4})
    assert measured.metrics == trained.metrics | {"log_loss": 0.4}
    assert "log_loss" not in trained.metrics


def test_several_threads_may_ask_one_model(session: Session, trained: Model, columns: Columns) -> None:
    from concurrent.futures import ThreadPoolExecutor

    predictor = load_model(session, trained)
    expected = predictor.predict(columns)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: predictor.predict(columns), range(40)))
    assert all(np.array_equal(answer, expected) for answer in answers)


def test_an_input_example_is_kept_with_the_files_and_shown(session: Session, booster: object, columns: Columns) -> None:
    example = {"distance": [1.0, None], "carrier": ["AA", "UA"]}
    kept = save_model(booster, signature=signature_of(columns), example=example)
    models.register(session, "delay", kept)
    models.register(session, "delay", save_model(booster, signature=signature_of(columns)))
    shown = models.example(session, "delay", 1)
    assert shown == {"columns": ["distance", "carrier"], "data": [[1.0, "AA"], [None, "UA"]]}
    with pytest.raises(NotFound, match="has no input example"):
        models.example(session, "delay", 2)


def test_an_example_whose_columns_are_not_alike_is_refused(session: Session, booster: object, columns: Columns) -> None:
    with pytest.raises(InvalidInput, match="equally many rows"):
        save_model(booster, signature=signature_of(columns), example={"distance": [1.0], "hour": [1, 2]})
