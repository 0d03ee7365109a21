"""A project so small that it trains in milliseconds: is a parcel late, given its weight?"""

from __future__ import annotations

from datetime import datetime

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import everloop as el


class Parts(msgspec.Struct, frozen=True):
    """Rows to train on, and later ones to judge by."""

    training: el.Snapshot
    holdout: el.Snapshot


@el.step
def split(parcels: el.Snapshot, until: datetime) -> Parts:
    """What was known by a time: the newest 300 parcels are held out, the 900 before them are trained on."""
    rows = el.read_table(parcels)
    known = rows.filter(pc.less_equal(rows["told_at"], pa.scalar(until).cast(rows["told_at"].type)))
    training, holdout = known.slice(max(known.num_rows - 1200, 0), 900), known.slice(max(known.num_rows - 300, 0))
    return Parts(
        el.write_table("parcels_training", training, [parcels]), el.write_table("parcels_holdout", holdout, [parcels])
    )


@el.step
def train(parts: Parts, sign: float = 1.0, label: str = "late") -> el.Model:
    """A logistic curve over the weight, by some steps of gradient descent."""
    rows = el.read_table(parts.training)
    weight, late = rows["weight"].to_numpy(), rows["late"].to_numpy()
    constant = factor = 0.0
    for _ in range(200):
        error = late - 1 / (1 + np.exp(-(constant + factor * weight)))
        constant, factor = constant + 0.5 * float(error.mean()), factor + 0.5 * float((error * weight).mean())
    el.log_metric("factor", factor)
    return el.save_model(
        {"constant": constant, "factor": sign * factor},
        flavor="curve",
        signature=el.signature_of(el.columns_of(rows, ["weight", "depot"])),
        provenance=el.Provenance(training=el.urn_of(parts.training), holdout=el.urn_of(parts.holdout), label=label),
    )


@el.pipeline
def fit(until: datetime) -> el.Model:
    """The curve of what was known by a time."""
    return train(split(el.snapshot("parcels"), until))


@el.pipeline
def fit_quantity(until: datetime) -> el.Model:
    """The same curve, as if it said how heavy a parcel is."""
    return train(split(el.snapshot("parcels"), until), label="weight")


@el.pipeline
def fit_backwards(until: datetime) -> el.Model:
    """The curve the wrong way round."""
    return train(split(el.snapshot("parcels"), until), -1.0)


@el.pipeline
def fit_nothing(until: datetime) -> el.Model:
    """A pipeline that fails."""
    raise ValueError(f"there is nothing before {until:%Y}")


@el.pipeline
def count(until: datetime) -> int:
    """A pipeline that gives no model."""
    return split(el.snapshot("parcels"), until).training.rows
