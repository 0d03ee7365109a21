"""Will a parcel be late? What `everloop apply` installs: features, a pipeline, and the loop around the model."""

from __future__ import annotations

from datetime import datetime

import pyarrow.compute as pc

import everloop as el

depot = el.Entity("depot", keys=["depot"])
depots = el.FeatureView(
    "depots",
    entity=depot,
    source=el.table("depots"),
    timestamp="at",
    ttl="1d",
    features=lambda t: [t.queue, el.window(t.queue.mean(), "12h")],
)
features = el.FeatureService("late", views=[depots], request={"weight": "float64"})


@el.step
def split(parcels: el.Snapshot, features: el.PinnedFeatures, until: datetime) -> tuple[el.Snapshot, el.Snapshot]:
    """The parcels whose fate was known at a time, with the features of when they were sent; the last fifth held out."""
    rows = el.read_table(parcels)
    known = rows.filter(pc.less_equal(rows["told_at"], until))
    joined = el.point_in_time(known, at="sent_at", features=features)
    cut = joined.num_rows * 4 // 5
    parts = {"training": joined.slice(0, cut), "holdout": joined.slice(cut)}
    training, holdout = (el.write_table(name, part, [parcels]) for name, part in parts.items())
    return training, holdout


@el.step
def train(training: el.Snapshot, holdout: el.Snapshot, features: el.PinnedFeatures) -> el.Model:
    """Boosted trees, kept with what they came from: gates, monitors and `everloop trace` live on that."""
    import lightgbm

    rows = el.read_table(training)
    columns = el.columns_of(rows, features.columns)
    signature = el.signature_of(columns)
    data = lightgbm.Dataset(el.InputMatrix(signature.inputs)(columns), rows["late"].to_numpy())
    settings = {"objective": "binary", "num_leaves": 6, "seed": 1, "deterministic": True, "num_threads": 1}
    trees = lightgbm.train(settings | {"verbose": -1}, data, num_boost_round=40)
    known = el.Provenance(
        features=features.service.name,
        features_version=features.version,
        training=el.urn_of(training),
        holdout=el.urn_of(holdout),
        label="late",
    )
    return el.save_model(trees, flavor="lightgbm", signature=signature, provenance=known)


@el.pipeline
def fit(until: datetime) -> el.Model:
    """A model from all that was known at a time."""
    features = el.pin("late")
    training, holdout = split(el.snapshot("parcels"), features, until)
    return train(training, holdout, features)


loop = el.Loop(
    model="late",
    pipeline=fit,
    label=el.Label("late", key="parcel", within="1d", source="parcels", at="sent_at"),
    triggers=[el.performance("roc_auc", drop=0.03), el.drift(impact=0.05), el.every("30d")],
    gates=[el.better_than("champion", "log_loss"), el.no_slice_worse("depot", by=0.05), el.latency(p99="20ms")],
    rollout=el.Canary(steps=[10, 50], hold="6h", guards=[el.error_rate(0.01), el.better_or_equal("log_loss")]),
    limits=el.Limits(cooldown="3d", retrains_per_month=4),
)
