"""A candidate that must never reach everybody: the demo plants it to show what stops it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow.compute as pc

import everloop as el
from flights.training import LABEL, Split, evaluate, examples, split, train


@el.step
def backwards(parts: Split) -> Split:
    """The training part with late and punctual exchanged: a mistake in the label that the holdout does not share."""
    rows = el.read_table(parts.training)
    swapped = rows.set_column(rows.schema.get_field_index(LABEL), LABEL, pc.subtract(1.0, rows[LABEL]))
    return Split(el.write_table("training_backwards", swapped, parents=[parts.training]), parts.holdout)


@el.pipeline
def fit_backwards(until: datetime, days: int = 150, holdout_days: int = 10) -> el.Model:
    """A model that learned the opposite of the truth. The gates must stop it; past them, the canary."""
    features = el.pin("delay")
    rows = examples(el.snapshot("schedule"), features, until - timedelta(days=days), until)
    parts = backwards(split(rows, until - timedelta(days=holdout_days)))
    model = train(parts, features)
    return model.measured({"roc_auc": evaluate(model, parts).roc_auc})
