"""The toy's model by LightGBM, which other processes can load too."""

from __future__ import annotations

from datetime import datetime

import lightgbm
from loop_toy import Parts, split

import everloop as el


@el.step
def boost(parts: Parts) -> el.Model:
    """A few small trees."""
    rows = el.read_table(parts.training)
    columns = el.columns_of(rows, ["weight", "depot"])
    signature = el.signature_of(columns)
    matrix = el.InputMatrix(signature.inputs)
    settings = {
        "objective": "binary",
        "num_leaves": 4,
        "num_threads": 1,
        "deterministic": True,
        "seed": 1,
        "verbose": -1,
    }
    data = lightgbm.Dataset(matrix(columns), rows["late"].to_numpy(), categorical_feature=matrix.categorical)
    return el.save_model(
        lightgbm.train(settings, data, 10),
        flavor="lightgbm",
        signature=signature,
        provenance=el.Provenance(training=el.urn_of(parts.training), holdout=el.urn_of(parts.holdout), label="late"),
    )


@el.pipeline
def fit_boosted(until: datetime) -> el.Model:
    """The trees of what was known by a time."""
    return boost(split(el.snapshot("parcels"), until))
