"""A small trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.registry.columns import InputMatrix, signature_of
from everloop.registry.entities import Model, Provenance
from everloop.registry.save import save_model

if TYPE_CHECKING:
    from collections.abc import Mapping

Columns = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def columns() -> Columns:
    """300 rows with gaps: a number, an integer, a string."""
    random = np.random.default_rng(5)
    distance = random.normal(800, 300, 300)
    distance[::11] = np.nan
    carrier = random.choice(np.array(["AA", "B6", "UA", None], dtype=object), 300)
    return {"distance": distance, "hour": random.integers(0, 24, 300), "carrier": carrier}


@pytest.fixture(scope="session")
def booster(columns: Mapping[str, np.ndarray]) -> object:
    """A LightGBM booster trained on the columns."""
    import lightgbm

    matrix = InputMatrix(signature_of(columns).inputs)
    late = (columns["hour"] > 15) | (columns["carrier"] == "B6")
    data = lightgbm.Dataset(
        matrix(columns), late.astype(float), feature_name=list(columns), categorical_feature=matrix.categorical
    )
    parameters = {"objective": "binary", "num_leaves": 7, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    return lightgbm.train(parameters, data, 10)


@pytest.fixture
def trained(session: Session, booster: object, columns: Columns) -> Model:
    """The booster, kept in the store."""
    provenance = Provenance("delay", 2, "dataset:default/examples@1", "dataset:default/examples@2", "late")
    metrics = {"roc_auc": 0.71, "roc_auc[carrier=AA]": 0.6}
    return save_model(
        booster, flavor="lightgbm", signature=signature_of(columns), provenance=provenance, metrics=metrics
    )


@pytest.fixture
def trained_apart(platform: Platform, booster: object, columns: Columns) -> Model:
    """The same, for tests that call use cases through the platform and hold no open unit of work."""
    with platform.session().activate():
        return save_model(booster, flavor="lightgbm", signature=signature_of(columns))
