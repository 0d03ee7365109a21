"""Two candidates that must never reach everybody: the demo plants them to show what stops them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

import everloop as el
from flights.training import LABEL, Split, evaluate, examples, split, train

_MINUTES = ("airport_departures.", "airport_landings.", "airline_landings.")


@el.step
def backwards(parts: Split) -> Split:
    """The training part with late and punctual exchanged: a mistake in the label that the holdout does not share."""
    rows = el.read_table(parts.training)
    swapped = _with(rows, LABEL, pc.subtract(1.0, rows[LABEL]))
    return Split(el.write_table("training_backwards", swapped, parents=[parts.training]), parts.holdout)


@el.step
def in_seconds(rows: el.Snapshot) -> el.Snapshot:
    """The examples with delays in seconds, training and holdout alike: right offline, wrong for what serving sends."""
    table = el.read_table(rows)
    for name in table.column_names:
        if name.startswith(_MINUTES) and "delay" in name:
            table = _with(table, name, pc.multiply(table[name], 60.0))
    return el.write_table("examples_in_seconds", table, parents=[rows])


@el.pipeline
def fit_backwards(until: datetime, days: int = 150, holdout_days: int = 10) -> el.Model:
    """A model that learned the opposite of the truth. The gates must stop it."""
    features = el.pin("delay")
    rows = examples(el.snapshot("schedule"), features, until - timedelta(days=days), until)
    parts = backwards(split(rows, until - timedelta(days=holdout_days)))
    model = train(parts, features)
    return model.measured({"roc_auc": evaluate(model, parts).roc_auc})


@el.pipeline
def fit_in_seconds(until: datetime, days: int = 150, holdout_days: int = 10) -> el.Model:
    """A model of delays in seconds, which somebody waves through the gates. The canary must stop it."""
    features = el.pin("delay")
    rows = in_seconds(examples(el.snapshot("schedule"), features, until - timedelta(days=days), until))
    parts = split(rows, until - timedelta(days=holdout_days))
    model = train(parts, features)
    return model.measured({"roc_auc": evaluate(model, parts).roc_auc})


def _with(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)
